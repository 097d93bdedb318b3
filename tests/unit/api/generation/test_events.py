"""Server-sent events: the bytes on the wire."""

from __future__ import annotations

import json

import pytest

from src.api.generation import streaming
from src.api.openai.schemas import DeltaOut
from src.ipc.messages.chat import PromptProgress


@pytest.mark.parametrize(
    "text", ["plain", "two\nlines\r\n\r\nand a blank one", "data: [DONE]\n\n", "\u2028", "你好 🎉", ""]
)
def test_a_text_stays_inside_its_event(text: str) -> None:
    """One event is one `data:` line and one blank line, whatever the text holds."""
    event = streaming.sse(DeltaOut(role="assistant", content=text))
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    assert b"\r" not in event
    assert json.loads(event[6:])["content"] == text


def test_a_ping_is_a_comment() -> None:
    """Clients ignore lines that begin with a colon."""
    assert streaming.PING.startswith(b":")
    assert streaming.PING.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("progress", "comment"),
    [
        (PromptProgress(2000, 990), b": prompt 49%\n\n"),
        (PromptProgress(2000, 1999), b": prompt 99%\n\n"),
        (PromptProgress(2000, 2000), streaming.PING),
        (PromptProgress(0, 0), streaming.PING),
        (None, streaming.PING),
    ],
)
def test_a_ping_says_how_much_of_the_prompt_is_computed(progress: PromptProgress | None, comment: bytes) -> None:
    assert streaming.ping(progress) == comment


def test_no_proxy_holds_a_stream_back() -> None:
    """nginx does not buffer, nobody stores, and the type is the one clients look for."""
    response = streaming.respond(iter([b"data: 1\n\n"]), lambda _: b"", lambda: None)
    assert response.mimetype == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in response.headers
    assert response.is_streamed
