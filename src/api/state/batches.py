"""Rows of batches, their lines and outcomes. Functions over one transaction of `Database.run`.

A line has one outcome: it is written with the counts in one transaction, and never a second time. What a batch has
answered is read from `outcomes` (`state/files.py`), so that it can be read while it runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Literal

import msgspec

from src.api.state.files import StoredFile
from src.api.state.files import insert as insert_file
from src.api.state.rows import OwnedRows
from src.errors import InvalidRequest
from src.state import ids

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
RUNS: tuple[BatchStatus, ...] = ("validating", "in_progress", "cancelling")
_COLUMNS = (
    "id, owner, status, endpoint, input, completion_window, metadata, model, errors, created, expires, output_ttl,"
    " begun, cancelling, ended, total, completed, failed"
)
_FILE = "(SELECT id FROM files WHERE batch = b.id AND failed = {} AND bytes > 0)"
_SELECT = f"SELECT {_COLUMNS}, {_FILE.format(0)}, {_FILE.format(1)} FROM batches b"
_CHUNK = 100


class BatchLoad:
    """Lines of batches that have not ended, as the feeder saw them last.

    `worked_on_here`: whether this instance works on them; of those that share a STATE_DIR one does.
    """

    def __init__(self) -> None:
        self.waiting = self.running = 0
        self.worked_on_here = False


class LineError(msgspec.Struct, frozen=True):
    """What is wrong with the input, as OpenAI shows it; `line` counts from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class StoredBatch(msgspec.Struct, frozen=True):
    """Times are Unix seconds. `errors`: why it failed or waits (JSON); `output`, `error`: its files, once they are."""

    id: str
    owner: str
    status: BatchStatus
    endpoint: str
    input: str
    completion_window: str
    metadata: bytes | None
    model: str | None
    errors: bytes | None
    created: int
    expires: int
    output_ttl: int
    begun: int | None = None
    cancelling: int | None = None
    ended: int | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    output: str | None = None
    error: str | None = None


class Line(msgspec.Struct, frozen=True):
    """Where a request stands in the input file."""

    number: int
    custom_id: str
    start: int
    length: int


class PendingLine(msgspec.Struct, frozen=True):
    """A line that nobody works on, with what is needed to answer it."""

    batch: str
    owner: str
    endpoint: str
    input: str
    line: Line


ROWS = OwnedRows("batches", _SELECT, StoredBatch, "batch", "batch_id")


# ---- a batch


def insert(db: sqlite3.Connection, batch: StoredBatch, most: int) -> None:
    """Raises InvalidRequest when the key has `most` that have not ended."""
    marks = ",".join("?" * len(RUNS))
    query = f"SELECT COUNT(*) FROM batches WHERE owner = ? AND status IN ({marks})"
    (count,) = db.execute(query, (batch.owner, *RUNS)).fetchone()
    if count >= most:
        text = f"{count} batches have not ended: the limit (BATCHES_PER_KEY). Wait for one, or cancel it."
        raise InvalidRequest(text, param="input_file_id")
    values = msgspec.structs.astuple(batch)[:18]
    db.execute(f"INSERT INTO batches ({_COLUMNS}) VALUES ({','.join('?' * len(values))})", values)


def unfinished(db: sqlite3.Connection) -> list[StoredBatch]:
    """Oldest first."""
    marks = ",".join("?" * len(RUNS))
    return [StoredBatch(*row) for row in db.execute(f"{_SELECT} WHERE status IN ({marks}) ORDER BY seq", RUNS)]


def cancel(db: sqlite3.Connection, owner: str | None, name: str, now: int) -> StoredBatch:
    """Raises InvalidRequest when it has ended."""
    batch = ROWS.get(db, owner, name)
    if batch.status not in RUNS:
        raise InvalidRequest(f"The batch is {batch.status}: it cannot be cancelled.", param="batch_id")
    query = "UPDATE batches SET status = 'cancelling', cancelling = IFNULL(cancelling, ?) WHERE id = ?"
    db.execute(query, (now, name))
    return ROWS.get(db, owner, name)


def fail(db: sqlite3.Connection, name: str, errors: Sequence[LineError], now: int) -> None:
    """Its input is wrong: nothing of it runs."""
    query = "UPDATE batches SET status = 'failed', errors = ?, ended = ? WHERE id = ? AND status = 'validating'"
    db.execute(query, (msgspec.json.encode(errors), now, name))
    db.execute("DELETE FROM lines WHERE batch = ?", (name,))


def set_error(db: sqlite3.Connection, name: str, error: LineError | None) -> None:
    """Of one that has not ended: what it waits for."""
    shown = None if error is None else msgspec.json.encode([error])
    db.execute("UPDATE batches SET errors = ? WHERE id = ? AND ended IS NULL", (shown, name))


