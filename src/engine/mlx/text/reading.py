"""What of a model's text is its answer, its thinking, its tool calls: the reader that a request and its family need.

Owner thread. The families' own readers are in `src/engine/families`; here libraries' parsers are found, and forms.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from src.engine.backend import OutputParser, has_form, is_constrained
from src.engine.families.channels import ChannelReader
from src.engine.families.forced import NamedReader, RequiredReader
from src.engine.families.formats import Language, Parser, Tools
from src.engine.families.reader import MarkedReader
from src.engine.families.sections import Calls, reading
from src.engine.mlx.text import constrained
from src.engine.mlx.text.thinking import ThoughtReader
from src.ipc.messages.chat import GenerateRequest, Tool


@cache
def _library(module: str) -> Parser:
    parser: Parser = importlib.import_module(module).parse_tool_call
    return parser


def parser_of(tools: Tools) -> Parser:
    """What reads a format's calls: ours, or a library's."""
    return _library(tools.parse) if isinstance(tools.parse, str) else tools.parse


def reader(
    language: Language,
    request: GenerateRequest,
    new_id: Callable[[], str],
    *,
    thinking: bool,
    may_think: bool = True,
    opened: str | None = None,
) -> OutputParser | None:
    """What this request's text has to be read with; None when it is nothing but an answer.

    `thinking`: the prompt ends inside it; `may_think`: the answer may begin with it. `opened`: the header of the
    message that the prompt ends in.
    """
    if request.raw_prompt is not None:
        return None
    native = has_native_form(language, request)
    if is_constrained(request) and not native:
        form = _form(request, new_id)
        if language.reasoning is None or not language.reasoning.start or not (thinking or may_think):
            return form
        return ThoughtReader(language.reasoning.start, language.reasoning.end, form, opened=thinking)
    return _free(language, request, new_id, thinking=thinking, opened=opened)


def has_native_form(language: Language, request: GenerateRequest) -> bool:
    """Whether an answer of a form is written with the family's marks, and read by them."""
    if has_form(request):
        return language.channels == "harmony" and language.tools is not None
    choice = request.tool_choice
    tools = [tool for tool in request.tools if choice.mode != "named" or tool.name == choice.name]
    return choice.mode in ("required", "named") and constrained.form_of(language.tools, tools) is not None


def _free(
    language: Language, request: GenerateRequest, new_id: Callable[[], str], *, thinking: bool, opened: str | None
) -> OutputParser | None:
    """An answer that may think, and call."""
    offered = language.tools is not None and bool(request.tools)
    tools = [tool_json(tool) for tool in request.tools]
    parse = reading(parser_of(language.tools), tools) if offered and language.tools is not None else None
    calls = Calls(new_id, parallel=request.tool_choice.parallel, chosen=request.tool_choice.mode != "named")
    if language.channels:
        names = frozenset(tool.name for tool in request.tools)
        return ChannelReader(language, names, calls, parse, opened=opened)
    if not offered and language.reasoning is None and not language.hidden:
        return None
    return MarkedReader(language, calls, parse, thinking=thinking)


def _form(request: GenerateRequest, new_id: Callable[[], str]) -> OutputParser | None:
    """What reads a form; a schema's is plain text."""
    choice = request.tool_choice
    if choice.mode == "named" and choice.name is not None:
        return NamedReader(choice.name, new_id)
    return RequiredReader(new_id) if choice.mode == "required" else None


def tool_json(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI writes it, for templates and parsers."""
    function = {"name": tool.name, "description": tool.description or "", "parameters": json.loads(tool.parameters)}
    return {"type": "function", "function": function}
