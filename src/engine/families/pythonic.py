"""Calls that are written as Python's: one a line, or a list of them. Pure."""

from __future__ import annotations

import ast
import re
from typing import Any

from src.engine.families import json_calls
from src.engine.families.values import properties

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)
# MCP's tools have hyphens in their names: Python's grammar knows a letter that looks like one
_HYPHENED = re.compile(r"[^\W\d][\w.]*(?:-[\w.]+)+(?=\s*[(=])")
_HYPHEN = "\u30fc"
_TWO_LISTS = re.compile(r"\]\s*\[")
_WORDS = {"true": True, "false": False, "null": None}


class _JsonWords(ast.NodeTransformer):
    """Templates write containers as JSON: there `true` is no name."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(_WORDS[node.id]), node) if node.id in _WORDS else node


def parse(text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`[name(key=value), …]`, or one call a line; some models write JSON instead."""
    if text.lstrip().lstrip("[").lstrip().startswith("{"):
        return json_calls.objects(text, tools)
    try:
        lines = ast.parse(_as_python(text.strip().rstrip(";")), mode="exec").body
        return [_call(node, tools) for line in lines for node in _calls(line)] or _nothing()
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _as_python(text: str) -> str:
    """Without what models write and Python does not: line ends in strings, hyphens in names, a list beside a list."""
    made, at = [], 0
    for string in _STRING.finditer(text):
        made += [_plain(text[at : string.start()]), string[0].replace("\n", "\\n")]
        at = string.end()
    return "".join([*made, _plain(text[at:])])


def _plain(code: str) -> str:
    return _TWO_LISTS.sub(", ", _HYPHENED.sub(lambda name: name[0].replace("-", _HYPHEN), code))


def _nothing() -> list[dict[str, Any]]:
    raise ValueError("no call")


def _calls(line: ast.stmt) -> list[ast.expr]:
    if not isinstance(line, ast.Expr):
        raise ValueError("a call is an expression")
    return list(line.value.elts) if isinstance(line.value, ast.List | ast.Tuple) else [line.value]


def _call(node: ast.expr, tools: list[dict[str, Any]]) -> dict[str, Any]:
    if not isinstance(node, ast.Call):
        raise ValueError("not a call")
    name = ast.unparse(node.func).removesuffix(".call").replace(_HYPHEN, "-")
    places = list(properties(name, tools))
    if len(node.args) > len(places) or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("arguments have names")
    given = [
        *zip(places, node.args, strict=False),
        *((str(one.arg).replace(_HYPHEN, "-"), one.value) for one in node.keywords),
    ]
    return {"name": name, "arguments": {key: _value(value) for key, value in given}}


def _value(node: ast.expr) -> Any:
    return ast.literal_eval(_JsonWords().visit(node))
