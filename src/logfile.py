"""One log file, as loguru writes to it: opened again when the janitor has renamed it, and never a reason to fail.

A full disk costs the lines that do not fit, not the service, and not a traceback on the console for each of them. Used
by `logs` in every process; loguru's handler lets one thread in at a time.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SAY_EVERY_S = 60.0
_MODE = 0o640


class LogFile:
    """A sink for `logger.add`."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._fd: int | None = None
        self._place: tuple[int, int] | None = None
        self._said_at = float("-inf")
        self._torn = False
        self.lost = 0
        try:
            self._open()
        except OSError as error:
            self._complain(error)

    def write(self, line: str) -> None:
        try:
            self._append(self._open(), line.encode(errors="replace"))
        except OSError as error:
            self.lost += 1
            self._complain(error)

    def stop(self) -> None:
        """Called by loguru when the sink is removed."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        """Our file, if the path still leads to it; else a new one."""
        if self._fd is None or self._place != self._where():
            self.stop()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
            self._place = self._where()
        return self._fd

    def _where(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            info = self._path.stat()
            return info.st_dev, info.st_ino
        return None

    def _append(self, fd: int, line: bytes) -> None:
        """Half a line, if that was all there was room for, does not make the next one unreadable too."""
        if self._torn:
            os.write(fd, b"\n")
            self._torn = False
        written = os.write(fd, line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _complain(self, error: OSError) -> None:
        now = self._clock()
        if now - self._said_at >= _SAY_EVERY_S:
            self._said_at = now
            with suppress(OSError, ValueError):  # the console may be gone as well
                sys.stderr.write(f"{self._path}: {error.strerror}; {self.lost} lines were lost so far\n")
