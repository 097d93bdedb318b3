"""The web process at STATE_DIR's file: files, batches, responses, conversations, usage, blobs beside it.

All work on it runs on threads of its own, a transaction each, so that a slow disk never holds up the event loop: one
writes, another reads, so that a listing never waits for the writing of a long batch.
Opened on first use.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gevent.event import Event
from gevent.threadpool import ThreadPool
from loguru import logger

from src.errors import BackendUnavailable, ServiceError
from src.state import file as state_file
from src.state.migrations import SchemaConflict
from src.state.places import BLOBS

T = TypeVar("T")

_RETRY_S = 30.0
# faults of a statement or its values: no disk is full, and trying again is in vain
_OURS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
_ORPHAN_S = 3600.0  # an upload takes less


class _Lane:
    """A thread with a connection of its own, made on first use."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], begin: str) -> None:
        self._connect, self._begin = connect, begin
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
                connection.execute(self._begin)
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
        self._writer = _Lane(self._open, "BEGIN IMMEDIATE")  # the OCR broker writes into the file too
        self._reader = _Lane(self._open_reader, "BEGIN")
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
            text = (
                "Files, batches and background responses cannot be read or written at the moment; the disk may be full."
            )
            shown = why if isinstance(found, SchemaConflict) else text
            raise BackendUnavailable(shown, retry_after_s=_RETRY_S)
        return found

    def blob(self, name: str) -> Path:
        return self.blobs / name

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
        self._is_open = False

    # ---- on the threads

    def _open(self) -> sqlite3.Connection:
        connection = state_file.open_file(self.folder)
        self.blobs.mkdir(mode=0o700, exist_ok=True)
        self._sweep(connection)
        self._is_open = True
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        return state_file.open_reader(self.folder)

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Delete blobs that no row names: of uploads that were cut off."""
        known = {name for (name,) in connection.execute("SELECT id FROM files WHERE batch IS NULL")}
        for path in self.blobs.iterdir():
            if path.name not in known and time.time() - path.stat().st_mtime > _ORPHAN_S:
                path.unlink(missing_ok=True)
