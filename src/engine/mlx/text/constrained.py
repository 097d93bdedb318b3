"""Grammars of calls that must be made, written as the model's family writes them: it stays on its own ground. Pure.

Marks that are tokens of their own are named by their ids, so that no text spells them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from src.engine.families.formats import Tools
from src.engine.families.forms import FORMS, CallForm
from src.engine.mlx.text.tool_grammar import Schema, arguments
from src.ipc.messages.chat import Tool

_MAX_CALLS = 8
_TEXT = r"TEXT: /(.|\n)*/"
_FINAL = "<|channel|>final<|message|>"
_PART = re.compile(r"<[^<>]+>")
_SPACE = r"/[ \t\n]{0,4}/"
# of a string that stands as it is, between marks, a grammar can keep no more than what it may be
_FREE = frozenset(("type", "description", "title", "default", "examples"))
Mark = Callable[[str], str]


class Unwritable(Exception):
    """Arguments that this form cannot keep to its schema: they are written as bare JSON."""


def form_of(tools: Tools | None, offered: Sequence[Tool]) -> CallForm | None:
    """How calls of these tools are written by a family; None where they are bare JSON."""
    form = FORMS.get(tools.name) if tools is not None else None
    if form is None:
        return None
    try:
        required(form, offered, _nothing, json.dumps, (), parallel=False)
    except Unwritable:
        return None
    return form


def required(
    form: CallForm, tools: Sequence[Tool], schema: Schema, mark: Mark, marks: Sequence[str], *, parallel: bool
) -> str:
    """A Lark grammar of one call or more; raises `Unwritable`."""
    writer = Writer(form, schema, mark, marks)
    calls = [writer.call(number, tool) for number, tool in enumerate(tools)]
    more = "" if form.single or not parallel else f" ({writer.text(form.between)} call){{0,{_MAX_CALLS - 1}}}"
    whole = f"{_SPACE} {writer.text(form.open)} call{more} {writer.text(form.close)}"
    lines = [f"start: {writer.thought()} {whole}", f"call: {' | '.join(f'call{n}' for n in range(len(tools)))}"]
    return "\n".join([*lines, _TEXT, *calls, *writer.rules])


def answer(form: CallForm, expression: str, mark: Mark, marks: Sequence[str]) -> str:
    """A Lark grammar of an answer that follows an expression, in a message of its own."""
    writer = Writer(form, _nothing, mark, marks)
    return "\n".join(
        [f"start: {writer.thought()} {writer.text(_FINAL)} answer", f"answer: {expression}", _TEXT, *writer.rules]
    )


def _nothing(schema: str, param: str) -> str:
    """Where no schema is written."""
    del schema, param
    return ""


def marks_of(tools: Tools) -> tuple[str, ...]:
    """Whatever of a format may be a token of its own, the parts of a mark that is made of two as well."""
    own = ("<|channel|>", "<|message|>", "<|constrain|>", "<|start|>", "<|end|>", "<|call|>")
    given = (tools.start, tools.end, *tools.inner, *(own if tools.name == "harmony" else ()))
    parts = (part for mark in (tools.start, tools.end) for part in _PART.findall(mark))
    return tuple(dict.fromkeys(mark for mark in (*given, *parts) if mark))


class Writer:
    """Turns a form's texts into Lark expressions."""

    def __init__(self, form: CallForm, schema: Schema, mark: Mark, marks: Sequence[str]) -> None:
        self._form, self._schema = form, schema
        self._mark = mark
        known = sorted((each for each in marks if mark(each).startswith("<[")), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self.rules: list[str] = []

    def thought(self) -> str:
        """A message of thinking, or none."""
        if self._form.thought is None:
            return ""
        start, end = self._form.thought
        self.rules.append(f"thought{self._lazy(end)}: TEXT {self.text(end)}")
        return f"({self.text(start)} thought)?"

    def call(self, number: int, tool: Tool) -> str:
        before, after = self.text(self._form.before, name=tool.name), self.text(self._form.after)
        if not self._form.key:
            self.rules.append(f"arguments{number}: {arguments(tool, self._schema)}")
            return f"call{number}: {before} arguments{number} {after}"
        return f"call{number}: {before} {' '.join(self.values(number, tool))} {after}"

    def text(self, text: str, **places: str) -> str:
        """A literal, its marks as tokens, its places filled; `{n}` is any number."""
        for place, value in places.items():
            text = text.replace(f"{{{place}}}", value)
        literals = (self._literal(part) for part in text.split("{n}"))
        return " /[0-9]{1,3}/ ".join(literals).strip()

    def _literal(self, text: str) -> str:
        if self._known is None:
            return json.dumps(text, ensure_ascii=False) if text else ""
        pieces = re.split(f"({self._known.pattern})", text)
        return " ".join(
            self._mark(piece) if at % 2 else json.dumps(piece, ensure_ascii=False)
            for at, piece in enumerate(pieces)
            if piece
        )

    def _lazy(self, end: str) -> str:
        """A text that an ordinary text ends does so where that comes first."""
        return "" if self.text(end).startswith("<[") else "[lazy]"

    def values(self, number: int, tool: Tool) -> Iterator[str]:
        """Arguments in the schema's order, each between its marks; those that need not be may be left out."""
        schema = json.loads(tool.parameters)
        found = schema.get("properties", {})
        if tool.input_format is not None or any(key in schema for key in ("anyOf", "oneOf", "allOf", "$ref")):
            raise Unwritable(tool.name)
        for at, (key, value) in enumerate(found.items()):
            rule = f"value{number}x{at}"
            kind = "true" if _is_text(value) else "false"
            self.rules.append(self._value(rule, value, schema))
            written = f"{self.text(self._form.key, key=key, string=kind)} {rule}"
            yield written if key in schema.get("required", ()) else f"({written})?"

    def _value(self, rule: str, value: Any, schema: dict[str, Any]) -> str:
        end = self.text(self._form.value_end)
        if _is_text(value):
            if "enum" in value:
                return f"{rule}: ({' | '.join(self.text(str(one)) for one in value['enum'])}) {end}"
            if set(value) - _FREE:
                raise Unwritable("a string with a form of its own")
            return f"{rule}{self._lazy(self._form.value_end)}: TEXT {end}"
        if "string" in json.dumps(_kinds(value)):
            raise Unwritable("text, or something else")
        definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
        return f"{rule}: {self._schema(json.dumps({**value, **definitions}), 'tools')} {end}"


def _is_text(value: Any) -> bool:
    enum = value.get("enum", []) if isinstance(value, dict) else []
    only = isinstance(value, dict) and value.get("type", "string" if enum else None) == "string"
    return only and all(isinstance(one, str) and one for one in enum)


def _kinds(value: Any) -> Any:
    """What a schema says of its type; one that says nothing may be text."""
    if not isinstance(value, dict):
        return "string"
    return [value.get(key) for key in ("type", "anyOf", "oneOf", "allOf", "$ref") if key in value] or "string"
