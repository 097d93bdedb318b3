"""Exits a child when its parent exits: the child reads a pipe that only the parent holds open.

The pipe is the child's standard input. End of file means that the parent exited, on every platform. A child that is
stopped or hangs in native code cannot read it: on Linux the kernel kills it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

STDIN = 0
_PR_SET_PDEATHSIG = 1


def watch(on_gone: Callable[[], None], fd: int = STDIN) -> None:
    """Call `on_gone` (on a daemon thread) when the parent exits."""

    def wait() -> None:
        try:
            while os.read(fd, 4096):
                pass
        except OSError:
            pass  # a closed descriptor means the same
        on_gone()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def die_with_parent() -> None:
    """On Linux, SIGKILL this process when the thread that started it exits. For processes without cleanup."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
