"""Errors as Anthropic's clients read them: their envelope, their types, and two texts by which agents heal themselves.

Pure; `error_handlers` asks on the routes of this API, `messages` for the events of its streams.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from src.api.wire import Wire
from src.errors import ContextLengthExceeded, ServiceError, ThreadsUnsupported

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
# ours, then vLLM's and llama.cpp's: prompt, answer, context
_BOTH = re.compile(r"The prompt has (?P<prompt>\d+) tokens and max_tokens asks for (?P<answer>\d+)")
_PROMPT = (
    *(r"The prompt has (?P<prompt>\d+) tokens", r"the first of them more than (?P<prompt>\d+) tokens"),
    *(r"requested (?P<prompt>\d+) tokens", r"(?P<prompt>\d+) input tokens", r"\((?P<prompt>\d+) tokens\) exceeds"),
)
_CONTEXT = (
    *(r"context is (?P<context>\d+)", r"context length (?:is|of)(?: only)? (?P<context>\d+)"),
    r"context size \((?P<context>\d+)",
)


class ErrorOut(Wire, frozen=True):
    """`param` and `code` are ours: this API has no fields for them."""

    type: str
    message: str
    param: str | None = None
    code: str | None = None
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ErrorEvent(Wire, frozen=True):
    """The body of an error, and the event of one in a stream."""

    type: str  # "error": clients look for it before all else
    error: ErrorOut
    request_id: str | None = None


def envelope(error: ServiceError, request_id: str | None = None) -> ErrorEvent:
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    if isinstance(error, ThreadsUnsupported):
        details = {"error_code": error.code, "unsupported": []}
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return ErrorEvent("error", ErrorOut(kind, _text(error), error.param, error.code, details), request_id)


def _text(error: ServiceError) -> str:
    """Claude Code reads the numbers out of these, and shortens its history or its limit."""
    if not isinstance(error, ContextLengthExceeded):
        return error.message
    context = _number(_CONTEXT, error.message)
    if (both := _BOTH.search(error.message)) and context:
        sum_of = f"{both['prompt']} + {both['answer']} > {context}"
        return f"input length and `max_tokens` exceed context limit: {sum_of}, decrease one of them and try again"
    prompt = _number(_PROMPT, error.message)
    if prompt and context:
        return f"prompt is too long: {prompt} tokens > {context} maximum"
    return f"prompt is too long: {error.message}"


def _number(patterns: tuple[str, ...], text: str) -> str | None:
    found = (re.search(pattern, text) for pattern in patterns)
    return next((match[1] for match in found if match is not None), None)
