"""An argument that is written as plain text, as the value that its tool's schema asks for. Pure."""

from __future__ import annotations

import ast
import json
from typing import Any

_KINDS: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}


def properties(name: str, tools: list[dict[str, Any]]) -> dict[str, Any]:
    """A tool's parameters by name; none for a tool that was not offered."""
    for tool in tools:
        function = tool.get("function", {})
        if function.get("name") == name:
            found = function.get("parameters", {}).get("properties", {})
            return found if isinstance(found, dict) else {}
    return {}


def typed(text: str, schema: Any) -> Any:
    """The value of a text: a string where the schema allows no more, or says nothing and it is no object or list."""
    kinds = _kinds(schema)
    if kinds == {"string"}:
        return text
    value = _literal(text)
    if not kinds:
        return value if isinstance(value, list | dict) else text
    fits = _kind(value) in kinds or (isinstance(value, int) and "number" in kinds and not isinstance(value, bool))
    return value if fits or "string" not in kinds else text


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), "")


def _kinds(schema: Any) -> set[str]:
    """The types that a schema names; none where it leaves them open."""
    if not isinstance(schema, dict):
        return set()
    own = schema.get("type", [])
    kinds = {own} if isinstance(own, str) else {kind for kind in own if isinstance(kind, str)}
    kinds |= {_kind(value) for value in schema.get("enum", ())}
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key, ()):
            kinds |= _kinds(option)
    return kinds


def _literal(text: str) -> Any:
    """JSON, or Python's own spelling of it, or the text."""
    try:
        return json.loads(text, strict=False)
    except ValueError:
        pass
    words = {"true": True, "false": False, "none": None, "null": None, "nil": None}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if type(value) in _KINDS else text
