"""Calls whose arguments are JSON: objects with a name in them, or a name before each. Pure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

_NAMES = ("name", "tool_name", "function", "recipient_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_BETWEEN = re.compile(r"[\s,;\[\]]*")
_WRONG_ESCAPE = re.compile(r'\\(?!["\\/bfnrtu])')
_SINGLE = re.compile(r"\s*\[?\s*\{\s*'")
_FENCE = re.compile(r"\A[\s`]*(?:json\b)?\s*|[\s`]+\Z")
_DECODER = json.JSONDecoder(strict=False)
_NULL = re.compile(r"\s*null\b")


def objects(text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`{"name": …, "arguments": {…}}`, some of them, in a list or not; the fields' other names are known, too."""
    del tools
    text = _FENCE.sub("", text)
    return [_call(found) for found in (_python(text) if _SINGLE.match(text) else _values(text))]


def keyed(text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`{"NAME": {…}}`, some of them."""
    del tools
    return [{"name": name, "arguments": value} for found in _values(text) for name, value in found.items()]


def _values(text: str) -> Iterator[dict[str, Any]]:
    at = _begin(text, 0)
    while at < len(text):
        value, at = _decoded(text, at)
        if not isinstance(value, dict):
            raise ValueError("a call is an object")
        yield value
        at = _begin(text, at)


def _python(text: str) -> list[dict[str, Any]]:
    """Objects as Python shows them: what a small model writes that has seen few calls."""
    try:
        found = ast.literal_eval(text.strip())
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return found if isinstance(found, list) else [found]


def _begin(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found is not None else at


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """One JSON value; a backslash that escapes nothing is itself."""
    try:
        return _DECODER.raw_decode(text, at)
    except ValueError:
        mended = _WRONG_ESCAPE.sub(r"\\\\", text[at:])
        value, end = _DECODER.raw_decode(mended)
        return value, len(text) - (len(mended) - end)


def _call(found: dict[str, Any]) -> dict[str, Any]:
    inner = found.get("function")
    if isinstance(inner, dict):
        found = inner
    name = next((found[key] for key in _NAMES if isinstance(found.get(key), str)), None)
    if name is None:
        raise ValueError("a call has a name")
    return {"name": name, "arguments": next((found[key] for key in _ARGUMENTS if key in found), {})}


class Headed:
    """A head that names the call, then its arguments."""

    def __init__(self, head: re.Pattern[str]) -> None:
        """`head` looks for the `{` behind it: arguments that are `null`, or nothing, are found without."""
        self._head = re.compile(head.pattern.removesuffix(r"(?=\{)"))

    def __call__(self, text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        del tools
        found, at = [], 0
        while (head := self._head.search(text, at)) is not None:
            value, at = self._value(text, head.end())
            found.append({"name": head[1], "arguments": value})
        if not found:
            raise ValueError("no call")
        return found

    @staticmethod
    def _value(text: str, at: int) -> tuple[Any, int]:
        if text.startswith("{", at):
            return _decoded(text, at)
        if (null := _NULL.match(text, at)) is not None:
            return {}, null.end()
        if text[at:].strip(" \n`") and not text[at:].lstrip().startswith("<"):
            raise ValueError("arguments are an object")
        return {}, at
