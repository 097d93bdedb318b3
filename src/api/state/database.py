"""Durable state of files, batches, responses, usage: one SQLite file (WAL) in STATE_DIR, blobs beside it. Web process.

All work on it runs on threads of its own, a transaction each, so that a slow disk never holds up the event loop: one
writes, another reads, so that a listing never waits for the writing of a long batch.
Opened on first use.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gevent.event import Event
from gevent.threadpool import ThreadPool
from loguru import logger

from src.api.state.places import BLOBS, FILE
from src.errors import BackendUnavailable, ServiceError
from src.ipc import runtime

T = TypeVar("T")

_BUSY_S = 10.0
_RETRY_S = 30.0
# faults of a statement or its values: no disk is full, and trying again is in vain
_OURS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
_ORPHAN_S = 3600.0  # an upload takes less

# forward only: SQLite's user_version is how many a file has had
_MIGRATIONS = (
    """
CREATE TABLE files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, purpose TEXT NOT NULL,
    name TEXT NOT NULL, bytes INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER, batch TEXT, failed INTEGER);
CREATE INDEX files_by_owner ON files (owner, seq);
CREATE INDEX files_by_batch ON files (batch, failed);
CREATE TABLE batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, status TEXT NOT NULL,
    endpoint TEXT NOT NULL, input TEXT NOT NULL, completion_window TEXT NOT NULL, metadata BLOB, model TEXT,
    errors BLOB, created INTEGER NOT NULL, expires INTEGER NOT NULL, output_ttl INTEGER NOT NULL, begun INTEGER,
    cancelling INTEGER, ended INTEGER, total INTEGER NOT NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX batches_by_owner ON batches (owner, seq);
CREATE INDEX batches_by_status ON batches (status, seq);
CREATE TABLE lines (
    batch TEXT NOT NULL, line INTEGER NOT NULL, custom_id TEXT NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (batch, line)) WITHOUT ROWID;
CREATE UNIQUE INDEX lines_by_custom_id ON lines (batch, custom_id);
CREATE INDEX pending_lines ON lines (batch, line) WHERE done = 0;
CREATE TABLE outcomes (
    batch TEXT NOT NULL, failed INTEGER NOT NULL, line INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX outcomes_by_line ON outcomes (batch, line);
CREATE INDEX outcomes_by_file ON outcomes (batch, failed, line);
""",
    """
CREATE TABLE responses (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, status TEXT NOT NULL,
    created INTEGER NOT NULL, response BLOB NOT NULL, items BLOB NOT NULL, ended INTEGER, model TEXT NOT NULL,
    work BLOB);
CREATE INDEX responses_by_status ON responses (status, seq);
CREATE INDEX responses_by_owner ON responses (owner, status);
CREATE INDEX responses_by_end ON responses (ended);
CREATE TABLE response_chunks (
    response TEXT NOT NULL, number INTEGER NOT NULL, events BLOB NOT NULL, deltas BLOB NOT NULL,
    PRIMARY KEY (response, number)) WITHOUT ROWID;
""",
    """
CREATE TABLE conversations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, created INTEGER NOT NULL,
    metadata BLOB NOT NULL, used INTEGER NOT NULL);
CREATE INDEX conversations_by_owner ON conversations (owner);
CREATE INDEX conversations_by_use ON conversations (used);
CREATE TABLE conversation_items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    UNIQUE (conversation, id));
CREATE INDEX conversation_items_in_order ON conversation_items (conversation, seq);
""",
    """
CREATE TABLE usage (
    day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, source TEXT NOT NULL,
    requests INTEGER NOT NULL DEFAULT 0, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0, completion_tokens INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (day, key, model, source)) WITHOUT ROWID;
CREATE TABLE key_uses (key TEXT PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;
""",
)


class _Lane:
    """A thread with a connection of its own, made on first use."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._thread: ThreadPool | None = None
        self._connection: sqlite3.Connection | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T | ServiceError | sqlite3.Error | OSError:
        if self._thread is None:
            self._thread = ThreadPool(1)
        found: T | ServiceError | sqlite3.Error | OSError = self._thread.apply(self._attempt, (work,))
        return found

    def close(self) -> None:
        if self._thread is not None:
            self._thread.apply(self._close)
            self._thread.kill()
            self._thread = None

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T | ServiceError | sqlite3.Error | OSError:
        """Errors are handed on, not raised: gevent writes a traceback for what a thread raises."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection as connection:
                return work(connection)
        except (ServiceError, sqlite3.Error, OSError) as error:
            return error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Database:
    """`run` writes, `read` reads: the only ways to it. `changed` is set when there is new work for the feeder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / BLOBS
        self.changed = Event()
        self._writer, self._reader = _Lane(self._open), _Lane(self._open_reader)
        self._is_open = False

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, from one transaction; when it raises, nothing has changed.

        Raises:
            BackendUnavailable: the state cannot be read or written at the moment: a full disk, say.
        """
        return self._result(self._writer.run(work))

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """As `run`, for what only reads: it waits for no other's writing. Raises as `run`."""
        if not self._is_open:
            self.run(lambda _: None)  # the file and its tables are there
        return self._result(self._reader.run(work))

    def _result(self, found: T | ServiceError | sqlite3.Error | OSError) -> T:
        if isinstance(found, ServiceError):
            raise found
        if isinstance(found, _OURS):
            raise found
        if isinstance(found, sqlite3.Error | OSError):
            why = getattr(found, "strerror", None) or str(found)
            logger.error("the state in {} cannot be used: {} (STATE_DIR)", self.folder, why)
            text = "Files, batches and background responses cannot be read or written at the moment;"
            raise BackendUnavailable(f"{text} the disk may be full.", retry_after_s=_RETRY_S)
        return found

    def blob(self, name: str) -> Path:
        return self.blobs / name

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
        self._is_open = False

    # ---- on the threads

    def _open(self) -> sqlite3.Connection:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime.check_own(self.folder)
        self.folder.chmod(0o700)
        self.blobs.mkdir(mode=0o700, exist_ok=True)
        path = self.folder / FILE
        try:
            connection = _connect(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            logger.exception("{} is damaged; it is renamed and a new one created", path)
            _put_aside(path)
            connection = _connect(path)
        self._sweep(connection)
        self._is_open = True
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.folder / FILE, timeout=_BUSY_S, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Delete blobs that no row names: of uploads that were cut off."""
        known = {name for (name,) in connection.execute("SELECT id FROM files WHERE batch IS NULL")}
        for path in self.blobs.iterdir():
            if path.name not in known and time.time() - path.stat().st_mtime > _ORPHAN_S:
                path.unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    try:
        path.chmod(0o600)
        connection.execute("PRAGMA auto_vacuum = FULL")  # what is deleted frees the disk
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the process loses nothing
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _put_aside(path: Path) -> None:
    path.replace(path.with_suffix(".damaged"))
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
