"""Turns for templates that know less: no parallel calls, no user behind a result, no tools. Pure."""

from __future__ import annotations

import json
from typing import Any

Turn = dict[str, Any]
# what stands for the assistant where a template wants it to speak between a result and a user
_NOTED = "OK."


def one_call_a_turn(turns: list[Turn]) -> list[Turn]:
    """Each call followed by its result."""
    results = {turn.get("tool_call_id"): turn for turn in turns if turn["role"] == "tool"}
    made: list[Turn] = []
    placed: set[str] = set()
    for turn in turns:
        calls = turn.get("tool_calls", ())
        if len(calls) < 2 and turn.get("tool_call_id") not in placed:
            made.append(turn)
        for at, call in enumerate(calls if len(calls) > 1 else ()):
            made.append(turn | {"tool_calls": [call]} | ({} if at == 0 else {"content": "", "reasoning_content": ""}))
            if call["id"] in results:
                made.append(results[call["id"]])
                placed.add(call["id"])
    return made


def alternating(turns: list[Turn]) -> list[Turn]:
    """Users' turns that follow each other as one, and a word of the assistant's between a result and a user."""
    made: list[Turn] = []
    for turn in turns:
        before = made[-1]["role"] if made else None
        if turn["role"] == "user" and before == "tool":
            made.append({"role": "assistant", "content": _NOTED})
        if turn["role"] == before and before in ("user", "assistant") and _texts(made[-1], turn):
            made[-1] = made[-1] | {"content": f"{made[-1]['content']}\n\n{turn['content']}".strip()}
        else:
            made.append(turn)
    return made


def _texts(first: Turn, second: Turn) -> bool:
    said = isinstance(first.get("content"), str) and isinstance(second.get("content"), str)
    return said and not first.get("tool_calls") and not second.get("tool_calls")


def as_text(turns: list[Turn]) -> list[Turn]:
    """Calls and results as what the assistant and the user say, the system's turn as the beginning of the user's."""
    return alternating([_told(turn) for turn in turns])


def _told(turn: Turn) -> Turn:
    role, text = turn["role"], turn.get("content")
    if role == "tool":
        return {"role": "user", "content": f"Result of {turn.get('name', 'the call')}:\n{text}"}
    if role in ("system", "developer"):
        return {"role": "user", "content": text}
    if not turn.get("tool_calls"):
        return turn
    calls = [json.dumps(_call(call["function"]), ensure_ascii=False) for call in turn["tool_calls"]]
    return {"role": role, "content": "\n".join([*([text] if text else []), *calls])}


def _call(function: dict[str, Any]) -> dict[str, Any]:
    return {"name": function["name"], "arguments": function["arguments"]}
