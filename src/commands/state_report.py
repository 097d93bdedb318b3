"""What STATE_DIR holds, for `run.py status` and `run.py doctor`: read from its file, beside who writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from src.ipc.messages.status import WorkStatus
from src.state import progress
from src.state.file import conflict
from src.state.places import FILE
from src.supervisor.table import duration

_WAIT_S = 2.0
_NAMES = {"batch": "batch ", "ocr_job": "OCR job ", "responses": ""}


def unfinished(folder: Path, now: float, reason: str | None = None) -> tuple[WorkStatus, ...]:
    """Batches, OCR jobs and background responses that have not ended. `reason`: why those wait that do."""
    try:
        with closing(_open(folder)) as db:
            return progress.unfinished(db, now, reason)
    except sqlite3.Error:  # no file yet, or one of another version: `integrity` says what is wrong with it
        return ()


def lines(work: Iterable[WorkStatus]) -> list[str]:
    """One for each."""
    return [_line(one) for one in work]


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


def _line(work: WorkStatus) -> str:
    """`batch batch_1: in_progress, 40 of 900 requests (2 failed), 8 min 3 s left at its mean pace; waits: paused`"""
    text = f"{_NAMES[work.kind]}{work.id}: {work.state}"
    if work.kind != "responses":
        of = f" of {work.total}" if work.total is not None else ""
        text += f", {work.done}{of} {'pages' if work.kind == 'ocr_job' else 'requests'}"
    text += f" ({work.failed} failed)" if work.failed else ""
    text += f", {duration(work.eta_s)} left at its mean pace" if work.eta_s is not None else ""
    return text + (f"; waits: {work.waits}" if work.waits else "")
