"""What a row of `ocr_jobs` says, to the OCR broker that writes it and to the web process that reads it."""

from __future__ import annotations

import msgspec

from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import JobState, OcrJob

_COUNT = "(SELECT COUNT(*) FROM ocr_pages WHERE job = j.id{})"
SELECT = (
    "SELECT id, owner, state, format, created, expires, bytes, total, error,"
    f" {_COUNT.format('')}, {_COUNT.format(' AND failed')} FROM ocr_jobs j"
)


def job_of(
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
    """The columns of `SELECT`, in its order."""
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
