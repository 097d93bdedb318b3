"""A whole chat body in the spellings of other servers' clients, as OpenAI's; `spellings` has its parts. Pure.

Fields that nobody knows inside turns, calls and tools are taken out and named, as those at the top are. What such a
field could mean for an answer is `fields`' to refuse before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
_NAME = frozenset(("name",))
_INSIDE = {
    "stream_options": frozenset(("include_usage", "include_obfuscation", "continuous_usage_stats", "include_progress")),
    "reasoning": frozenset(),  # what is left of OpenRouter's word
    "response_format": frozenset(("type", "json_schema")),
    "prediction": frozenset(("type", "content")),
}
_RENAMED = {"repeat_penalty": "repetition_penalty", "n_predict": "max_tokens"}  # llama.cpp's
_SWITCHES = ("enable_thinking", "thinking", "think")
_SWITCHED = {"enabled": True, "disabled": False}
_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}  # Mistral's and Anthropic's
_THOUGHTS = {"thinking": "thinking", "reasoning": "text", "redacted_thinking": ""}
_UNBOUNDED = -1  # llama.cpp's and LM Studio's word for an answer of any length
_EFFORTS = {"max": "xhigh", "default": None, "": None}


def normalize(body: dict[str, Any]) -> list[str]:
    """Rewrite `body` in place; the names of fields inside it that nobody knows."""
    unknown: dict[str, None] = {}
    if isinstance(turns := body.get("messages"), list):
        body["messages"] = [each for turn in turns for each in _with_results(turn)]
    for turn in _objects(body.get("messages")):
        _turn(turn)
        _strip(turn, _TURN, "messages", unknown)
        for part in _objects(turn.get("content")):
            if part.get("type") == "text" and isinstance(part.get("text"), str):
                _strip(part, _TEXT, "messages.content", unknown)
        for call in _objects(turn.get("tool_calls")):
            _call(call)
            _strip(call, _CALL, "messages.tool_calls", unknown)
    _tools(body, unknown)
    rename(body)
    _think(body)
    _values(body)
    _form(body)
    unknown |= dict.fromkeys(unknown_inside(body, _INSIDE))
    body.pop("reasoning", None)
    return list(unknown)


def _tools(body: dict[str, Any], unknown: dict[str, None]) -> None:
    """The tools, and a choice that names one; some clients repeat the whole tool there."""
    if isinstance(tools := body.get("tools"), list):
        body["tools"] = [_tool(tool) if isinstance(tool, dict) else tool for tool in tools]
    for tool in _objects(body.get("tools")):
        _strip(tool, _TOOL, "tools", unknown)
        if isinstance(function := tool.get("function"), dict):
            _strip(function, _FUNCTION, "tools.function", unknown)
    if isinstance(wish := body.get("tool_choice"), dict) and isinstance(wish.get("function"), dict):
        _strip(wish["function"], _NAME, "tool_choice.function", unknown)


def own_names(body: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Chat's fields that this body has under other names: what an engine sets aside is named as the client has it."""
    effort = isinstance(body.get("reasoning"), dict) and body["reasoning"].get("effort") is not None
    switch = next((name for name in _SWITCHES if body.get(name) is not None), None)
    names: dict[str, tuple[str, ...]] = {}
    if effort and body.get("reasoning_effort") is None:
        names["reasoning_effort"] = ("reasoning.effort",)
    if switch is not None:
        names["chat_template_kwargs"] = (switch,)
    return names


def unknown_inside(body: dict[str, Any], known: Mapping[str, frozenset[str]]) -> list[str]:
    """Take out of these objects of `body` what nobody knows, and name it."""
    unknown: dict[str, None] = {}
    for name, members in known.items():
        if isinstance(found := body.get(name), dict):
            _strip(found, members, name, unknown)
    return list(unknown)


def unknown_of_each(values: object, known: frozenset[str], path: str) -> list[str]:
    """The same of each object in a list."""
    unknown: dict[str, None] = {}
    for value in _objects(values):
        _strip(value, known, path, unknown)
    return list(unknown)


