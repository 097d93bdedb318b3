"""How large the parts of a JSON body may be, before any schema reads it. Pure; called by `service.json_body`, and by
`serving` for what other APIs' bodies become in chat's words.

The schemas know the meaning of fields; this knows that a list of a million of them is an attack.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from src.errors import InvalidRequest
from src.settings import SecuritySettings

_DEEPEST = 64
_MOST_BIASES = 1024
_ITEMS_PER_TURN = 2
_SCHEMAS = ("response_format", "guided_json", "structured_outputs", "tools", "functions", "text_format")


def check(body: dict[str, object], limits: SecuritySettings) -> None:
    """Raise `InvalidRequest`, naming the field, for the first part that is too large."""
    for name, most, setting in (
        ("messages", limits.max_messages, "MAX_MESSAGES"),
        ("tools", limits.max_tools, "MAX_TOOLS"),
        ("functions", limits.max_tools, "MAX_TOOLS"),
    ):
        _count(name, body.get(name), most, setting)
    _count("logit_bias", body.get("logit_bias"), _MOST_BIASES, "")
    messages = body.get("messages")
    for at, turn in enumerate(messages if isinstance(messages, list) else ()):
        content = turn.get("content") if isinstance(turn, dict) else None
        if isinstance(content, list):
            _count(f"messages[{at}].content", content, limits.max_content_parts, "MAX_CONTENT_PARTS")
    _schemas(body, limits.max_schema_kb)


def check_items(items: object, limits: SecuritySettings) -> None:
    """As `check`, for a response's `input`: a turn is several items there."""
    _count("input", items, _ITEMS_PER_TURN * limits.max_messages, f"{_ITEMS_PER_TURN} × MAX_MESSAGES")


def _count(name: str, value: object, most: int, setting: str) -> None:
    if isinstance(value, list | dict) and len(value) > most:
        raise InvalidRequest(f"{name} has {len(value)} entries, at most {most} are taken{_by(setting)}.", param=name)


def _schemas(body: dict[str, object], most_kb: int) -> None:
    for name, schema in _definitions(body):
        if _depth(schema) > _DEEPEST:
            raise InvalidRequest(f"{name} is nested more than {_DEEPEST} levels deep.", param=name)
        if len(msgspec.json.encode(schema)) > most_kb << 10:
            raise InvalidRequest(f"{name} is larger than {most_kb} KiB{_by('MAX_SCHEMA_KB')}.", param=name)


def _definitions(body: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name in _SCHEMAS:
        value = body.get(name)
        if isinstance(value, list):
            yield from ((f"{name}[{at}]", entry) for at, entry in enumerate(value))
        elif value is not None:
            yield name, value


def _depth(value: object) -> int:
    """How deep it is nested; without recursion, for it may be very deep."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


def _by(setting: str) -> str:
    return f" ({setting})" if setting else ""
