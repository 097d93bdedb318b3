"""The durable state directory (`STATE_DIR`) as OCR brokers hold it: private, and of several brokers one reads the jobs.

Called by the OCR process. The kernel ends a claim with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from src.state.file import prepare

_LOCK = "ocr.lock"


class StateDirError(Exception):
    """The directory is unsafe or unusable; the text says why."""


class JobClaim:
    """Which of the brokers that share the directory reads jobs: whoever has taken it, until its process ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _LOCK
        self._lock: int | None = None

    def take(self) -> bool:
        """Whether it is this broker's. Asked again, it takes over from one that has ended."""
        if self._lock is not None:
            return True
        try:
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return False  # no disk: the job store says so
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def opened(directory: Path) -> Path:
    """The directory, mode 0700. Raises StateDirError: it cannot be created or written, has another owner, is a link."""
    try:
        prepare(directory)
        os.close(os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StateDirError(f"{directory} cannot be used: {error.strerror} (STATE_DIR)") from None
    return directory
