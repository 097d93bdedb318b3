"""One supervisor per runtime directory: an exclusive lock the kernel drops when its holder dies, however it dies.

Held by `main.py` as long as the supervisor runs. The file stays; only the lock on it means anything.
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


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock inside the block.

    Raises:
        AlreadyRunning: when another process has it.
    """
    # close-on-exec, as all Python opens: a child that inherited it would hold the lock beyond our death
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor)
        yield
    finally:
        os.close(descriptor)


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
    """Keep the file young: macOS and systemd delete old files under /tmp."""
    with suppress(FileNotFoundError):
        os.utime(path)
