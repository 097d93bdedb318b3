"""The ledger: what is counted is written and added up, never lost, and known before it is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from src.api.state import usage
from src.api.state.database import Database
from src.api.state.usage import Place, UsageCounts, UsageQuery
from src.api.usage.ledger import UsageLedger
from src.errors import BackendUnavailable
from tests.unit.clock import Clock

DAY = 86_400.0
ALL = UsageQuery("1970-01-01", "1999-01-01", order="asc")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state")
    yield database
    database.close()


def rows(state: Database, query: UsageQuery = ALL) -> list[tuple[Place, UsageCounts]]:
    return state.read(lambda db: usage.page(db, query))


def test_counts_are_added_up_over_workers_and_days(state: Database) -> None:
    """Two ledgers, as at a reload, and a restart: nothing is counted twice or lost."""
    clock = Clock(10 * DAY)
    old, new = (UsageLedger(state, 400, clock) for _ in range(2))
    for ledger in (old, new, old):
        ledger.add("app", "demo", UsageCounts(1, 10, 4, 5))
        ledger.flush()
    new.add("app", "ocr", UsageCounts(1, pages=3))
    assert new.spent("app").pages == 3  # before it is written
    new.flush()
    assert new.spent("app") == UsageCounts(4, 30, 12, 15, 3)
    clock.now += DAY
    assert UsageLedger(state, 400, clock).spent("app") == UsageCounts()
    new.add("app", "demo", UsageCounts(1, 1, 0, 1))
    new.close()
    assert rows(state) == [
        (Place("1970-01-11", "app", "demo"), UsageCounts(3, 30, 12, 15)),
        (Place("1970-01-11", "app", "ocr"), UsageCounts(1, pages=3)),
        (Place("1970-01-12", "app", "demo"), UsageCounts(1, 1, 0, 1)),
    ]


@pytest.mark.parametrize("error", [BackendUnavailable("The disk is full."), sqlite3.ProgrammingError("closed")])
def test_what_cannot_be_written_is_kept(error: Exception, state: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or anything else, costs neither the counts nor the budgets."""
    ledger = UsageLedger(state, 400, Clock(DAY))
    ledger.flush()
    ledger.add("app", "demo", UsageCounts(1, 10))

    def full(_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(state, "run", full)
        with pytest.raises(type(error)):
            ledger.flush()
        ledger.add("app", "demo", UsageCounts(1, 7))
        assert ledger.spent("app") == UsageCounts(2, 17)
    ledger.flush()
    assert [counts for _, counts in rows(state)] == [UsageCounts(2, 17)]


def test_a_new_day_is_read_once(state: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that come at midnight wait for one reading, not each for one of its own behind the others'."""
    ledger, tried = UsageLedger(state, 400, Clock(DAY)), list[object]()

    def full(work: object) -> None:
        tried.append(work)
        gevent.sleep(0.01)
        raise BackendUnavailable("The disk is full.")

    monkeypatch.setattr(state, "run", full)
    gevent.joinall([gevent.spawn(ledger.spent, "app") for _ in range(5)], raise_error=True)
    assert len(tried) == 1


def test_old_days_are_forgotten(state: Database) -> None:
    clock = Clock(DAY)
    ledger = UsageLedger(state, 2, clock)
    for _ in range(5):
        ledger.add("app", "demo", UsageCounts(1))
        ledger.flush()
        clock.now += DAY
    assert [place.day for place, _ in rows(state)] == ["1970-01-04", "1970-01-05", "1970-01-06"]


def test_a_use_is_noted_once_a_minute(state: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand requests are one row, written once."""
    clock, written = Clock(120.0), list[dict[str, int]]()
    monkeypatch.setattr(usage, "note_uses", lambda db, used: written.append(dict(used)))
    ledger = UsageLedger(state, 400, clock)
    for _ in range(1000):
        ledger.note_use("app")
        ledger.close()
    clock.now += 60
    ledger.note_use("app")
    ledger.close()
    assert written == [{"app": 120}, {"app": 180}]


def test_the_last_use_is_the_newest(state: Database) -> None:
    for at in (600.0, 300.0):
        ledger = UsageLedger(state, 400, Clock(at))
        ledger.note_use("app")
        ledger.flush()
    assert state.read(usage.last_uses) == {"app": 600}


def test_pages_of_jobs_are_totals(state: Database) -> None:
    """As often as the broker says the same: its counts replace what was there, and never shrink."""
    ledger = UsageLedger(state, 400, Clock(DAY))
    ledger.add("app", "ocr", UsageCounts(1, pages=2))
    for pages in (4, 9, 9, 3):
        ledger.flush([("1970-01-02", "app", pages)])
    assert rows(state) == [(Place("1970-01-02", "app", "ocr"), UsageCounts(1, pages=11))]
    assert ledger.spent("app").pages == 11


def test_rows_are_grouped_and_paged(state: Database) -> None:
    clock = Clock(DAY)
    ledger = UsageLedger(state, 400, clock)
    for _ in range(3):
        for key in ("a", "b"):
            for model in ("m/1", "m/2"):
                ledger.add(key, model, UsageCounts(1, 10))
        clock.now += DAY
    ledger.flush()
    by_key = rows(state, UsageQuery("1970-01-02", "1970-01-03", by=("key",), order="asc"))
    assert by_key == [(Place("", name, ""), UsageCounts(4, 40)) for name in ("a", "b")]
    seen: list[Place] = []
    after = None
    while found := rows(state, UsageQuery("1970-01-01", "1970-01-09", after=after, limit=5)):
        seen += [place for place, _ in found]
        after = seen[-1]
    assert len(seen) == 12
    assert seen == sorted(seen, reverse=True)
