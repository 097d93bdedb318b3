"""The functions of OpenAI's API before there were tools: translated into tools, and their calls back. Pure."""

from __future__ import annotations

from typing import Any

from src.errors import InvalidRequest


def to_tools(body: dict[str, Any]) -> bool:
    """Put functions and their calls into tools' words; whether the answer speaks the old way, too.

    Raises:
        InvalidRequest: for a body that speaks both.
    """
    for old, new in (("functions", "tools"), ("function_call", "tool_choice")):
        if body.get(old) and body.get(new) is not None:
            raise InvalidRequest(f"{old} and {new} exclude each other.", param=old)
    turns = body.get("messages")
    for at, turn in enumerate(turns if isinstance(turns, list) else ()):
        if isinstance(turn, dict):
            _turn(turn, at, turns[:at] if isinstance(turns, list) else [])
    functions, call = body.pop("functions", None), body.pop("function_call", None)
    if call is not None:
        body["tool_choice"] = {"type": "function", "function": call} if isinstance(call, dict) else call
    if not functions:
        return False
    if not isinstance(functions, list):
        raise InvalidRequest("functions must be a list.", param="functions")
    body["tools"] = [{"type": "function", "function": one} for one in functions]
    body["parallel_tool_calls"] = False
    return True


def _turn(turn: dict[str, Any], at: int, before: list[Any]) -> None:
    if isinstance(call := turn.get("function_call"), dict):
        turn["tool_calls"] = [{"id": f"call_{at}", "type": "function", "function": call}]
        turn["function_call"] = None
    if turn.get("role") == "function":
        turn["role"] = "tool"
        turn["tool_call_id"] = next(filter(None, map(_call_id, reversed(before))), "call")


def _call_id(turn: Any) -> str | None:
    calls = turn.get("tool_calls") if isinstance(turn, dict) else None
    first = calls[0] if isinstance(calls, list) and calls else None
    return first.get("id") if isinstance(first, dict) else None
