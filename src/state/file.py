"""STATE_DIR and its SQLite file (WAL): how it is opened, by the web process and the OCR broker.

Each table has one writing process (`schema`); transactions of two processes wait for each other for `_BUSY_S` at most.
A damaged file is renamed and a new one made, but never under a process that has it open.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from loguru import logger

from src.ipc import runtime
from src.state import migrations
from src.state.places import FILE, OPEN
from src.state.schema import MIGRATIONS

_BUSY_S = 10.0


class StateFile(sqlite3.Connection):
    """Holds a shared lock while it is open."""

    lock: int | None = None

    def close(self) -> None:
        super().close()
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def prepare(folder: Path) -> None:
    """Create the folder, mode 0700. Raises OSError when it cannot be, has another owner, or is a link."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    runtime.check_own(folder)
    folder.chmod(0o700)


def open_file(folder: Path) -> StateFile:
    """With all its tables.

    Raises:
        SchemaConflict: another version of the service wrote it.
        sqlite3.Error, OSError: it cannot be opened at the moment: a full disk, say.
    """
    prepare(folder)
    lock = os.open(folder / OPEN, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        connection = _open_or_renew(folder / FILE, lock)
    except BaseException:
        os.close(lock)
        raise
    connection.lock = lock
    return connection


def open_reader(folder: Path) -> sqlite3.Connection:
    """Beside one that is open for writing in this process."""
    connection = sqlite3.connect(folder / FILE, timeout=_BUSY_S, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the block or nothing. Its first reading sees what no other process changes before it ends."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def conflict(folder: Path) -> str | None:
    """Why this version of the service refuses the file; None where it does not, or cannot tell."""
    with suppress(sqlite3.Error):
        uri = f"file:{folder / FILE}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as connection:
            try:
                migrations.check(connection, MIGRATIONS)
            except migrations.SchemaConflict as error:
                return str(error)
    return None


def _open_or_renew(path: Path, lock: int) -> StateFile:
    try:
        return _connect(path)
    except sqlite3.OperationalError:  # no disk, or another version's: no damage
        raise
    except sqlite3.DatabaseError:
        _put_aside(path, lock)
        connection = _connect(path)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return connection


def _connect(path: Path) -> StateFile:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False, factory=StateFile)
    try:
        migrations.check(connection, MIGRATIONS)  # before anything is written
        path.chmod(0o600)
        connection.execute("PRAGMA auto_vacuum = FULL")  # what is deleted frees the disk
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the process loses nothing
        connection.execute("PRAGMA foreign_keys = ON")
        migrations.apply(connection, MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    return connection


def _put_aside(path: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = f"{path} is damaged, and another process has it open; stop the service and restore a backup"
        raise sqlite3.OperationalError(text) from None
    logger.exception("{} is damaged; it is renamed and a new one created", path)
    path.replace(path.with_suffix(".damaged"))
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
