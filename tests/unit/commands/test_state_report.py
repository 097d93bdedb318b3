"""What status and doctor read of STATE_DIR, beside whoever writes it."""

from __future__ import annotations

from pathlib import Path

from src.api.state import batches
from src.api.state.batches import Line, StoredBatch
from src.api.state.database import Database
from src.commands import state_report
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrJob, OcrOptions
from src.ocr.document_run import Source
from src.ocr.job_store import JobStore


def batch(name: str) -> StoredBatch:
    return StoredBatch(name, "", "validating", "/v1/completions", "file-1", "24h", None, None, None, 100, 900, 0)


def test_progress_and_what_is_left(tmp_path: Path) -> None:
    state = Database(tmp_path)
    assert state_report.unfinished(tmp_path, 0) == ()
    assert state_report.integrity(tmp_path) is None
    for name in ("batch_a", "batch_b"):
        state.run(lambda db: batches.insert(db, batch(name), 10))  # noqa: B023  # it runs at once
    state.run(lambda db: batches.add_lines(db, "batch_a", [Line(at, f"c{at}", 0, 1) for at in range(1, 5)]))
    state.run(lambda db: batches.begin(db, batch("batch_a"), "m", 4, 100))
    state.run(lambda db: batches.record(db, "batch_a", 1, b"{}", failed=True, now=110))
    first, second = state_report.lines(state_report.unfinished(tmp_path, 120, "paused"))
    assert (
        first
        == "batch batch_a: in_progress, 1 of 4 requests (1 failed), 1 min 0 s left at its mean pace; waits: paused"
    )
    assert second == "batch batch_b: validating, 0 of 0 requests; waits: paused"
    assert state_report.integrity(tmp_path) is None
    state.close()


def test_ocr_jobs_and_responses_are_told(tmp_path: Path) -> None:
    store, state = JobStore(tmp_path), Database(tmp_path)
    for name in ("ocr-1", "ocr-2"):
        source = Source(name, "/nowhere", base64=False, ranges=(), options=OcrOptions(), priority="low")
        store.add(OcrJob(name, "queued", "text", 100.0, 9e9, 3), source)
    store.begin("ocr-1", 4)
    store.add_page("ocr-1", 0, Failed("invalid_document", "damaged"), 0.0)
    assert state_report.lines(state_report.unfinished(tmp_path, 120)) == [
        "OCR job ocr-1: running, 1 of 4 pages (1 failed), 1 min 0 s left at its mean pace",
        "OCR job ocr-2: queued, 0 pages; waits: other OCR jobs are read first",
    ]
    query = (
        "INSERT INTO responses (id, owner, status, created, response, items, model)"
        " VALUES ('r', '', 'queued', 1, '', '', 'm')"
    )
    state.run(lambda db: db.execute(query))
    said = state_report.lines(state_report.unfinished(tmp_path, 120, "paused"))[-1]
    assert said == "background responses: 0 in progress, 1 queued; waits: paused"
    store.close()
    state.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "work.sqlite").write_bytes(b"no database" * 1000)
    assert "not a database" in str(state_report.integrity(tmp_path))
    assert state_report.unfinished(tmp_path, 0) == ()
