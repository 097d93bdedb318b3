"""Turns that no template takes as they came."""

from __future__ import annotations

import pytest

from src.api.openai.history import with_whole_calls
from src.ipc.messages.chat import ChatMessage, ImagePart, ToolCall

_USER = ChatMessage("user", "go")


def turns(arguments: str) -> tuple[ChatMessage, ...]:
    calls = (ToolCall("c1", "find", arguments), ToolCall("c2", "look", '{"at":1}'))
    results = (ChatMessage("tool", "found", tool_call_id="c1"), ChatMessage("tool", "seen", tool_call_id="c2"))
    return (_USER, ChatMessage("assistant", "Let me.", tool_calls=calls), *results)


def test_whole_calls_stay_as_they_are() -> None:
    """The very same turns."""
    given = turns('{"q": 1}')
    assert with_whole_calls(given) is given


@pytest.mark.parametrize("arguments", ['{"q": "x', "[]", "null", "5", '"x"', "[" * 100_000])
def test_a_cut_call_and_its_result_are_text(arguments: str) -> None:
    """The other call of the turn, and its result, stay calls."""
    _, assistant, first, second = with_whole_calls(turns(arguments))
    assert assistant.content == f"Let me.\nfind({arguments}"
    assert [call.id for call in assistant.tool_calls] == ["c2"]
    assert (first.role, first.content, first.tool_call_id) == ("user", "Result of find: found", None)
    assert second == turns("{}")[3]


def test_no_arguments_are_an_empty_object() -> None:
    """As clients send for a tool without parameters."""
    assistant = with_whole_calls(turns(""))[1]
    assert [call.arguments for call in assistant.tool_calls] == ["{}", '{"at":1}']


def test_a_results_pictures_stay() -> None:
    """Behind the text that says whose result it is."""
    picture = ImagePart(b"x")
    given = (*turns("{")[:2], ChatMessage("tool", "", tool_call_id="c1", parts=(picture,)))
    assert with_whole_calls(given)[2].parts == ("Result of find: ", picture)
