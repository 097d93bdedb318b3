"""A whole chat body in the spellings of other servers' clients, as OpenAI's; `spellings` has its parts. Pure.

Fields that nobody knows inside turns, calls and tools are taken out and named, as those at the top are. What such a
field could mean for an answer is `fields`' to refuse before.
"""

from __future__ import annotations

import json
from typing import Any

_TURN = frozenset(
    [
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "reasoning_content",
        "reasoning",
        "refusal",
        "annotations",
        "audio",
        "function_call",
        "images",
    ]
)
_CALL = frozenset(("id", "type", "function", "custom", "index"))
_TOOL = frozenset(("type", "function", "custom"))
_FUNCTION = frozenset(("name", "description", "parameters", "strict"))
_TEXT = frozenset(("type", "text"))
_STREAM = frozenset(("include_usage", "include_obfuscation", "continuous_usage_stats", "include_progress"))
_THOUGHTS = {"thinking": "thinking", "reasoning": "text", "redacted_thinking": ""}
_UNBOUNDED = -1  # llama.cpp's and LM Studio's word for an answer of any length
_EFFORTS = {"max": "xhigh", "default": None}


def normalize(body: dict[str, Any]) -> list[str]:
    """Rewrite `body` in place; the names of fields inside it that nobody knows."""
    unknown: dict[str, None] = {}
    for turn in _objects(body.get("messages")):
        _turn(turn)
        _strip(turn, _TURN, "messages", unknown)
        for part in _objects(turn.get("content")):
            if part.get("type") == "text" and isinstance(part.get("text"), str):
                _strip(part, _TEXT, "messages.content", unknown)
        for call in _objects(turn.get("tool_calls")):
            _call(call)
            _strip(call, _CALL, "messages.tool_calls", unknown)
    if isinstance(tools := body.get("tools"), list):
        body["tools"] = [_tool(tool) if isinstance(tool, dict) else tool for tool in tools]
    for tool in _objects(body.get("tools")):
        _strip(tool, _TOOL, "tools", unknown)
        if isinstance(function := tool.get("function"), dict):
            _strip(function, _FUNCTION, "tools.function", unknown)
    if isinstance(options := body.get("stream_options"), dict):
        _strip(options, _STREAM, "stream_options", unknown)
    _values(body)
    return list(unknown)


def _objects(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _strip(value: dict[str, Any], known: frozenset[str], path: str, unknown: dict[str, None]) -> None:
    for name in [name for name in value if name not in known]:
        if value.pop(name) is not None:
            unknown[f"{path}.{name}"] = None


def _turn(turn: dict[str, Any]) -> None:
    """Thoughts and calls that stand among an assistant's parts, as Anthropic's clients have them."""
    content = turn.get("content")
    if turn.get("role") != "assistant" or not isinstance(content, list):
        return
    thoughts = [str(part.get(_THOUGHTS[part["type"]]) or "") for part in _objects(content) if _is_thought(part)]
    calls = [part for part in _objects(content) if part.get("type") == "tool_use"]
    left = [part for part in content if not (isinstance(part, dict) and (_is_thought(part) or part in calls))]
    if len(left) == len(content):
        return
    turn["content"] = left or None
    if any(thoughts) and not turn.get("reasoning_content") and not turn.get("reasoning"):
        turn["reasoning_content"] = "".join(thoughts)
    if calls and not turn.get("tool_calls"):
        turn["tool_calls"] = list(map(_called, calls))


def _is_thought(part: dict[str, Any]) -> bool:
    return part.get("type") in _THOUGHTS


def _called(part: dict[str, Any]) -> dict[str, Any]:
    function = {"name": part.get("name"), "arguments": part.get("input") or {}}
    return {"id": part.get("id"), "type": "function", "function": function}


def _call(call: dict[str, Any]) -> None:
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
        function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A function without its type, or as /v1/responses has it."""
    if "type" not in tool and isinstance(tool.get("function"), dict):
        return {"type": "function", **tool}
    if tool.get("type") != "function" or "function" in tool or "name" not in tool:
        return tool
    inner = {name: tool[name] for name in _FUNCTION if name in tool}
    return {**{name: value for name, value in tool.items() if name not in _FUNCTION}, "function": inner}


def _values(body: dict[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        if body.get(name) == _UNBOUNDED:
            body[name] = None
    if body.get("reasoning_effort") in tuple(_EFFORTS):
        body["reasoning_effort"] = _EFFORTS[body["reasoning_effort"]]
    wish = body.get("tool_choice")
    if wish == "any":  # Mistral's and Anthropic's
        body["tool_choice"] = "required"
    elif isinstance(wish, dict) and wish.get("type") == "function" and "function" not in wish and "name" in wish:
        body["tool_choice"] = {"type": "function", "function": {"name": wish["name"]}}
