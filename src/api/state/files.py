"""Rows of files: whose, what for, how large, until when. Functions over one transaction of `Database.run`.

A file is a blob on disk, or what a batch has answered so far (`batch` is set): its content is read from `outcomes`.
"""

from __future__ import annotations

import sqlite3

import msgspec

from src.api.state.rows import OwnedRows
from src.errors import InvalidRequest, PayloadTooLarge

_COLUMNS = "id, owner, purpose, name, bytes, created, expires, batch, failed"
# an output that nothing was written into does not exist yet
_SHOWN = "(batch IS NULL OR bytes > 0)"
_UNFINISHED = "('validating', 'in_progress', 'finalizing', 'cancelling')"


class StoredFile(msgspec.Struct, frozen=True):
    """`expires`: Unix seconds; None is never. `failed`: of a batch's two files, the one with its errors."""

    id: str
    owner: str
    purpose: str
    name: str
    bytes: int
    created: int
    expires: int | None = None
    batch: str | None = None
    failed: int | None = None


class FileBounds(msgspec.Struct, frozen=True):
    """Bytes and numbers of files at most."""

    key_bytes: int
    all_bytes: int
    key_files: int


ROWS = OwnedRows("files", f"SELECT {_COLUMNS} FROM files", StoredFile, "file", "file_id", _SHOWN)


def insert(db: sqlite3.Connection, file: StoredFile) -> None:
    db.execute(f"INSERT INTO files ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", msgspec.structs.astuple(file))


def check_room(db: sqlite3.Connection, owner: str, size: int, bounds: FileBounds) -> None:
    """Raises PayloadTooLarge when that many bytes more have no room."""
    everything = _taken(db, "1 = 1", ())[0]
    own, count = _taken(db, "owner = ?", (owner,))
    shares = ((own, bounds.key_bytes, "FILES_PER_KEY_MB"), (everything, bounds.all_bytes, "FILES_MB"))
    for taken, most, setting in shares:
        if taken + size > most:
            text = f"Files take {taken >> 20} of {most >> 20} MiB ({setting}): {size} bytes more have no room."
            raise PayloadTooLarge(f"{text} Delete some.", param="file")
    if count >= bounds.key_files:
        raise PayloadTooLarge(f"There are {count} files: the limit (FILES_PER_KEY). Delete some.", param="file")


def _taken(db: sqlite3.Connection, where: str, values: tuple[str, ...]) -> tuple[int, int]:
    query = f"SELECT IFNULL(SUM(bytes), 0), COUNT(*) FROM files WHERE {where}"
    size, count = db.execute(query, values).fetchone()
    return int(size), int(count)


def delete(db: sqlite3.Connection, file: StoredFile) -> None:
    """The row, and of an output what it shows. The blob is its caller's to remove, when the row is gone.

    Raises:
        InvalidRequest: a batch that has not ended needs it.
    """
    if (batch := _needed_by(db, file)) is not None:
        text = f"The batch {batch} has not ended and needs this file: cancel it first"
        raise InvalidRequest(f"{text} (POST /v1/batches/{batch}/cancel).", param="file_id")
    db.execute("DELETE FROM files WHERE id = ?", (file.id,))
    if file.batch is not None:
        db.execute("DELETE FROM outcomes WHERE batch = ? AND failed = ?", (file.batch, file.failed))


def _needed_by(db: sqlite3.Connection, file: StoredFile) -> str | None:
    query = f"SELECT id FROM batches WHERE (input = ? OR id = ?) AND status IN {_UNFINISHED}"
    row = db.execute(query, (file.id, file.batch)).fetchone()
    return None if row is None else str(row[0])


def expired(db: sqlite3.Connection, now: float) -> list[StoredFile]:
    """Those whose time is over and that no running batch needs; deleted by whoever asks."""
    query = f"SELECT {_COLUMNS} FROM files WHERE expires <= ?"
    found = [StoredFile(*row) for row in db.execute(query, (now,))]
    return [file for file in found if _needed_by(db, file) is None]


def outcomes(db: sqlite3.Connection, file: StoredFile, after: int, count: int) -> list[tuple[int, bytes]]:
    """Lines of a batch's output behind line `after`, with their numbers."""
    query = "SELECT line, body FROM outcomes WHERE batch = ? AND failed = ? AND line > ? ORDER BY line LIMIT ?"
    return list(db.execute(query, (file.batch, file.failed, after, count)))
