"""Rows of OCR jobs, as the OCR broker writes them: here they are only read. Functions over one transaction of
`Database.read`.
"""

from __future__ import annotations

import msgspec

from src.api.state.rows import OwnedRows
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import JobState, OcrJob

_COUNT = "(SELECT COUNT(*) FROM ocr_pages WHERE job = j.id{})"
_SELECT = (
    "SELECT id, owner, state, format, created, expires, bytes, total, error,"
    f" {_COUNT.format('')}, {_COUNT.format(' AND failed')} FROM ocr_jobs j"
)


def _job(
    name: str,
    owner: str,
    state: JobState,
    kind: str,
    created: float,
    expires: float,
    size: int,
    total: int | None,
    error: bytes | None,
    done: int,
    failed: int,
) -> OcrJob:
    return OcrJob(
        id=name,
        state=state,
        format=kind,
        created=created,
        expires=expires,
        bytes=size,
        total=total,
        done=done,
        failed=failed,
        error=None if error is None else msgspec.msgpack.decode(error, type=Failed),
        owner=owner,
    )


ROWS = OwnedRows("ocr_jobs", _SELECT, _job, "OCR job", "after")
