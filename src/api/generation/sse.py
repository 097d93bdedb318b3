"""Server-sent events: how a stream's bytes look. An error is an event of its own, and never followed by [DONE]."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from flask import Response

from src.api.wire import Wire
from src.ipc.messages.chat import PromptProgress

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
MIMETYPE = "text/event-stream"

_encode = msgspec.json.Encoder().encode


def event(data: Wire) -> bytes:
    return b"data: " + _encode(data) + b"\n\n"


def named(name: str, data: Wire) -> bytes:
    """An event with a name, as OpenAI's responses and Anthropic's messages have."""
    return b"event: " + name.encode() + b"\n" + event(data)


def ping(progress: PromptProgress | None) -> bytes:
    """A comment into a silence: how much of the prompt is computed, while that is told."""
    if progress is None or not 0 < progress.total > progress.processed:
        return PING
    return b": prompt %d%%\n\n" % (100 * progress.processed // progress.total)


def response(chunks: Iterable[bytes]) -> Response:
    """A streaming response that no proxy buffers or stores."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(chunks, mimetype=MIMETYPE, headers=headers)
