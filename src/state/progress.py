"""What has not ended of the work nobody waits for, with progress and time left: for `/v1/system/status` and `run.py
status`. Functions over a connection to STATE_DIR's file that only reads.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from src.ipc.messages.status import WorkStatus

_MOST = 20
_BATCHES = """
SELECT id, status, total, completed + failed, failed, begun FROM batches
WHERE status IN ('validating', 'in_progress', 'cancelling') ORDER BY seq LIMIT ?
"""
_JOBS = """
SELECT id, state, total, (SELECT COUNT(*) FROM ocr_pages WHERE job = j.id),
    (SELECT COUNT(*) FROM ocr_pages WHERE job = j.id AND failed), created
FROM ocr_jobs j WHERE state IN ('queued', 'running') ORDER BY seq LIMIT ?
"""
_RESPONSES = "SELECT status, COUNT(*) FROM responses WHERE status IN ('queued', 'in_progress') GROUP BY status"


def unfinished(db: sqlite3.Connection, now: float, reason: str | None) -> tuple[WorkStatus, ...]:
    """Batches and OCR jobs, the first of each, and all responses as one. `reason`: why those wait that do."""
    batches = [_work("batch", row, now, reason) for row in db.execute(_BATCHES, (_MOST,))]
    jobs = [_job(row, now) for row in db.execute(_JOBS, (_MOST,))]
    return (*batches, *jobs, *_responses(db, reason))


def _work(
    kind: Literal["batch", "ocr_job"],
    row: tuple[str, str, int | None, int, int, float | None],
    now: float,
    reason: str | None,
) -> WorkStatus:
    name, state, total, done, failed, begun = row
    return WorkStatus(kind, name, state, total, done, failed, eta_s(begun, now, done, total), reason)


def _job(row: tuple[str, str, int | None, int, int, float | None], now: float) -> WorkStatus:
    return _work("ocr_job", row, now, "other OCR jobs are read first" if row[1] == "queued" else None)


def eta_s(begun: float | None, now: float, done: int, total: int | None) -> float | None:
    """Seconds left at the mean pace so far; None while unknown."""
    if begun is None or not done or total is None:
        return None
    return round(max(0.0, now - begun) / done * max(0, total - done), 1)


def _responses(db: sqlite3.Connection, reason: str | None) -> list[WorkStatus]:
    counts = dict(db.execute(_RESPONSES).fetchall())
    if not counts:
        return []
    running, queued = counts.get("in_progress", 0), counts.get("queued", 0)
    state = f"{running} in progress, {queued} queued"
    return [WorkStatus("responses", "background responses", state, running + queued, waits=reason if queued else None)]
