"""JSON with comments and trailing commas: settings are put into its text in place, and all else stays. Pure, text in
and text out; `merge` asks it for files that are no plain JSON.

Each change reads the text anew: such files are small.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_LITERAL = re.compile(r"[-+.\w]+")
_DEEPEST = 100


class NotJsonc(ValueError):
    """The text is no JSON, also with comments and trailing commas allowed."""


@dataclass
class JsonValue:
    """A value in the text. `children`: of an object by key, of an array by index; `begins`: where each one's key is."""

    start: int
    value: Any = None
    end: int = 0
    children: dict[str | int, JsonValue] = field(default_factory=dict)
    begins: dict[str | int, int] = field(default_factory=dict)


def parse(text: str) -> JsonValue:
    """Raises NotJsonc."""
    node = _value(text, _skip(text, 0), _DEEPEST)
    if _skip(text, node.end) != len(text):
        raise NotJsonc(_where(text, node.end))
    return node


def is_empty(text: str) -> bool:
    """Whether there is nothing but comments."""
    return _skip(text, 0) == len(text)


def replaced(text: str, path: Path, value: Any) -> str:
    """With another value at this place."""
    node = _at(text, path)
    return text[: node.start] + _dumped(value, text, len(path)) + text[node.end :]


def inserted(text: str, path: Path, key: str | None, value: Any) -> str:
    """With one more member in the object, or entry in the array (`key`: None), at this place: behind all others."""
    node = _at(text, path)
    close = node.end - 1
    last = max((child.end for child in node.children.values()), default=None)
    comma = "" if last is None or _has_comma(text, last) else ","
    at = close if last is None else last
    head, tail = text[:at].rstrip(), text[at:close].rstrip()
    name = "" if key is None else f"{json.dumps(key)}: "
    inner, outer = _indent(text) * (len(path) + 1), _indent(text) * len(path)
    member = f"{name}{_dumped(value, text, len(path) + 1)}{',' if last is not None and not comma else ''}"
    return f"{head}{comma}{tail}\n{inner}{member}\n{outer}{text[close:]}"


def removed(text: str, path: Path) -> str:
    """Without the member at this place, and its comma."""
    parent, key = _at(text, path[:-1]), path[-1]
    start, end = parent.begins[key], parent.children[key].end
    if _has_comma(text, end):
        end = _skip(text, end) + 1
    elif before := [child.end for child in parent.children.values() if child.end < start]:
        comma = _skip(text, max(before))
        text, start, end = text[:comma] + text[comma + 1 :], start - 1, end - 1
    line = re.search(r"\n[ \t]*$", text[:start])
    return text[: line.start() if line and re.match(r"[ \t]*(\n|$)", text[end:]) else start] + text[end:]


def _at(text: str, path: Path) -> JsonValue:
    node = parse(text)
    for step in path:
        node = node.children[step]
    return node


def _has_comma(text: str, at: int) -> bool:
    return text.startswith(",", _skip(text, at))


def _dumped(value: Any, text: str, depth: int) -> str:
    indent = _indent(text)
    return json.dumps(value, indent=indent, ensure_ascii=False).replace("\n", "\n" + indent * depth)


def _indent(text: str) -> str:
    """By its first indented key."""
    found = re.search(r'^([ \t]+)"', text, re.MULTILINE)
    return found[1] if found else "  "


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _where(text: str, at: int) -> str:
    return f"unexpected text in line {text.count(chr(10), 0, at) + 1}"


def _value(text: str, at: int, depth: int) -> JsonValue:
    if not depth:
        raise NotJsonc(f"it is nested more than {_DEEPEST} deep")
    if text[at : at + 1] in ("{", "["):
        return _container(text, at, depth)
    found = _STRING.match(text, at) or _LITERAL.match(text, at)
    if found is None:
        raise NotJsonc(_where(text, at))
    try:
        return JsonValue(at, json.loads(found[0]), found.end())
    except ValueError:
        raise NotJsonc(_where(text, at)) from None


def _container(text: str, at: int, depth: int) -> JsonValue:
    """An object or an array: entries with commas between them, and perhaps behind the last."""
    keyed = text[at] == "{"
    node, close = JsonValue(at), "}" if keyed else "]"
    here, may_follow = _skip(text, at + 1), True
    while not text.startswith(close, here):
        if not may_follow:
            raise NotJsonc(_where(text, here))
        key, begin = _key(text, here) if keyed else (len(node.children), here)
        child = _value(text, begin, depth - 1)
        node.children[key], node.begins[key] = child, here
        here = _skip(text, child.end)
        may_follow = text.startswith(",", here)
        here = _skip(text, here + 1) if may_follow else here
    values = {key: child.value for key, child in node.children.items()}
    node.value, node.end = values if keyed else list(values.values()), here + 1
    return node


def _key(text: str, at: int) -> tuple[str, int]:
    """A member's key, and where its value begins."""
    found = _STRING.match(text, at)
    colon = _skip(text, found.end()) if found else at
    if found is None or not text.startswith(":", colon):
        raise NotJsonc(_where(text, at))
    try:
        return json.loads(found[0]), _skip(text, colon + 1)
    except ValueError:  # an escape that JSON has not
        raise NotJsonc(_where(text, at)) from None
