"""If a parent dies, its children end: a child holds the read end of a pipe whose write end only the parent has.

The supervisor gives it as standard input. The end of the file is the parent's end, on every platform. A child that is
stopped, or hangs in native code, cannot read it: on Linux the kernel then ends it.
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
    """Call `on_gone` (in a daemon thread of its own) when the parent is gone."""

    def wait() -> None:
        try:
            while os.read(fd, 4096):
                pass
        except OSError:
            pass  # a closed descriptor means the same
        on_gone()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends. For one with nothing to put in order."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
