"""Texts that are refused before they are encoded."""

from __future__ import annotations

import pytest

from src.engine import prompt
from src.engine.prompt import TextBound
from src.errors import ContextLengthExceeded
from src.ipc.messages.chat import ChatMessage, GenerateRequest, RawPrompt, Tool, ToolCall

BOUND = TextBound(context=100, longest=8)


def test_a_text_of_more_bytes_than_the_context_is_refused_with_its_numbers() -> None:
    """The size, the context and the longest token are told; one byte less passes."""
    BOUND.check_bytes(800, "messages")
    with pytest.raises(ContextLengthExceeded, match=r"801 bytes.*100 tokens.*8 bytes.*800") as caught:
        BOUND.check_bytes(801, "prompt")
    assert caught.value.param == "prompt"


def test_pieces_are_counted_until_it_is_certain() -> None:
    """Pieces have a little more tokens than the whole: only twice the context is certain."""
    BOUND.check_tokens(200, 700, "messages")
    with pytest.raises(ContextLengthExceeded, match=r"700 bytes.*more than 200 tokens.*context is 100"):
        BOUND.check_tokens(201, 700, "messages")


def test_usual_texts_are_not_counted_first() -> None:
    """Four bytes a token, as text has them, are encoded at once."""
    assert not prompt.is_long(400, 100)
    assert prompt.is_long(401, 100)


def test_pieces_make_up_the_text() -> None:
    """Nothing is left out, and no piece is long."""
    text = "wörd " * 50_000
    cut = list(prompt.text_pieces(text))
    assert "".join(cut) == text
    assert max(map(len, cut)) <= 1 << 16


def test_all_text_of_a_request_counts() -> None:
    """Turns, reasoning, calls and tools, in bytes; pictures do not."""
    turn = ChatMessage("user", "é", reasoning="abc", tool_calls=(ToolCall("1", "f", "{}"),))
    request = GenerateRequest("r", "m", (turn,), tools=(Tool("g", "doc", "{  }"),))
    assert prompt.request_size(request) == 2 + 3 + 1 + 2 + 1 + 3 + 4
    assert prompt.request_size(GenerateRequest("r", "m", (), raw_prompt=RawPrompt("abcd"))) == 4
    assert prompt.request_size(GenerateRequest("r", "m", (), raw_prompt=RawPrompt(tokens=(1, 2)))) == 0
