"""The durable state directory (`STATE_DIR`) of the OCR broker: private, and one broker's alone."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from loguru import logger

from src.ipc import runtime
from src.ocr.job_store import FILE
from src.ocr.spool import FOLDER

_LOCK = "ocr.lock"


class StateDirError(Exception):
    """The directory is unsafe, unusable or another broker's; the text says why."""


class StateDirInUse(StateDirError):
    """Another broker holds it."""


@contextmanager
def hold(directory: Path, earlier: Path) -> Iterator[Path]:
    """The directory, mode 0700, this process's alone until the block ends or the process does.

    `earlier` is the runtime directory: jobs that an earlier version kept there are moved.

    Raises:
        StateDirError: it cannot be created or written, has another owner, is a link.
        StateDirInUse: another broker holds it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime.check_own(directory)
        directory.chmod(0o700)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateDirError(f"{directory} cannot be used: {error.strerror} (STATE_DIR)") from None
    try:
        _lock(lock, directory)
        if directory != earlier:
            _move_jobs(earlier, directory)
        yield directory
    finally:
        os.close(lock)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = f"another OCR broker uses {directory}; give each instance its own (STATE_DIR)"
        raise StateDirInUse(text) from None


def _move_jobs(earlier: Path, directory: Path) -> None:
    """Documents first: without the database they are moved again. A failure leaves the jobs where they are."""
    if not (earlier / FILE).exists() or (directory / FILE).exists():
        return
    try:
        with closing(sqlite3.connect(earlier / FILE)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the file alone has everything then
        shutil.copytree(earlier / FOLDER, directory / FOLDER, dirs_exist_ok=True)
        partial = directory / f"{FILE}.part"
        shutil.copy2(earlier / FILE, partial)
        partial.chmod(0o600)
        partial.rename(directory / FILE)
    except (OSError, shutil.Error, sqlite3.Error) as error:
        logger.error("OCR jobs cannot be moved from {} to {}: {}", earlier, directory, error)
        return
    shutil.rmtree(earlier / FOLDER, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        (earlier / f"{FILE}{suffix}").unlink(missing_ok=True)
    logger.info("OCR jobs were moved from {} to {} (STATE_DIR)", earlier, directory)
