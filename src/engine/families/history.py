"""Earlier turns as a family's template was trained to see them. Pure; tokenizer thread.

Clients send OpenAI's shape. A template may want arguments as text, ids of its own kind, results that name their tool,
thinking under another key, the tools inside the system's turn, or one call a turn.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from src.engine.families import folding
from src.engine.families.formats import Arguments, Ids, Language
from src.engine.families.forms import FORMS

Turn = dict[str, Any]
_NINE = 9
_WORD = re.compile(r"[a-zA-Z0-9]+")
_LOOKED_AT = 400  # characters of a result
# Mistral's templates take nine letters and digits
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_THINKING_KEY = re.compile(r"message\.thinking|message\[['\"]thinking['\"]\]")
_NO_TEXT = re.compile(r"content['\"]?\]? is none")
_TOOLS_IN_TURN = re.compile(r"message\[['\"]tools['\"]\]|message\.tools\b")
_TOOLS_GIVEN = re.compile(r"(?<![.\w'\"])tools\b(?!['\"])")


@dataclass(frozen=True)
class Manner:
    """How a template wants its history."""

    arguments: Arguments = "object"
    ids: Ids = "any"
    thinking_key: bool = False
    silent: bool = False  # a turn that only calls has no text, not an empty one
    tools: Literal["template", "turn", "text"] = "template"  # who shows them
    example: str = ""  # of a call, for tools that are shown as text
    thought_or_text: bool = False  # a turn with calls has one of both

    @classmethod
    def of(cls, language: Language, template: str) -> Manner:
        tools = language.tools
        given = _TOOLS_GIVEN.search(template) is not None
        inside = _TOOLS_IN_TURN.search(template) is not None
        return cls(
            tools.arguments if tools is not None else "object",
            tools.ids if tools is not None else "any",
            _THINKING_KEY.search(template) is not None,
            _NO_TEXT.search(template) is not None,
            "template" if given or tools is None or not template else "turn" if inside else "text",
            _example(tools.name) if tools is not None else "",
            language.channels == "harmony",
        )


def _example(name: str) -> str:
    """How a format writes a call."""
    form = FORMS.get(name)
    if form is None:
        return '{"name": …, "arguments": {…}}'
    inner = f"{form.key}VALUE{form.value_end}" if form.key else "{ARGUMENTS}"
    text = form.open + form.before + inner + form.after + form.close
    places = {"{name}": "NAME", "{key}": "KEY", "{n}": "0", "{string}": "true"}
    return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)


def forms(turns: list[Turn], manner: Manner) -> Iterator[list[Turn]]:
    """The turns in the family's manner; then, for a template that refuses or leaves out, in what others take.

    Arguments the other way, calls without a text, one call a turn.
    """
    own = _own(turns, manner)
    other: Arguments = "text" if manner.arguments == "object" else "object"
    if any(turn.get("tool_calls") for turn in turns):
        yield [_with_arguments(turn, manner.arguments) for turn in own]
        yield [_with_arguments(turn, other) for turn in own]
        yield [_with_arguments(_silent(turn), manner.arguments) for turn in own]
    else:
        yield own
    if any(len(turn.get("tool_calls", ())) > 1 for turn in turns):
        yield [_with_arguments(turn, manner.arguments) for turn in folding.one_call_a_turn(own)]


def folded(turns: list[Turn], manner: Manner) -> Iterator[list[Turn]]:
    """For a template that takes none of `forms`: turns that alternate, then all as text."""
    own = _own(turns, manner)
    yield [_with_arguments(turn, manner.arguments) for turn in folding.alternating(own)]
    yield folding.as_text(own)


def _own(turns: list[Turn], manner: Manner) -> list[Turn]:
    own = _numbered(_named([_with_thinking(turn, manner) for turn in turns]), manner.ids)
    return list(map(_silent, own)) if manner.silent else own


def shown(text: str, turns: list[Turn]) -> bool:
    """Whether a prompt holds the turns' calls and results: some templates leave them out without a word."""
    names = {call["function"]["name"] for turn in turns for call in turn.get("tool_calls", ())}
    return results_shown(text, turns) and all(name in text for name in names)


