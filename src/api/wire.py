"""The base of everything that is sent, and the error envelope. Pure; every room of `api` builds on it."""

from __future__ import annotations

import msgspec


class Wire(msgspec.Struct, frozen=True):
    """Base of what is sent."""


class ErrorBody(Wire, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


class ErrorEnvelope(Wire, frozen=True):
    error: ErrorBody
    request_id: str | None = None


class PlainError(Wire, frozen=True):
    """An error as Ollama has it; also the last line of a stream that failed."""

    error: str
