"""OpenAI's shapes of batches. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from src.api.paging import Listed
from src.api.state.batches import LineError, StoredBatch
from src.api.wire import Wire

Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/ocr"]
_WINDOW = re.compile(r"([1-9][0-9]{0,2})(h|d)")
_UNIT_S = {"h": 3600, "d": 86400}
_LONGEST_S = 30 * 86400


class ExpiresAfter(BaseModel):
    """When a batch's files end."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class BatchRequest(BaseModel):
    """`completion_window`: OpenAI has 24h alone; here any number of hours or days, to 30 days."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: str = Field(max_length=128)
    endpoint: Endpoint
    completion_window: str = Field(max_length=8)
    metadata: (
        dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]] | None
    ) = Field(None, max_length=16)
    output_expires_after: ExpiresAfter | None = None

    @field_validator("completion_window")
    @classmethod
    def _window(cls, value: str) -> str:
        if not _WINDOW.fullmatch(value) or seconds_of(value) > _LONGEST_S:
            raise ValueError("hours or days, such as 24h or 7d, to 30d")
        return value


def seconds_of(window: str) -> int:
    """Of a window that was checked."""
    return int(window[:-1]) * _UNIT_S[window[-1]]


class RequestCounts(Wire, frozen=True):
    total: int
    completed: int
    failed: int


class BatchErrors(Wire, frozen=True):
    data: tuple[LineError, ...]
    object: str = "list"


class BatchOut(Wire, frozen=True):
    id: str
    endpoint: str
    input_file_id: str
    completion_window: str
    status: str
    created_at: int
    expires_at: int
    request_counts: RequestCounts
    model: str | None = None
    errors: BatchErrors | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    metadata: dict[str, str] | None = None
    object: str = "batch"


class BatchList(Listed[BatchOut], frozen=True):
    """Batches."""


def batch_out(batch: StoredBatch) -> BatchOut:
    ended: dict[str, Any] = {f"{batch.status}_at": batch.ended} if batch.ended is not None else {}
    if batch.status == "completed":
        ended["finalizing_at"] = batch.ended
    errors = (
        None if batch.errors is None else BatchErrors(msgspec.json.decode(batch.errors, type=tuple[LineError, ...]))
    )
    return BatchOut(
        id=batch.id,
        endpoint=batch.endpoint,
        input_file_id=batch.input,
        completion_window=batch.completion_window,
        status=batch.status,
        created_at=batch.created,
        expires_at=batch.expires,
        request_counts=RequestCounts(batch.total, batch.completed, batch.failed),
        model=batch.model,
        errors=errors,
        output_file_id=batch.output,
        error_file_id=batch.error,
        in_progress_at=batch.begun,
        cancelling_at=batch.cancelling,
        metadata=None if batch.metadata is None else msgspec.json.decode(batch.metadata),
        **ended,
    )
