"""Grammars of tool calls: those that must be made, and chosen ones of tools whose input has a form of its own. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from src.engine.families.formats import Tools
from src.engine.mlx.text.json_strings import escaped
from src.ipc.messages.chat import Tool

_MAX_CALLS = 8
_INPUT = "input"
_WS = r"/[ \t\n]{0,4}/"
_ANY = '%json {"type":"object"}'

# a tool's schema as a grammar of JSON
Schema = Callable[[str, str], str]


@dataclass(frozen=True)
class ToolMarks:
    """How a model writes the calls it chooses to make: `format` is its name in `tool_formats`; a mark is a Lark
    expression, a token's or a text's."""

    format: str
    start: str
    end: str


def arguments(tool: Tool, schema: Schema) -> str:
    """A tool's arguments as a Lark expression."""
    form = tool.input_format
    if form is None:
        return schema(tool.parameters, "tools")
    if form.syntax == "regex":
        return f"%json {json.dumps(_matching(form.definition))}"
    return " ".join([_text('{"input":"'), _nested(escaped(form.definition)), _text('"}')])


def _matching(pattern: str) -> dict[str, object]:
    """A schema whose one string matches."""
    text = {"type": "string", "pattern": f"^(?:{pattern})$"}
    return {"type": "object", "properties": {_INPUT: text}, "required": [_INPUT], "additionalProperties": False}


def _nested(grammar: str) -> str:
    return f"%lark {{\n{grammar}\n}}"


def _text(text: str) -> str:
    return json.dumps(text)


def required(tools: Sequence[Tool], schema: Schema, *, parallel: bool) -> str:
    """A list of calls, each of one of the tools with arguments of its schema."""
    more = f' ("," call){{0,{_MAX_CALLS - 1}}}' if parallel else ""
    lines = [f'start: "[" call{more} "]"', f"call: {' | '.join(f'call{n}' for n in range(len(tools)))}"]
    for n, tool in enumerate(tools):
        head = _text('{"name":"' + tool.name + '","arguments":')
        lines += [f'call{n}: {head} arguments{n} "}}"', f"arguments{n}: {arguments(tool, schema)}"]
    return "\n".join(lines)


def chosen(tools: Sequence[Tool], marks: ToolMarks, schema: Schema) -> str | None:
    """Any text, with calls in it whose inputs keep to their forms; None for a format that has no grammar here."""
    writer = _WRITERS.get(marks.format)
    if writer is None:
        return None
    bodies = [writer(tool, schema) for tool in tools]
    calls = [f"call{n}: head {_WS} {body}" for n, body in enumerate(bodies)]
    options = " | ".join(f"call{n}" for n in range(len(bodies)))
    fixed = [f"start: ({options})* rest", "rest: TEXT", r"TEXT: /(.|\n)*/", f"end: {_WS} {marks.end}"]
    return "\n".join([*fixed, _up_to("head", marks.start), _up_to("until", marks.end), *calls])


def _up_to(rule: str, mark: str) -> str:
    """Any text and a mark; one that is text itself ends it where it comes first."""
    return f"{rule}{'[lazy]' if mark.startswith(chr(34)) else ''}: TEXT {mark}"


def _as_json(tool: Tool, schema: Schema) -> str:
    """`{"name": …, "arguments": …}`, as most models write a call."""
    head = f'"{{" {_WS} {_text(_quoted("name"))} {_WS} ":" {_WS} {_text(_quoted(tool.name))} {_WS} "," {_WS}'
    return f'{head} {_text(_quoted("arguments"))} {_WS} ":" {_WS} {_json_input(tool, schema)} {_WS} "}}" end'


def _quoted(text: str) -> str:
    return json.dumps(text)


def _json_input(tool: Tool, schema: Schema) -> str:
    form = tool.input_format
    if form is None:
        return schema(tool.parameters, "tools") if tool.strict else _ANY
    if form.syntax == "regex":
        return f"%json {json.dumps(_matching(form.definition))}"
    text = f'"\\"" {_nested(escaped(form.definition))} "\\""'
    return f'"{{" {_WS} {_text(_quoted(_INPUT))} {_WS} ":" {_WS} {text} {_WS} "}}"'


def _as_marks(tool: Tool, schema: Schema) -> str:
    """`<function=NAME><parameter=input>…`, where an input stands as it is."""
    del schema  # of arguments that stand as they are it says too little
    begun, form = _text(f"<function={tool.name}>"), tool.input_format
    if form is None:
        return f"{begun} until"
    if form.syntax == "regex":
        text = "/" + re.sub(r"(?<!\\)/", r"\\/", form.definition) + "/"
    else:
        text = _nested(form.definition)
    return f'{begun} {_WS} "<parameter=input>\\n" {text} /\\n?/ "</parameter>" {_WS} "</function>" end'


_WRITERS: dict[str, Callable[[Tool, Schema], str]] = {"hermes": _as_json, "qwen3_coder": _as_marks}


def writes(tools: Tools | None) -> bool:
    """Whether a call that the model chooses to make can be held to a form: how it writes them is known here."""
    return tools is not None and bool(tools.end) and tools.name in _WRITERS
