"""Answers that must follow a grammar: llguidance says which tokens may come next.

A `CompiledGrammar` is made once, on the grammar thread, and kept; each answer has a `Matcher` of its own, which can
be brought to where it was from the answer's tokens. `token_masks` runs on the owner thread, for all constrained rows
of a step together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from llguidance import LLExecutor, LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import GbnfToLarkError, any_to_lark
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask_par

from src.engine.backend import has_formed_tools
from src.engine.families.formats import Tools
from src.engine.families.forms import CallForm
from src.engine.mlx.text import chosen_calls, constrained, tool_grammar
from src.engine.mlx.text.thinking import Gate, Thoughts
from src.engine.mlx.text.tool_grammar import ToolMarks
from src.errors import InvalidRequest, UnsupportedValue
from src.ipc.messages.chat import AnswerForm, GenerateRequest, Tool

# at most one space between tokens: an endless run of white space is valid JSON too, and a small model may like it
_WHITESPACE = {"whitespace_pattern": "[ ]?"}
# keywords that hold schemas, and those that say what other properties an object may have
_NAMED = frozenset({"properties", "$defs", "definitions"})
_LISTED = frozenset({"anyOf", "oneOf", "prefixItems"})
_OPENING = frozenset({"additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"})
_MAX_NESTING = 64
_CACHED = 64
_LIMITS = LLParserLimits(max_grammar_size=200_000, verbose_errors=False)


class Matcher:
    """How far one answer has come in its grammar, or before it."""

    def __init__(self, wrapped: LLMatcher, gate: Gate | None = None) -> None:
        self.wrapped = wrapped
        self.gate = gate

    def consume(self, token: int) -> None:
        """Take the next token in; after the end of the answer there is nothing to take."""
        if self.gate is not None and self.gate.takes(token):
            return
        if not self.wrapped.is_stopped():
            self.wrapped.consume_token(token)

    @property
    def problem(self) -> str | None:
        """Why the grammar cannot go on, if it cannot: one of its limits was reached."""
        return self.wrapped.get_error() if self.wrapped.is_error() else None


@dataclass(frozen=True)
class CompiledGrammar:
    """A compiled grammar. With `thoughts` the model may think before it."""

    compiled: LLMatcher
    thoughts: Thoughts | None = None

    def start(self, prompt: Seq[int], prefix: int = 0) -> Matcher:
        """A matcher for one answer, behind the tokens it already has: the last `prefix` of the prompt."""
        own = len(prompt) - prefix
        gate = None
        if self.thoughts is not None:
            gate = Gate(self.thoughts, opened=self.thoughts.opened(prompt[:own]))
        matcher = Matcher(self.compiled.deep_copy(), gate)
        for token in prompt[own:]:
            matcher.consume(token)
        return matcher


class Grammars:
    """Compiles what requests ask for, and keeps the last ones. Called on the grammar threads."""

    def __init__(
        self,
        tokenizer: LLTokenizer | None,
        max_bytes: int,
        thoughts: Thoughts | None = None,
        tools: Tools | None = None,
    ) -> None:
        """`tools`: how the model writes the calls that it makes."""
        self._thoughts = thoughts
        self._tools = tools
        self._tokenizer = tokenizer
        self._max_bytes = max_bytes
        self._compiled = lru_cache(_CACHED)(self._compile)

    def of(self, request: GenerateRequest) -> CompiledGrammar | None:
        """The grammar a request's answer must follow, if any.

        Raises:
            UnsupportedValue: naming what of a schema is not supported.
            InvalidRequest: for a schema that is none, or too large.
        """
        compiled = self._of(request)
        if compiled is None:
            return None
        silent = request.thinking is False or request.raw_prompt is not None
        return CompiledGrammar(compiled, None if silent else self._thoughts)

    def _of(self, request: GenerateRequest) -> LLMatcher | None:
        if request.json_schema is not None:
            expression = _json_of(request.json_schema, "response_format")
            return self._compiled(self._answer(request, expression), "response_format")
        if (asked := request.answer_form) is not None:
            return self._compiled(self._answer(request, _form(asked)), asked.param)
        choice = request.tool_choice
        if choice.mode == "required":
            return self._compiled(self._required(request, request.tools, parallel=choice.parallel), "tools")
        if choice.mode == "named":
            named = tuple(tool for tool in request.tools if tool.name == choice.name)
            return self._compiled(self._required(request, named, parallel=False), "tools")
        return self._chosen(request)

    def _answer(self, request: GenerateRequest, expression: str) -> str:
        """An answer of a form; where answers are messages, in one."""
        form = _silent(constrained.form_of(self._tools, ()), request)
        if self._tools is None or form is None or form.thought is None:
            return f"start: answer\nanswer: {expression}"
        return constrained.answer(form, expression, self._mark, constrained.marks_of(self._tools))

    def _required(self, request: GenerateRequest, tools: Seq[Tool], *, parallel: bool) -> str:
        """Calls as the family writes them; else a list of them as JSON, or the arguments of the one that is named."""
        form = _silent(constrained.form_of(self._tools, tools), request)
        if self._tools is not None and form is not None:
            marks = constrained.marks_of(self._tools)
            return constrained.required(form, tools, _json_of, self._mark, marks, parallel=parallel)
        if request.tool_choice.mode == "named":
            return f"start: {tool_grammar.arguments(tools[0], _json_of)}"
        return tool_grammar.required(tools, _json_of, parallel=parallel)

    def _chosen(self, request: GenerateRequest) -> LLMatcher | None:
        """For calls that the model may make, where it is known how it writes them."""
        tools, own = self._tools, any(tool.input_format is not None for tool in request.tools)
        if tools is None or not has_formed_tools(request):
            return None
        try:
            lark = self._with_inputs(tools, request) if own else self._with_schemas(tools, request)
            return None if lark is None else self._compiled(lark, "tools")
        except UnsupportedValue:
            if own:
                raise
            return None  # clients call every tool strict: one that may be called is the model's matter then

    def _with_schemas(self, tools: Tools, request: GenerateRequest) -> str | None:
        return chosen_calls.chosen(tools, request.tools, _json_of, self._mark)

    def _with_inputs(self, tools: Tools, request: GenerateRequest) -> str | None:
        """Where a tool's input has a form of its own."""
        if not tools.end:
            return None
        marks = ToolMarks(tools.name, self._mark(tools.start), self._mark(tools.end))
        return tool_grammar.chosen(request.tools, marks, _json_of)

    def _mark(self, text: str) -> str:
        """A mark is a token of its own in most vocabularies: then no text spells it."""
        tokens = self._tokenizer.tokenize_str(text, parse_special=True) if self._tokenizer is not None else []
        if len(tokens) == 1 and self._tokenizer is not None and self._tokenizer.is_special_token(tokens[0]):
            return f"<[{tokens[0]}]>"
        return json.dumps(text)

    def _compile(self, lark: str, param: str) -> LLMatcher:
        if self._tokenizer is None:
            raise UnsupportedValue("This model's tokenizer allows no structured output.", param=param)
        if len(lark) > self._max_bytes:
            raise InvalidRequest(f"The {_noun(param)} is too large (GRAMMAR_MAX_KB).", param=param)
        matcher = LLMatcher(self._tokenizer, lark, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            reason = matcher.get_error().strip().splitlines()[0][:300]
            raise UnsupportedValue(f"This {_noun(param)} is not supported: {reason}", param=param)
        return matcher


def _noun(param: str) -> str:
    return "schema" if param in ("response_format", "tools") else "form"


def _silent(form: CallForm | None, request: GenerateRequest) -> CallForm | None:
    """The form without a thought before it, where none may be."""
    return replace(form, thought=None) if form is not None and request.thinking is False else form


def _form(asked: AnswerForm) -> str:
    """A Lark expression of what is no JSON."""
    if asked.syntax == "regex":
        return "/" + re.sub(r"(?<!\\)/", r"\\/", asked.definition).replace("\n", r"\n") + "/"
    try:
        return f"%lark {{\n{any_to_lark(asked.definition)}\n}}"
    except (GbnfToLarkError, ValueError, IndexError, RecursionError) as error:  # of the converter's, which reads GBNF
        raise UnsupportedValue(f"This grammar is not supported: {error}"[:300], param=asked.param) from None


def _json_of(schema: str, param: str) -> str:
    return f"%json {_relaxed(schema, param)}"


def _relaxed(schema: str, param: str) -> str:
    parsed = json.loads(schema)
    if _nesting(parsed) > _MAX_NESTING:
        raise InvalidRequest(f"The schema is nested deeper than {_MAX_NESTING}.", param=param)
    try:
        return json.dumps({**closed(parsed), "x-guidance": _WHITESPACE})
    except _Unkept as error:
        raise UnsupportedValue(f"This schema is not supported: {error}", param=param) from None


class _Unkept(Exception):
    """Part of a schema that a grammar would let an answer break."""


def closed(schema: Any) -> Any:
    """The schema with objects held to the properties they name, unless they say something else of others.

    What keeps to it keeps to the given schema too, and a model cannot go on inventing properties for ever. Parts of an
    `allOf` stay as they are: closed one by one they would exclude each other's properties.
    """
    if not isinstance(schema, dict):
        return schema
    least, named = schema.get("minProperties", 0), schema.get("properties", {})
    if isinstance(least, int) and isinstance(named, dict) and least > len(named) + 1:
        raise _Unkept("minProperties beyond the named ones: the same name could come twice")
    made = {key: _closed_at(key, value) for key, value in schema.items()}
    if "properties" in schema and not _OPENING & set(schema):
        made["additionalProperties"] = False
    return made


def _closed_at(key: str, value: Any) -> Any:
    if key in _NAMED and isinstance(value, dict):
        return {name: closed(one) for name, one in value.items()}
    if key in _LISTED and isinstance(value, list):
        return [closed(one) for one in value]
    return closed(value) if key in ("items", "additionalProperties") else value


def _nesting(value: Any) -> int:
    """How deep a JSON value is; it was parsed, so its depth is bounded by the parser's."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_nesting, value.values() if isinstance(value, dict) else value), default=0)


@lru_cache(1)
def _executor() -> LLExecutor:
    return LLExecutor()


def token_masks(matchers: Seq[Matcher], vocabulary: int) -> Any:
    """A row of booleans per matcher: which of `vocabulary` tokens may come next."""
    masks = allocate_token_bitmask(len(matchers), vocabulary)
    usable = [(each.wrapped, at) for at, each in enumerate(matchers) if _has_a_say(each)]
    if usable:
        fill_next_token_bitmask_par(_executor(), usable, masks)
    allowed = np.unpackbits(masks.view(np.uint8), axis=1, count=vocabulary, bitorder="little").view(bool)
    for each, row in zip(matchers, allowed, strict=True):
        if each.gate is not None:
            each.gate.open(row)
    return allowed


def _has_a_say(matcher: Matcher) -> bool:
    return not (matcher.wrapped.is_error() or (matcher.gate is not None and matcher.gate.thinking))
