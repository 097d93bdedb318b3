"""The items of /v1/responses as chat's turns. Pure; for requests, and for what was kept of earlier responses."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from src.api.openai import schemas_responses as shapes
from src.api.openai import spellings, translation
from src.api.openai.custom_input import INPUT
from src.api.openai.response_tools import flat_name
from src.errors import InvalidRequest, UnsupportedValue

_TYPES = (
    *("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"),
    *("tool_search_call", "tool_search_output", "reasoning", "compaction", "compaction_summary"),
)
_PARTS = (
    *("input_text", "output_text", "text", "reasoning_text", "summary_text", "refusal"),
    *("input_image", "input_file"),
)
_TOOLS = ("function", "custom")
_WITH_PARTS = ("content", "output")
_ITEMS = TypeAdapter(list[shapes.Item])
_SEARCH = "tool_search"
# begins what /v1/responses/compact made: another server's cannot be read
_COMPACTION = "stoker-summary:"
_SUMMARY = "Summary of the conversation so far:\n\n"


def check_types(items: object, path: str = "input") -> None:
    """Name an item or part that is not known by its own type, before a union's members are tried one by one.

    Raises:
        UnsupportedValue: naming the types there are.
    """
    _check("Items", items, path, _TYPES, "message")
    for at, item in enumerate(items if isinstance(items, list) else ()):
        for field in _WITH_PARTS if isinstance(item, dict) else ():
            _check("Parts", item.get(field), f"{path}[{at}].{field}", _PARTS)


def check_tools(tools: object, path: str = "tools", known: tuple[str, ...] = (*_TOOLS, "namespace")) -> None:
    """The same of tools, a namespace's included; hosted ones are set aside before."""
    _check("Tools", tools, path, known)
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict) and tool.get("type") == "namespace":
            check_tools(tool.get("tools"), f"{path}[{at}].tools", _TOOLS)


def _check(what: str, values: object, path: str, known: tuple[str, ...], default: str | None = None) -> None:
    for at, value in enumerate(values if isinstance(values, list) else ()):
        kind = value.get("type", default) if isinstance(value, dict) else ""
        if not isinstance(kind, str) or kind not in known:
            named = f" of type {kind[:64]!r}" if isinstance(kind, str) and kind else " without a type"
            text = f"{what}{named} are not supported here; {', '.join(known)} are."
            raise UnsupportedValue(text, param=f"{path}[{at}].type")


def kept_items(raw: list[dict[str, Any]]) -> list[shapes.Item]:
    """Items that were checked when they came, or that this server made."""
    return _ITEMS.validate_python(raw)


def turns_of(given: Iterable[shapes.Item]) -> list[dict[str, Any]]:
    """Items as chat's turns: calls belong to the assistant's turn before them."""
    turns: list[dict[str, Any]] = []
    for at, item in enumerate(given):
        if isinstance(item, shapes.MessageItem):
            turns.append({"role": item.role, "content": _content(item.content, f"input[{at}].content")})
        elif isinstance(item, shapes.CompactionItem):
            turns.append({"role": "user", "content": _SUMMARY + _summary(item, at)})
        elif (call := _call(item, at)) is not None:
            if not turns or turns[-1]["role"] != "assistant":
                turns.append({"role": "assistant", "content": ""})
            turns[-1].setdefault("tool_calls", []).append(call)
        elif (output := _output(item, at)) is not None:
            turns.append({"role": "tool", **output})
        # earlier thinking is not shown to the model again, as OpenAI does
    return turns


def _call(item: shapes.Item, at: int) -> dict[str, Any] | None:
    """A call as chat has it, if the item is one; a custom tool's as that of a function with one string."""
    if isinstance(item, shapes.CallItem):
        return _function(item.call_id, flat_name(item.name, item.namespace), item.arguments)
    if isinstance(item, shapes.CustomCallItem):
        return _function(item.call_id, flat_name(item.name, item.namespace), json.dumps({INPUT: item.input}))
    if isinstance(item, shapes.SearchCallItem):
        arguments = item.arguments if isinstance(item.arguments, str) else json.dumps(item.arguments or {})
        return _function(item.call_id or f"{_SEARCH}_{at}", _SEARCH, arguments)
    return None


def _function(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _output(item: shapes.Item, at: int) -> dict[str, Any] | None:
    if isinstance(item, shapes.CallOutputItem | shapes.CustomOutputItem):
        return {"tool_call_id": item.call_id, "content": _content(item.output, f"input[{at}].output")}
    if isinstance(item, shapes.SearchOutputItem):
        # its call is the item before
        return {"tool_call_id": item.call_id or f"{_SEARCH}_{at - 1}", "content": json.dumps(item.tools)}
    return None


def _content(content: str | list[shapes.Part], param: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    return translation.content_of([_part(part, f"{param}[{at}]") for at, part in enumerate(content)])


def _part(part: shapes.Part, param: str) -> dict[str, Any]:
    if isinstance(part, shapes.InputImage):
        return {"type": "image_url", "image_url": {"url": part.image_url, "detail": part.detail}}
    if isinstance(part, shapes.InputFile):
        return spellings.pdf(part.file_data, part.filename, origin=param)
    return {"type": "text", "text": part.text or part.refusal}


def compaction(summary: str) -> str:
    """A summary as the opaque text that stands for it on the wire. It is not secret: the client made it up to us."""
    return base64.b64encode((_COMPACTION + summary).encode()).decode()


def _summary(item: shapes.CompactionItem, at: int) -> str:
    try:
        text = base64.b64decode(item.encrypted_content, validate=True).decode()
    except ValueError:
        text = ""
    if not text.startswith(_COMPACTION):
        raise InvalidRequest("This compaction was not made by this server.", param=f"input[{at}].encrypted_content")
    return text.removeprefix(_COMPACTION)


def searched_tools(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools that a search of an earlier turn found: the model may call them since."""
    return [tool for item in items if item["type"] == "tool_search_output" for tool in item.get("tools") or ()]
