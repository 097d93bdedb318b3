"""One supervisor per runtime directory: an exclusive lock the kernel drops when its holder dies, however it dies.

Held by `main.py` as long as the supervisor runs. The file stays; only the lock on it means anything.
`runtime_keeper.py` takes it again when a cleaner has deleted it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class AlreadyRunning(Exception):
    """Another supervisor holds the lock; `pid` is what it wrote there, if it can be read."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"another instance runs in this checkout (pid {pid or 'unknown'})")
        self.pid = pid


class Held:
    """The lock, while it is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _open(path)

    def lost(self) -> bool:
        """Whether its file was removed: then another process could take a new one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._descriptor)
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)

    def retake(self) -> None:
        """Make the file again. Raises AlreadyRunning when another process was faster, OSError."""
        descriptor = _open(self.path)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def hold(path: Path) -> Iterator[Held]:
    """Hold the lock inside the block.

    Raises:
        AlreadyRunning: when another process has it.
    """
    held = Held(path)
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


def refresh(path: Path) -> None:
    """Keep the file and its directory young: macOS and systemd delete what is old under /tmp."""
    for young in (path, path.parent):
        with suppress(FileNotFoundError):
            os.utime(young)
