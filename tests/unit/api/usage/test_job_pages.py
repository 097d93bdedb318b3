"""Pages of OCR jobs are asked for while jobs run, and not else."""

from __future__ import annotations

from pathlib import Path

from src.api.state.database import Database
from src.api.usage.job_pages import JobPages
from src.api.usage.ledger import UsageLedger
from src.ipc import client
from src.ipc.messages.ocr import OcrPageCounts, OcrPageCountsRequest
from tests.unit.clock import Clock

DAY = 86_400.0


def test_asked_until_no_job_is_left(tmp_path: Path) -> None:
    state, clock, asked = Database(tmp_path / "state"), Clock(100 * DAY), list[str]()
    ledger = UsageLedger(state, 400, clock)
    answers = [None, OcrPageCounts((("1970-04-11", "app", 2),), 1), OcrPageCounts((("1970-04-11", "app", 5),))]

    def ask(question: OcrPageCountsRequest) -> OcrPageCounts:
        asked.append(question.since)
        if (answer := answers.pop(0)) is None:
            raise client.ConnectError("nobody")
        return answer

    pages = JobPages(ask, ledger, clock)
    for _ in range(9):
        pages.poll()
    assert asked == ["1970-03-02", "1970-03-02", "1970-04-09"]
    assert ledger.spent("app").pages == 5
    pages.expect()
    answers.append(OcrPageCounts(()))
    pages.poll()
    assert len(asked) == 4
    state.close()
