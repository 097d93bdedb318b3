"""Earlier turns as templates were trained to see them: ids, arguments, results, thinking, and what templates refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from src.engine.families import folding, history
from src.engine.families.formats import Language
from src.engine.families.history import Manner
from src.engine.families.tool_formats import TOOLS

OFFERED = [
    {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"properties": {"a": {}}}}}
]


def call(key: str, **arguments: Any) -> dict[str, Any]:
    return {"id": key, "type": "function", "function": {"name": "weather", "arguments": arguments}}


TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "U"},
    {"role": "assistant", "content": "", "reasoning_content": "T", "tool_calls": [call("x", a=1), call("y", a=2)]},
    {"role": "tool", "content": "R1", "tool_call_id": "x"},
    {"role": "tool", "content": "R2", "tool_call_id": "y"},
    {"role": "user", "content": "V"},
]


def first(manner: Manner) -> list[dict[str, Any]]:
    return next(history.forms(TURNS, manner))


def test_results_name_their_tool() -> None:
    assert [turn.get("name") for turn in first(Manner()) if turn["role"] == "tool"] == ["weather", "weather"]


@pytest.mark.parametrize(
    ("ids", "known"), [("kimi", ["functions.weather:0", "functions.weather:1"]), ("any", ["x", "y"])]
)
def test_ids_as_the_family_gives_them(ids: Any, known: list[str]) -> None:
    turns = first(Manner(ids=ids))
    assert [one["id"] for one in turns[2]["tool_calls"]] == known
    assert [turns[3]["tool_call_id"], turns[4]["tool_call_id"]] == known


def test_ids_of_nine_characters() -> None:
    """Mistral's templates refuse others; the same conversation has the same ones, for the prefix cache."""
    turns = first(Manner(ids="nine"))
    ids = [one["id"] for one in turns[2]["tool_calls"]]
    assert all(len(key) == 9 and key.isalnum() for key in ids)
    assert len(set(ids)) == 2
    assert ids == [one["id"] for one in first(Manner(ids="nine"))[2]["tool_calls"]]


def test_arguments_as_text_or_objects() -> None:
    """The family's way first, then the other, for a template that refuses."""
    own, other = [
        form[2]["tool_calls"][0]["function"]["arguments"] for form in list(history.forms(TURNS, Manner("text")))[:2]
    ]
    assert (own, other) == ('{"a": 1}', {"a": 1})


def test_thinking_under_the_templates_key() -> None:
    manner = Manner.of(
        Language("harmony", tools=TOOLS["harmony"], channels="harmony"), "{{ tools }}{{ message.thinking }}"
    )
    assert first(manner)[2]["thinking"] == "T"
    said = [TURNS[2] | {"content": "Let me see."}]
    turn = next(history.forms(said, manner))[0]
    assert (turn["thinking"], turn["content"]) == ("T\n\nLet me see.", ""), "with calls it has one of both"


def test_one_call_a_turn() -> None:
    apart = folding.one_call_a_turn(TURNS)
    assert [turn["role"] for turn in apart] == ["system", "user", "assistant", "tool", "assistant", "tool", "user"]
    assert [turn["content"] for turn in apart if turn["role"] == "tool"] == ["R1", "R2"]


def test_turns_that_alternate() -> None:
    roles = [turn["role"] for turn in folding.alternating(TURNS)]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    merged = folding.alternating([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    assert merged == [{"role": "user", "content": "a\n\nb"}]


def test_all_as_text() -> None:
    """For a template that knows neither system nor tools: nothing is lost."""
    told = folding.as_text(TURNS)
    assert [turn["role"] for turn in told] == ["user", "assistant", "user"]
    text = json.dumps(told)
    assert all(said in text for said in ("S", "U", "weather", "R1", "R2", "V"))


def test_tools_that_a_template_does_not_show() -> None:
    """DeepSeek V3.1's knows calls and no tools: they stand in the system's turn, with an example of a call."""
    manner = Manner.of(Language("deepseek", tools=TOOLS["deepseek_v31"]), "{{ messages }}<｜tool▁calls▁begin｜>")
    assert manner.tools == "text"
    system = history.with_tools(TURNS, OFFERED, manner)[0]["content"]
    assert system.startswith("S\n\n")
    assert '"weather"' in system
    assert "<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>" in system
    inside = Manner.of(Language("phi-4", tools=TOOLS["phi4_mini"]), "{{ message['tools'] }}")
    assert json.loads(history.with_tools([], OFFERED, inside)[0]["tools"])[0]["name"] == "weather"


def test_what_a_template_leaves_out_is_seen() -> None:
    assert history.shown("weather R1 R2", TURNS)
    assert not history.shown("weather R1", TURNS)


def test_parameters_without_descriptions() -> None:
    (tool,) = history.described(OFFERED)
    assert tool["function"]["parameters"]["properties"]["a"] == {"description": ""}