def begin(db: sqlite3.Connection, batch: StoredBatch, model: str | None, total: int, now: int) -> None:
    """Its input is right: it gets its two files, and its lines may run."""
    query = (
        "UPDATE batches SET status = 'in_progress', model = ?, begun = ?, total = ?"
        " WHERE id = ? AND status = 'validating'"
    )
    if not db.execute(query, (model, now, total, batch.id)).rowcount:
        return  # it was cancelled meanwhile
    expires = now + batch.output_ttl if batch.output_ttl else None
    for failed, name in enumerate(("output", "error")):
        identity = ids.new_id("file-", ids.mark_in(batch.id) or "")
        file = StoredFile(
            identity, batch.owner, "batch_output", f"{batch.id}_{name}.jsonl", 0, now, expires, batch.id, failed
        )
        insert_file(db, file)


# ---- its lines


def forget_lines(db: sqlite3.Connection, name: str) -> None:
    """Of a check that a restart has cut off."""
    db.execute("DELETE FROM lines WHERE batch = ?", (name,))


def add_lines(db: sqlite3.Connection, name: str, lines: Sequence[Line]) -> list[Line]:
    """Those whose custom_id is another line's."""
    query = "INSERT OR IGNORE INTO lines (batch, line, custom_id, start, length) VALUES (?,?,?,?,?)"
    before = db.total_changes
    db.executemany(query, [(name, *msgspec.structs.astuple(line)) for line in lines])
    if not lines or db.total_changes - before == len(lines):
        return []
    found = db.execute("SELECT line FROM lines WHERE batch = ? AND line >= ?", (name, lines[0].number))
    added = {number for (number,) in found}
    return [line for line in lines if line.number not in added]


def pending(db: sqlite3.Connection, batch: StoredBatch, busy: set[int], count: int) -> list[PendingLine]:
    """The first `count` lines without an outcome on which nobody works."""
    query = "SELECT line, custom_id, start, length FROM lines WHERE batch = ? AND done = 0 ORDER BY line LIMIT ?"
    rows = db.execute(query, (batch.id, count + len(busy))).fetchall()
    lines = [Line(*row) for row in rows if row[0] not in busy][:count]
    return [PendingLine(batch.id, batch.owner, batch.endpoint, batch.input, line) for line in lines]


def record(db: sqlite3.Connection, name: str, line: int, body: bytes, *, failed: bool, now: int) -> bool:
    """The line's outcome, and the counts with it; False if it has one. The last one ends its batch."""
    if not _add_outcome(db, name, line, body, failed=failed):
        return False
    query = (
        "UPDATE batches SET status = 'completed', ended = ?"
        " WHERE id = ? AND status = 'in_progress' AND completed + failed >= total"
    )
    db.execute(query, (now, name))
    return True


def _add_outcome(db: sqlite3.Connection, name: str, line: int, body: bytes, *, failed: bool) -> bool:
    found = db.execute("UPDATE lines SET done = 1 WHERE batch = ? AND line = ? AND done = 0", (name, line)).rowcount
    if not found:
        return False
    db.execute("INSERT INTO outcomes (batch, failed, line, body) VALUES (?,?,?,?)", (name, failed, line, body))
    which = "failed" if failed else "completed"
    db.execute(f"UPDATE batches SET {which} = {which} + 1 WHERE id = ?", (name,))
    db.execute("UPDATE files SET bytes = bytes + ? WHERE batch = ? AND failed = ?", (len(body) + 1, name, failed))
    return True


def close(db: sqlite3.Connection, name: str, status: BatchStatus, error: LineError, now: int) -> bool:
    """Give the lines that are left this error, some at a time; True when none is left and the batch has ended."""
    query = "SELECT line, custom_id FROM lines WHERE batch = ? AND done = 0 ORDER BY line LIMIT ?"
    rows = db.execute(query, (name, _CHUNK)).fetchall()
    for line, custom_id in rows:
        _add_outcome(db, name, line, error_line(name, line, custom_id, error), failed=True)
    if len(rows) == _CHUNK:
        return False
    db.execute("UPDATE batches SET status = ?, ended = ? WHERE id = ?", (status, now, name))
    return True


def error_line(name: str, line: int, custom_id: str, error: LineError) -> bytes:
    """Of a request that was not asked."""
    shown = {"code": error.code, "message": error.message}
    return msgspec.json.encode(
        {"id": request_name(name, line), "custom_id": custom_id, "response": None, "error": shown}
    )


def request_name(name: str, line: int) -> str:
    """A line's own id: the same whenever it is answered."""
    return f"batch_req_{name.removeprefix('batch_')}_{line}"


# ---- what is over


def forget(db: sqlite3.Connection, before: int) -> None:
    """Batches that ended before, with what is left of them."""
    names = [name for (name,) in db.execute("SELECT id FROM batches WHERE ended <= ?", (before,))]
    for name in names:
        for table, column in (("lines", "batch"), ("outcomes", "batch"), ("files", "batch"), ("batches", "id")):
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))
