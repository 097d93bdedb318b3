"""Functions as they were before there were tools."""

from __future__ import annotations

from typing import Any

import pytest

from src.api.openai.spellings import to_tools
from src.errors import InvalidRequest

F = {"name": "f", "parameters": {"type": "object"}}


def test_functions_become_tools() -> None:
    body: dict[str, Any] = {"functions": [F], "function_call": {"name": "f"}}
    assert to_tools(body)
    assert body == {
        "tools": [{"type": "function", "function": F}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize("call", ["none", "auto"])
def test_what_asks_for_nothing(call: str) -> None:
    body: dict[str, Any] = {"functions": [], "function_call": call}
    assert not to_tools(body)
    assert body == {"tool_choice": call}


def test_a_history_of_calls() -> None:
    """A function's answer belongs to the call before it."""
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "b"},
    ]
    to_tools({"messages": turns})
    assert turns[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert (turns[2]["role"], turns[2]["tool_call_id"]) == ("tool", turns[1]["tool_calls"][0]["id"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"functions": [F], "tools": []}, "functions"),
        ({"function_call": "auto", "tool_choice": "auto"}, "function_call"),
        ({"functions": {"name": "f"}}, "functions"),
    ],
)
def test_both_languages_at_once_are_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        to_tools(body)
    assert refused.value.param == param


def test_a_body_of_any_shape() -> None:
    for odd in (None, 5, "x", [None, 1, {"role": "function"}, {"function_call": 5}]):
        assert not to_tools({"messages": odd})
