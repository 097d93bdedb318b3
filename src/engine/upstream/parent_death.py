"""`python -m src.engine.upstream.parent_death FOLDER ARGV…`: runs a server that does not end with its
parent by itself.

The parent holds the other end of its standard input. When that end closes, for whatever reason, the server is
terminated, then killed with all its children; so a server whose engine was killed holds no GPU memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import psutil

from src.ipc import lifeline

_GRACE_S = 5.0
_SIGNALLED = 128  # as a shell tells that a signal ended a process
_ending = threading.Lock()  # never released: what ends the server ends this process, too


def main(argv: list[str]) -> int:
    folder, *command = argv
    server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: _end(server))
    lifeline.watch(lambda: _end(server))
    status = server.wait()
    with _ending:
        return status if status >= 0 else _SIGNALLED - status


def _end(server: subprocess.Popen[bytes]) -> None:
    """The server and all it started."""
    if not _ending.acquire(blocking=False):
        return
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(server.pid)
        everything = [*top.children(recursive=True), top]
        top.terminate()
        psutil.wait_procs([top], _GRACE_S)
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
