"""Calls whose arguments stand each between marks of its own. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from src.engine.families import json_calls
from src.engine.families.values import properties, typed

_CDATA = re.compile(r"\s*<!\[CDATA\[(.*?)\]\]>\s*", re.DOTALL)


class Tagged:
    """`call` finds a `name` and a `body`, `argument` in it a `key` and a `value`.

    A group `string` that says "true" makes a value text, and "false" JSON, whatever the schema says.
    """

    def __init__(self, call: str, argument: str) -> None:
        self._call = re.compile(call, re.DOTALL)
        self._argument = re.compile(argument, re.DOTALL)

    def __call__(self, text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if text.lstrip()[:1] in ("{", "["):  # a model that has seen more of JSON
            return json_calls.objects(text, tools)
        found = [self._read(call["name"].strip(), call["body"], tools) for call in self._call.finditer(text)]
        if not found or not all(call["name"] for call in found):
            raise ValueError("no call")
        return found

    def _read(self, name: str, body: str, tools: list[dict[str, Any]]) -> dict[str, Any]:
        known = properties(name, tools)
        arguments: dict[str, Any] = {}
        for found in self._argument.finditer(body):
            key = found["key"].strip()
            arguments[key] = _value(found, known.get(key))
        return {"name": name, "arguments": arguments}


def _value(found: re.Match[str], schema: Any) -> Any:
    text = _unwrapped(found["value"])
    declared = found.groupdict().get("string")
    if declared == "true":
        return text
    if declared == "false":
        try:
            return json.loads(text, strict=False)
        except ValueError:
            pass  # it is not what it says: a value that reads badly loses no call
    return typed(text, schema)


def _unwrapped(text: str) -> str:
    """Without the line ends that stand beside the marks, or the wrapping of text that looks like them."""
    if (wrapped := _CDATA.fullmatch(text)) is not None:
        return wrapped[1]
    return text.removeprefix("\n").removesuffix("\n")
