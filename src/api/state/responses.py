"""Rows of background responses and of their streams. Functions over one transaction of `Database.run`.

A response has one outcome: whatever writes into one asks first whether it still runs, in the same transaction. Its
stream is kept in chunks, each with the events it gave and the engine's deltas that they were made of: whoever reads it
begins anywhere, and a fresh process goes on behind the last of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from src.api.state.rows import OwnedRows
from src.errors import InvalidRequest
from src.ipc.messages.chat import Delta, GenerateRequest

ResponseStatus = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
RUNS: tuple[ResponseStatus, ...] = ("queued", "in_progress")
_RUNS = "('queued', 'in_progress')"
_COLUMNS = "id, owner, status, created, response, items, ended"
_DELTAS = msgspec.msgpack.Decoder(list[Delta])
_EVENTS = msgspec.msgpack.Decoder(list[bytes])
_CHUNKS = 64
_MOST_KEY_BYTES = 1 << 30


class ResponseWork(msgspec.Struct, frozen=True):
    """What an unfinished response is made from: the engine's request, and the client's tools as they came. `added`: so
    many of its items, the last, are its own; the others were there before."""

    generate: GenerateRequest
    tools: list[dict[str, Any]] = []
    added: int = 0


class StoredResponse(msgspec.Struct, frozen=True):
    """`response` as clients are shown it, and the `items` it answers, both JSON. Times are Unix seconds."""

    id: str
    owner: str
    status: ResponseStatus
    created: int
    response: bytes
    items: bytes
    ended: int | None = None


class PendingResponse(msgspec.Struct, frozen=True):
    id: str
    owner: str
    model: str


class StoredEvents(msgspec.Struct, frozen=True):
    """Some events of a stream; `number` is the first one's."""

    number: int
    events: list[bytes]
    deltas: list[Delta] = []


ROWS = OwnedRows("responses", f"SELECT {_COLUMNS} FROM responses", StoredResponse, "response", "response_id")


def insert(db: sqlite3.Connection, stored: StoredResponse, work: ResponseWork, first: StoredEvents, most: int) -> None:
    """The oldest that have ended make room. Raises InvalidRequest when the key has `most` that have not ended."""
    query = f"SELECT COUNT(*) FROM responses WHERE owner = ? AND status IN {_RUNS}"
    (count,) = db.execute(query, (stored.owner,)).fetchone()
    if count >= most:
        text = f"{count} background responses have not ended: the limit (BACKGROUND_RESPONSES_PER_KEY)."
        raise InvalidRequest(f"{text} Wait for one, or cancel it.", param="background")
    _make_room(db, stored.owner, len(stored.items))
    values = (*msgspec.structs.astuple(stored), work.generate.model, msgspec.msgpack.encode(work))
    db.execute(f"INSERT INTO responses ({_COLUMNS}, model, work) VALUES (?,?,?,?,?,?,?,?,?)", values)
    _add_chunk(db, stored.id, first)


def _make_room(db: sqlite3.Connection, owner: str, more: int) -> None:
    """A key's newest are kept, to `_MOST_KEY_BYTES`. Raises InvalidRequest when the unfinished alone have more."""
    query = (
        "SELECT id, ended, LENGTH(response) + LENGTH(items) + IFNULL(LENGTH(work), 0) FROM responses WHERE owner = ?"
        " ORDER BY ended IS NOT NULL, seq DESC"
    )
    held = 2 * more  # `work` has the conversation once more
    for name, ended, size in db.execute(query, (owner,)).fetchall():
        held += size
        if held > _MOST_KEY_BYTES and ended is None:
            text = f"Background responses that have not ended hold {held} bytes: {_MOST_KEY_BYTES} is the limit."
            raise InvalidRequest(f"{text} Wait for one, or cancel it.", param="background")
        if held > _MOST_KEY_BYTES:
            delete(db, [name])


def unfinished(db: sqlite3.Connection) -> list[PendingResponse]:
    """Oldest first."""
    query = f"SELECT id, owner, model FROM responses WHERE status IN {_RUNS} ORDER BY seq"
    return [PendingResponse(*row) for row in db.execute(query)]


