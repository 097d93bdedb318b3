"""Usage as it is counted: added up in memory, written to the state every second, beside today's totals of each key.

`add` and `note_use` do no I/O: a request never waits for a disk. What cannot be written is kept and written later. A
worker that is killed loses a second. Web process; one per worker, `run` in a greenlet of its own.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable

import gevent
from gevent.lock import BoundedSemaphore
from loguru import logger

from src.api.state import usage
from src.api.state.database import Database
from src.api.state.usage import Place, UsageCounts, day_of
from src.errors import ServiceError

_FLUSH_S = 1.0
_RETRY_S = 30.0
_REFRESH_S = 5.0  # other workers count too, at a reload
_MINUTE_S = 60
_DAY_S = 86_400.0
_NOTHING = UsageCounts()

JobPages = Iterable[tuple[str, str, int]]


class UsageLedger:
    """`spent` is today's use of a key: what is stored, and what is not yet."""

    def __init__(self, state: Database, keep_days: int, clock: Callable[[], float] = time.time) -> None:
        self._state, self._keep_days, self._clock = state, keep_days, clock
        self._pending: dict[Place, UsageCounts] = {}
        self._writing: dict[Place, UsageCounts] = {}
        self._uses: dict[str, int] = {}
        self._noted: dict[str, int] = {}
        self._stored: dict[str, UsageCounts] = {}
        self._stored_day = ""
        self._read_at = float("-inf")
        self._flushing, self._reading = BoundedSemaphore(), BoundedSemaphore()

    def add(self, key: str, model: str, counts: UsageCounts) -> None:
        place = Place(day_of(self._clock()), key, model)
        self._pending[place] = self._pending.get(place, _NOTHING) + counts

    def note_use(self, key: str) -> None:
        """To the minute: most requests change nothing."""
        minute = int(self._clock()) // _MINUTE_S * _MINUTE_S
        if self._noted.get(key) != minute:
            self._noted[key] = self._uses[key] = minute

    def spent(self, key: str) -> UsageCounts:
        """Today's; the first time it is asked for, it is read from the state."""
        today = day_of(self._clock())
        if self._stored_day != today:
            with self._reading:  # once for all that wait for it
                if self._stored_day != today:
                    self._try_flush()
        stored = self._stored.get(key, _NOTHING) if self._stored_day == today else _NOTHING
        unstored = (
            counts
            for counted in (self._writing, self._pending)
            for place, counts in counted.items()
            if place.key == key and place.day == today
        )
        return sum(unstored, stored)

    def flush(self, job_pages: JobPages = ()) -> None:
        """Write what has been counted, and read what there is.

        Raises:
            BackendUnavailable: the state cannot be written; nothing is lost.
        """
        with self._flushing:
            self._writing, self._pending = self._pending, {}
            uses, self._uses = self._uses, {}
            today, written = day_of(self._clock()), False
            try:
                self._stored = self._state.run(lambda db: self._exchange(db, uses, job_pages, today))
                self._stored_day, self._read_at, written = today, self._clock(), True
            finally:
                if not written:
                    for place, counts in self._writing.items():
                        self._pending[place] = self._pending.get(place, _NOTHING) + counts
                    self._uses = uses | self._uses
                self._writing = {}

    def run(self) -> None:
        while True:
            gevent.sleep(_FLUSH_S)
            if self._is_due() and not self._try_flush():
                gevent.sleep(_RETRY_S)

    def close(self) -> None:
        """What was counted last."""
        if self._pending or self._uses:
            self._try_flush()

    def _is_due(self) -> bool:
        known = bool(self._stored_day) and self._clock() - self._read_at >= _REFRESH_S  # somebody asks for it
        return bool(self._pending or self._uses or known)

    def _try_flush(self) -> bool:
        try:
            self.flush()
        except ServiceError:  # the state has said so
            logger.warning("usage is kept in memory until it can be written; budgets go by what is known")
            if self._stored_day != (today := day_of(self._clock())):
                self._stored, self._stored_day = {}, today
            return False
        return True

    def _exchange(
        self, db: sqlite3.Connection, uses: dict[str, int], job_pages: JobPages, today: str
    ) -> dict[str, UsageCounts]:
        usage.add(db, self._writing)
        usage.set_job_pages(db, job_pages)
        usage.note_uses(db, uses)
        if today != self._stored_day:
            usage.forget(db, day_of(self._clock() - self._keep_days * _DAY_S))
        return usage.totals(db, today)
