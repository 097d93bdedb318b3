"""Rows of usage: requests, tokens and pages by UTC day, key and model, and when a key was used last.

Functions over one transaction of `Database.run`, and of `run.py usage`, which reads beside it; it brings no gevent.
UsageCounts are added up, so that several web processes (at a reload) may write. What the OCR broker counted of its jobs
(`source` is `jobs`) are its totals: they replace what was there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from src.api.state.rows import Order

Column = Literal["day", "key", "model"]
COLUMNS: tuple[Column, ...] = get_args(Column)
# the model of pages
OCR = "ocr"
_KEPT = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "pages")
_SUMS = ", ".join(f"SUM({name})" for name in _KEPT)
_ADD = (
    f"INSERT INTO usage (day, key, model, source, {', '.join(_KEPT)}) VALUES (?,?,?,'',?,?,?,?,?)"
    " ON CONFLICT (day, key, model, source) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _KEPT)
)
_SET_JOBS = (
    "INSERT INTO usage (day, key, model, source, pages) VALUES (?,?,?,'jobs',?)"
    " ON CONFLICT (day, key, model, source) DO UPDATE SET pages = MAX(pages, excluded.pages)"
)


class UsageCounts(msgspec.Struct, frozen=True):
    """What was used. `cached_tokens` are among `prompt_tokens`."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    pages: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: UsageCounts) -> UsageCounts:
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return UsageCounts(*(one + more for one, more in pairs))


class Place(msgspec.Struct, frozen=True, order=True):
    """What is counted together; "" where it does not matter, and for work without a key."""

    day: str
    key: str
    model: str


class UsageQuery(msgspec.Struct, frozen=True):
    """Rows by these columns, from the first day to the last; `key` and `model` None are all; `after` a row."""

    first: str
    last: str
    by: tuple[Column, ...] = COLUMNS
    key: str | None = None
    model: str | None = None
    after: Place | None = None
    order: Order = "desc"
    limit: int = -1


def day_of(at: float) -> str:
    """The UTC day of a time, as 2027-01-31."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def add(db: sqlite3.Connection, counted: Mapping[Place, UsageCounts]) -> None:
    rows = ((*msgspec.structs.astuple(place), *msgspec.structs.astuple(counts)) for place, counts in counted.items())
    db.executemany(_ADD, rows)


def set_job_pages(db: sqlite3.Connection, totals: Iterable[tuple[str, str, int]]) -> None:
    """Pages of OCR jobs by day and key, as the broker has counted them."""
    db.executemany(_SET_JOBS, [(day, key, OCR, pages) for day, key, pages in totals])


def note_uses(db: sqlite3.Connection, used: Mapping[str, int]) -> None:
    query = (
        "INSERT INTO key_uses (key, used) VALUES (?,?) ON CONFLICT (key) DO UPDATE SET used = MAX(used, excluded.used)"
    )
    db.executemany(query, list(used.items()))


def last_uses(db: sqlite3.Connection) -> dict[str, int]:
    """By key, Unix seconds."""
    return dict(db.execute("SELECT key, used FROM key_uses").fetchall())


def totals(db: sqlite3.Connection, day: str) -> dict[str, UsageCounts]:
    """Of a day, by key."""
    query = f"SELECT key, {_SUMS} FROM usage WHERE day = ? GROUP BY key"
    return {key: UsageCounts(*counts) for key, *counts in db.execute(query, (day,))}


def forget(db: sqlite3.Connection, before: str) -> None:
    db.execute("DELETE FROM usage WHERE day < ?", (before,))


def page(db: sqlite3.Connection, query: UsageQuery) -> list[tuple[Place, UsageCounts]]:
    """In the order of day, key and model."""
    shown = ", ".join(f"{name if name in query.by else repr('')} AS shown_{name}" for name in COLUMNS)
    where, values = ["day BETWEEN ? AND ?"], list[object]((query.first, query.last))
    for name, wanted in (("key", query.key), ("model", query.model)):
        if wanted is not None:
            where.append(f"{name} = ?")
            values.append(wanted)
    order = ", ".join(f"shown_{name} {query.order.upper()}" for name in COLUMNS)
    names = ", ".join(f"shown_{name}" for name in COLUMNS)
    sums = f"SELECT {shown}, {_SUMS} FROM usage WHERE {' AND '.join(where)} GROUP BY {names}"
    behind = ""
    if query.after is not None:
        behind = f"WHERE ({names}) {'<' if query.order == 'desc' else '>'} (?,?,?)"
        values += msgspec.structs.astuple(query.after)
    found = db.execute(f"SELECT * FROM ({sums}) {behind} ORDER BY {order} LIMIT ?", (*values, query.limit))
    return [(Place(day, key, model), UsageCounts(*counts)) for day, key, model, *counts in found]