def work_of(db: sqlite3.Connection, name: str) -> ResponseWork | None:
    """None once it has ended."""
    row = db.execute(f"SELECT work FROM responses WHERE id = ? AND status IN {_RUNS}", (name,)).fetchone()
    return None if row is None else msgspec.msgpack.decode(row[0], type=ResponseWork)


# ---- its stream


def deltas(db: sqlite3.Connection, name: str) -> list[Delta]:
    """All that its engines have given so far."""
    query = "SELECT deltas FROM response_chunks WHERE response = ? ORDER BY number"
    return [delta for (encoded,) in db.execute(query, (name,)) for delta in _DELTAS.decode(encoded)]


def extend(db: sqlite3.Connection, stored: StoredResponse, chunk: StoredEvents) -> bool:
    """Some more of its stream; its status and answer with them. False when it has an outcome already, or is deleted."""
    query = f"UPDATE responses SET status = ?, response = ?, ended = ? WHERE id = ? AND status IN {_RUNS}"
    values = (stored.status, stored.response, stored.ended, stored.id)
    if not db.execute(query, values).rowcount:
        return False
    _add_chunk(db, stored.id, chunk)
    if stored.ended is not None:
        _drop_work(db, stored.id)
    return True


def restart(db: sqlite3.Connection, name: str, number: int) -> None:
    """Forget its stream from event `number` on: its answer begins again."""
    db.execute("DELETE FROM response_chunks WHERE response = ? AND number >= ?", (name, number))


def events(db: sqlite3.Connection, name: str, number: int) -> list[StoredEvents]:
    """Chunks of its stream from that event on, some at a time; the first may begin before it."""
    query = (
        "SELECT number, events FROM response_chunks WHERE response = ?1 AND number >= IFNULL((SELECT MAX(number)"
        " FROM response_chunks WHERE response = ?1 AND number <= ?2), 0) ORDER BY number LIMIT ?3"
    )
    found = [
        StoredEvents(first, _EVENTS.decode(encoded)) for first, encoded in db.execute(query, (name, number, _CHUNKS))
    ]
    return [chunk for chunk in found if chunk.number + len(chunk.events) > number]


def is_running(db: sqlite3.Connection, name: str) -> bool:
    query = f"SELECT 1 FROM responses WHERE id = ? AND status IN {_RUNS}"
    return db.execute(query, (name,)).fetchone() is not None


def _add_chunk(db: sqlite3.Connection, name: str, chunk: StoredEvents) -> None:
    values = (name, chunk.number, msgspec.msgpack.encode(chunk.events), msgspec.msgpack.encode(chunk.deltas))
    db.execute("INSERT INTO response_chunks (response, number, events, deltas) VALUES (?,?,?,?)", values)


def _drop_work(db: sqlite3.Connection, name: str) -> None:
    """Only an unfinished one needs it."""
    db.execute("UPDATE responses SET work = NULL WHERE id = ?", (name,))
    db.execute("UPDATE response_chunks SET deltas = ? WHERE response = ?", (msgspec.msgpack.encode([]), name))


# ---- its end


def give_up(db: sqlite3.Connection, name: str, now: int) -> None:
    """Of one that cannot be read: nothing of it is decoded."""
    shown = "CAST(json_set(CAST(response AS TEXT), '$.status', 'failed') AS BLOB)"
    query = f"UPDATE responses SET status = 'failed', response = {shown}, ended = ? WHERE id = ? AND status IN {_RUNS}"
    if db.execute(query, (now, name)).rowcount:
        _drop_work(db, name)


def cancel(db: sqlite3.Connection, stored: StoredResponse, now: int) -> None:
    """Nothing changes one that has ended."""
    query = f"UPDATE responses SET status = 'cancelled', response = ?, ended = ? WHERE id = ? AND status IN {_RUNS}"
    if db.execute(query, (stored.response, now, stored.id)).rowcount:
        _drop_work(db, stored.id)


def delete(db: sqlite3.Connection, names: Sequence[str]) -> None:
    for name in names:
        db.execute("DELETE FROM response_chunks WHERE response = ?", (name,))
        db.execute("DELETE FROM responses WHERE id = ?", (name,))


def forget(db: sqlite3.Connection, before: int) -> None:
    """Those that ended before."""
    delete(db, [name for (name,) in db.execute("SELECT id FROM responses WHERE ended <= ?", (before,))])
