"""What a server's refusal means to our client. Pure.

What is wrong with the request is the client's to know, in the server's words; what is wrong with the server is not.
"""

from __future__ import annotations

import re

import msgspec

from src.errors import (
    BackendUnavailable,
    ContextLengthExceeded,
    InternalError,
    InvalidRequest,
    Overloaded,
    ServiceError,
    UnsupportedValue,
)

_LONGEST = 500
_RETRY_S = 5.0
_MAX_RETRY_S = 3600.0  # whatever an upstream server asks for
_CONTEXT = re.compile(r"context (length|size|window)|maximum model length", re.IGNORECASE)
_FIELD = re.compile(r"[Ff]ield '(\w+)'")  # llama.cpp's way to name it
_OURS = {"n_cmpl": "n", "n_probs": "logprobs", "repeat_penalty": "repetition_penalty", "n_predict": "max_tokens"}


class _Said(msgspec.Struct):
    message: str = ""
    type: str | None = None
    param: str | None = None
    code: int | str | None = None


class _Envelope(msgspec.Struct):
    error: _Said | str | None = None
    detail: msgspec.Raw = msgspec.Raw()  # FastAPI's own


def from_status(status: int, body: bytes, retry_after: str | None) -> ServiceError:
    """The error that an HTTP answer other than 200 stands for."""
    said = _said(body)
    if status in (401, 403):
        return BackendUnavailable("The upstream server refuses this service's key (UPSTREAM_API_KEY).")
    if status == 404:
        return BackendUnavailable(f"The upstream server does not know this: {said.message[:_LONGEST]}")
    if status in (429, 503):
        wait_s = min(float(retry_after), _MAX_RETRY_S) if retry_after and retry_after.isdecimal() else _RETRY_S
        kind = Overloaded if status == 429 else BackendUnavailable
        return kind("The upstream server takes nothing at the moment.", retry_after_s=wait_s)
    return _wrong(said) if status < 500 or status == 501 else InternalError()


def from_event(error: bytes) -> ServiceError:
    """The error that an event of a stream stands for."""
    said = _said(b'{"error":' + error + b"}")
    code = int(said.code) if said.code is not None and str(said.code).isdecimal() else 500
    return _wrong(said) if 400 <= code < 500 or said.type == "invalid_request_error" else InternalError()


def _wrong(said: _Said) -> ServiceError:
    message = said.message[:_LONGEST] or "The upstream server refuses the request."
    param = said.param or _named(said.message)
    exceeded = "exceed_context_size_error", "context_length_exceeded"
    if said.type in exceeded or said.code in exceeded or _CONTEXT.search(message):
        return ContextLengthExceeded(message, param=param if param == "max_tokens" else "messages")
    kind = UnsupportedValue if said.code == UnsupportedValue.code else InvalidRequest
    return kind(message, param=_OURS.get(param, param) if param else None)


def _named(message: str) -> str | None:
    """The field a refusal speaks of, if it does not say so in its own field."""
    if (found := _FIELD.search(message)) is not None:
        return found[1]
    return "tools" if "tool choice" in message or "tool_choice" in message else None


def _said(body: bytes) -> _Said:
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Said(body[:_LONGEST].decode(errors="replace"))
    if isinstance(envelope.error, _Said):
        return envelope.error
    return _Said(envelope.error or bytes(envelope.detail).decode(errors="replace"))
