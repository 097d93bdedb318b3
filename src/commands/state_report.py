"""What STATE_DIR holds, for `run.py status` and `run.py doctor`: read from its file, beside who writes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from src.state.file import conflict
from src.state.places import FILE
from src.supervisor.table import duration

_WAIT_S = 2.0
_MOST = 10


def unfinished(folder: Path, now: float) -> list[str]:
    """One line for each batch that has not ended, with its progress, and one for background responses."""
    try:
        with closing(_open(folder)) as db:
            return [*_batches(db, now), *_responses(db)]
    except sqlite3.Error:  # no file yet, or one of another version: `integrity` says what is wrong with it
        return []


def integrity(folder: Path) -> str | None:
    """What is wrong with the file: another version's schema, or damage that SQLite finds. None where all is well, or
    there is none."""
    if not (folder / FILE).exists():
        return None
    if (refused := conflict(folder)) is not None:
        return refused
    try:
        with closing(_open(folder)) as db:
            (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    return None if found == "ok" else str(found)


def _open(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True, timeout=_WAIT_S)


def _batches(db: sqlite3.Connection, now: float) -> list[str]:
    query = (
        "SELECT id, status, total, completed, failed, begun FROM batches"
        " WHERE status IN ('validating', 'in_progress', 'cancelling') ORDER BY seq LIMIT ?"
    )
    return [_batch(now, *row) for row in db.execute(query, (_MOST,))]


def _batch(now: float, name: str, status: str, total: int, completed: int, failed: int, begun: int | None) -> str:
    done = completed + failed
    text = f"batch {name}: {status}, {done} of {total} requests"
    text += f" ({failed} failed)" if failed else ""
    if begun is None or not done:
        return text
    return f"{text}, {duration((now - begun) / done * (total - done))} left at its mean pace"


def _responses(db: sqlite3.Connection) -> list[str]:
    query = "SELECT status, COUNT(*) FROM responses WHERE status IN ('queued', 'in_progress') GROUP BY status"
    counts = dict(db.execute(query).fetchall())
    if not counts:
        return []
    return [f"background responses: {counts.get('in_progress', 0)} in progress, {counts.get('queued', 0)} queued"]