def results_shown(text: str, turns: list[Turn]) -> bool:
    """By a word of each, since templates may escape what they show."""
    said = (turn["content"] for turn in turns if turn["role"] == "tool" and isinstance(turn["content"], str))
    words = (max(_WORD.findall(content[:_LOOKED_AT]), key=len, default="") for content in said)
    return all(word in text for word in words)


def with_tools(turns: list[Turn], tools: list[dict[str, Any]], manner: Manner) -> list[Turn]:
    """The tools in the system's turn, for a template that looks for them there, or does not show them at all."""
    text = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
    begun = bool(turns) and turns[0]["role"] == "system"
    head = turns[0] if begun else {"role": "system", "content": ""}
    if manner.tools == "turn":
        return [head | {"tools": text}, *turns[begun:]]
    told = f"# Tools\n\nYou may call these functions:\n{text}\n\nTo call one, write:\n{manner.example}"
    return [head | {"content": f"{head['content']}\n\n{told}".strip()}, *turns[begun:]]


def described(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools whose parameters all have a description, for templates that print it unseen."""

    def complete(function: dict[str, Any]) -> dict[str, Any]:
        schema = function["parameters"]
        found = {name: {"description": "", **value} for name, value in schema.get("properties", {}).items()}
        return function | {
            "parameters": {"description": "", **schema, "properties": found, "required": schema.get("required", [])}
        }

    return [tool | {"function": complete(tool["function"])} for tool in tools]


def _with_thinking(turn: Turn, manner: Manner) -> Turn:
    thought = turn.get("reasoning_content")
    if thought is None or not manner.thinking_key:
        return turn
    if manner.thought_or_text and turn.get("tool_calls") and turn.get("content"):
        return turn | {"thinking": f"{thought}\n\n{turn['content']}", "content": ""}
    return turn | {"thinking": thought}


def _named(turns: list[Turn]) -> list[Turn]:
    """Results name the tool that gave them."""
    names = {call["id"]: call["function"]["name"] for turn in turns for call in turn.get("tool_calls", ())}
    return [
        turn | {"name": names[turn["tool_call_id"]]}
        if turn["role"] == "tool" and "name" not in turn and turn.get("tool_call_id") in names
        else turn
        for turn in turns
    ]


def _numbered(turns: list[Turn], ids: Ids) -> list[Turn]:
    """Calls under the ids that the family itself would have given them."""
    if ids == "any":
        return turns
    calls = [call for turn in turns for call in turn.get("tool_calls", ())]
    new = {call["id"]: _id(call, at, ids) for at, call in enumerate(calls)}

    def renamed(turn: Turn) -> Turn:
        if turn.get("tool_calls"):
            turn = turn | {"tool_calls": [call | {"id": new[call["id"]]} for call in turn["tool_calls"]]}
        known = turn.get("tool_call_id")
        return turn if known is None else turn | {"tool_call_id": new.get(known, known)}

    return [renamed(turn) for turn in turns]


def _id(call: dict[str, Any], at: int, ids: Ids) -> str:
    if ids == "kimi":
        return f"functions.{call['function']['name']}:{at}"
    digest = hashlib.sha256(f"{at} {call['id']}".encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:_NINE])


def _with_arguments(turn: Turn, kind: Arguments) -> Turn:
    if kind == "object" or not turn.get("tool_calls"):
        return turn
    calls = [call | {"function": _as_text(call["function"])} for call in turn["tool_calls"]]
    return turn | {"tool_calls": calls}


def _as_text(function: dict[str, Any]) -> dict[str, Any]:
    return function | {"arguments": json.dumps(function["arguments"], ensure_ascii=False)}


def _silent(turn: Turn) -> Turn:
    """A turn that only calls says nothing at all: some templates ask whether it does."""
    return turn | {"content": None} if turn.get("tool_calls") and not turn.get("content") else turn
