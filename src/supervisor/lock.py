"""One supervisor per runtime directory: an exclusive lock that the kernel releases when its holder exits.

Held by `main.py` while the supervisor runs. The file stays behind; only the lock on it counts.
`runtime_keeper.py` locks it again after a cleaner of /tmp has deleted it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class AlreadyRunning(Exception):
    """Another supervisor holds the lock; `pid` is its process id, if readable."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"another instance is running in this checkout (pid {pid or 'unknown'})")
        self.pid = pid


class InstanceLock:
    """The lock while it is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _open(path)

    def lost(self) -> bool:
        """Whether the file was removed: another process could then lock a new one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._descriptor)
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)

    def retake(self) -> None:
        """Create and lock the file again. Raises AlreadyRunning when another process was first, OSError."""
        descriptor = _open(self.path)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def hold(path: Path) -> Iterator[InstanceLock]:
    """Hold the lock inside the block.

    Raises:
        AlreadyRunning: when another process has it.
    """
    held = InstanceLock(path)
    try:
        yield held
    finally:
        held.close()


def _open(path: Path) -> int:
    # close-on-exec, as all Python opens: a child that inherited it would hold the lock beyond our death
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(_pid_in(descriptor)) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def touch(path: Path) -> None:
    """Touch the file and its directory: macOS and systemd delete old files under /tmp."""
    for young in (path, path.parent):
        with suppress(FileNotFoundError):
            os.utime(young)
