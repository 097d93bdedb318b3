"""Gemma's calls: `call:NAME{key:value,…}`, keys bare, strings between marks of their own. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

_HEAD = re.compile(r"\s*(?:call\s*:\s*)?([\w.:/-]+?)\s*(?=\{)")
_BARE = re.compile(r"[^,\[\]{}:]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


class GemmaCalls:
    """`mark` stands at both ends of a string."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __call__(self, text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        del tools
        found, at = [], 0
        while (head := _HEAD.match(text, at)) is not None:
            arguments, at = self._object(text, head.end())
            found.append({"name": head[1], "arguments": arguments})
        if not found or text[at:].strip():
            raise ValueError("no call")
        return found

    def _object(self, text: str, at: int) -> tuple[dict[str, Any], int]:
        made: dict[str, Any] = {}
        at = _skip(text, at + 1)
        while not text.startswith("}", at):
            key, at = self._value(text, at)
            value, at = self._value(text, _expect(text, at, ":"))
            made[str(key)] = value
            at = _skip(text, at, ",")
        return made, at + 1

    def _list(self, text: str, at: int) -> tuple[list[Any], int]:
        made: list[Any] = []
        at = _skip(text, at + 1)
        while not text.startswith("]", at):
            value, at = self._value(text, at)
            made.append(value)
            at = _skip(text, at, ",")
        return made, at + 1

    def _value(self, text: str, at: int) -> tuple[Any, int]:
        at = _skip(text, at)
        if text.startswith(self._mark, at):
            begun = at + len(self._mark)
            end = text.index(self._mark, begun)
            return text[begun:end], end + len(self._mark)
        if text.startswith("{", at):
            return self._object(text, at)
        return self._list(text, at) if text.startswith("[", at) else _plain(text, at)


def _plain(text: str, at: int) -> tuple[Any, int]:
    found = _QUOTED.match(text, at) or _BARE.match(text, at)
    if found is None:
        raise ValueError("a value is missing")
    try:
        return json.loads(found[0]), found.end()
    except ValueError:
        return found[0].strip(), found.end()


def _skip(text: str, at: int, also: str = "") -> int:
    while at < len(text) and (text[at].isspace() or text[at] == also):
        at += 1
    if at >= len(text):
        raise ValueError("the call is cut")
    return at


def _expect(text: str, at: int, what: str) -> int:
    at = _skip(text, at)
    if text[at] != what:
        raise ValueError(f"{what!r} is missing")
    return at + 1