def _objects(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _strip(value: dict[str, Any], known: frozenset[str], path: str, unknown: dict[str, None]) -> None:
    for name in [name for name in value if name not in known]:
        if value.pop(name) is not None:
            unknown[f"{path}.{name}"] = None


def _with_results(turn: Any) -> list[Any]:
    """A user's turn with the results of tools among its parts, as Anthropic's clients have them: turns of their own."""
    content = turn.get("content") if isinstance(turn, dict) and turn.get("role") == "user" else None
    results = [part for part in _objects(content) if part.get("type") == "tool_result"]
    if not results:
        return [turn]
    found = set(map(id, results))  # each compared with all would take the square of them
    left = [part for part in content or () if id(part) not in found]
    turns = [
        {"role": "tool", "tool_call_id": part.get("tool_use_id"), "content": part.get("content")} for part in results
    ]
    return [*turns, {**turn, "content": left}] if left else turns


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
    return part.get("type") in tuple(_THOUGHTS)  # a client's type may be anything, also what has no hash


def _called(part: dict[str, Any]) -> dict[str, Any]:
    function = {"name": part.get("name"), "arguments": part.get("input") or {}}
    return {"id": part.get("id"), "type": "function", "function": function}


def _call(call: dict[str, Any]) -> None:
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
        function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A function without its type, or as /v1/responses and Anthropic's clients have it."""
    if tool.get("type") in (None, "custom") and isinstance(schema := tool.get("input_schema"), dict):
        tool = {**tool, "type": "function", "parameters": schema}
        del tool["input_schema"]
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
    if isinstance(wish := body.get("tool_choice"), dict):
        body["tool_choice"] = _choice(wish)
        if wish.get("disable_parallel_tool_use") is True and body.get("parallel_tool_calls") is None:
            body["parallel_tool_calls"] = False
    elif isinstance(wish, str):
        functions = [tool.get("function") for tool in _objects(body.get("tools"))]
        names = [function.get("name") for function in _objects(functions)]
        body["tool_choice"] = _named(wish) if wish in names else _CHOICES.get(wish, wish)


def _choice(wish: dict[str, Any]) -> object:
    """A choice as Anthropic's clients, or those of /v1/responses, have it."""
    kind = wish.get("type")
    if isinstance(kind, str) and kind in _CHOICES:
        return _CHOICES[kind]
    if kind in ("function", "tool") and "function" not in wish and "name" in wish:
        return _named(wish["name"])
    if kind == "allowed_tools" and "allowed_tools" not in wish:
        tools = [_choice(tool) for tool in _objects(wish.get("tools"))]
        return {"type": kind, "allowed_tools": {"mode": wish.get("mode"), "tools": tools}}
    return wish


def _named(name: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def rename(body: dict[str, Any]) -> None:
    """llama.cpp's names of fields, as ours."""
    for old, new in _RENAMED.items():
        if (value := body.pop(old, None)) is not None and body.get(new) is None:
            body[new] = value


def _think(body: dict[str, Any]) -> None:
    """How much is thought, in the words of DeepSeek's, GLM's, Qwen's and OpenRouter's APIs."""
    given = [body.pop(name, None) for name in _SWITCHES]
    said = [_SWITCHED.get(str(one.get("type"))) if isinstance(one, dict) else one for one in given]
    if isinstance(reasoning := body.get("reasoning"), dict):
        effort, enabled = reasoning.pop("effort", None), reasoning.pop("enabled", None)
        said.append(enabled)
        if effort is not None and body.get("reasoning_effort") is None:
            body["reasoning_effort"] = effort
    switch = next((one for one in said if one is not None), None)
    options = body.get("chat_template_kwargs") or {}
    if switch is not None and isinstance(options, dict):
        body["chat_template_kwargs"] = {"enable_thinking": switch, **options}


def _form(body: dict[str, Any]) -> None:
    """A schema beside the form's type, as llama.cpp's clients and those of /v1/responses have it."""
    form = body.get("response_format")
    if not isinstance(form, dict) or form.get("json_schema") is not None or not isinstance(form.get("schema"), dict):
        return
    if form.get("type") in ("json_schema", "json_object"):
        named = {name: form[name] for name in ("schema", "strict", "description") if form.get(name) is not None}
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": form.get("name") or "answer", **named},
        }
