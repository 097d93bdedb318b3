"""The durable state directory (`STATE_DIR`) as the OCR broker holds it: private, and of one broker alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.state.file import prepare

_LOCK = "ocr.lock"


class StateDirError(Exception):
    """The directory is unsafe, unusable or another broker's; the text says why."""


class StateDirInUse(StateDirError):
    """Another broker holds it."""


@contextmanager
def hold(directory: Path) -> Iterator[Path]:
    """The directory, mode 0700, of no other broker until the block ends or the process does.

    Raises:
        StateDirError: it cannot be created or written, has another owner, is a link.
        StateDirInUse: another broker holds it.
    """
    try:
        prepare(directory)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateDirError(f"{directory} cannot be used: {error.strerror} (STATE_DIR)") from None
    try:
        _lock(lock, directory)
        yield directory
    finally:
        os.close(lock)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = f"another OCR broker uses {directory}; give each instance its own (STATE_DIR)"
        raise StateDirInUse(text) from None
