"""OpenAI's custom tools on /v1/chat/completions: offered as functions with one string, called with one text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.conftest import Service
from tests.contract.test_codex import GRAMMAR as FLAT

GRAMMAR = {"type": "grammar", "grammar": {name: FLAT[name] for name in ("syntax", "definition")}}
PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Edit.", "format": GRAMMAR}}
SHOUT = {"type": "custom", "custom": {"name": "shout"}}
ECHO = {"type": "function", "function": {"name": "echo"}}
TOOLS = [ECHO, SHOUT, PATCH]
NAMED = {"type": "custom", "custom": {"name": "shout"}}
TEXT = 'two\nlines, "quoted", é 🎉'


def written(text: str) -> str:
    """What the fake engine says: the call that a model would write."""
    return json.dumps({"input": text})


def test_a_call_is_answered_with_its_text(service: Service) -> None:
    choice = service.chat(written(TEXT), tools=TOOLS, tool_choice=NAMED).json()["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "shout", "input": TEXT})
    assert "function" not in call


@pytest.mark.parametrize(("said", "text"), [(written(TEXT), TEXT), ('{"input" : 7}', '{"input" : 7}')])
def test_its_text_grows_in_a_stream(said: str, text: str, service: Service) -> None:
    """What is no such call is its input as it is, at the end."""
    stream = service.stream(said, tools=TOOLS, tool_choice=NAMED)
    pieces = [p for e in stream if e != "[DONE]" for c in e["choices"] for p in c["delta"].get("tool_calls", ())]
    assert (pieces[0]["type"], pieces[0]["custom"]["name"], bool(pieces[0]["id"])) == ("custom", "shout", True)
    assert "".join(piece["custom"].get("input", "") for piece in pieces) == text
    assert not any("function" in piece for piece in pieces)


def test_both_kinds_in_one_answer(service: Service) -> None:
    """A list of calls, of a function and of a custom tool."""
    said = [{"name": "echo", "arguments": {"a": 1}}, {"name": "shout", "arguments": {"input": TEXT}}]
    message = service.chat(json.dumps(said, separators=(",", ":")), tools=TOOLS, tool_choice="required").json()[
        "choices"
    ][0]["message"]
    echo, shout = message["tool_calls"]
    assert (echo["type"], json.loads(echo["function"]["arguments"]), "custom" in echo) == ("function", {"a": 1}, False)
    assert (shout["type"], shout["custom"]["input"]) == ("custom", TEXT)


def test_allowed_tools_are_the_only_ones(service: Service) -> None:
    def ask(name: str) -> Any:
        allowed = {"mode": "required", "tools": [{"type": "custom", "custom": {"name": name}}]}
        said = '[{"name":"shout","arguments":{"input":"a"}}]'
        return service.chat(said, tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})

    message = ask("shout").json()["choices"][0]["message"]
    assert message["tool_calls"][0]["custom"] == {"name": "shout", "input": "a"}
    refused = ask("none")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tool_choice")


def test_calls_of_earlier_turns(service: Service) -> None:
    call = {"id": "c1", "type": "custom", "custom": {"name": "shout", "input": TEXT}}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
        {"role": "user", "content": "and now"},
    ]
    reply = service.http.post("/v1/chat/completions", json={"messages": turns, "tools": [SHOUT]})
    assert reply.json()["choices"][0]["message"]["content"] == "and now"
    assert "X-Ignored-Fields" not in reply.headers


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "a b"}}]}, "tools[0].custom.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "a", "format": {"type": "grammar"}}}]}, "tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {"name": "b"}}}, "tool_choice"),
        ({"tools": [SHOUT, {"type": "function", "function": {"name": "shout"}}]}, "tools"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, service: Service) -> None:
    refused = service.chat("x", **fields)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text
