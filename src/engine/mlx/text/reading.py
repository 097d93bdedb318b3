"""What of a model's text is its answer, its thinking, its tool calls: mlx-lm's state machine and its tool parsers.

Owner thread. `calls` reads what stands between the marks of a call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from loguru import logger
from mlx_lm.generate import TextStateMachine, make_text_state_machine

from src.engine.backend import OutputParser, Pieces, is_constrained
from src.engine.mlx.text.forced import NamedReader, RequiredReader
from src.engine.mlx.text.thinking import ThoughtReader
from src.engine.mlx.text.tool_calls import Calls, Section, section
from src.ipc.messages.chat import GenerateRequest, Tool

_NORMAL, _THINKING, _TOOL = "normal", "reasoning", "tool"


class MarkedReader:
    """Follows the marks a model puts around its thinking and its calls."""

    def __init__(self, tokenizer: Any, request: GenerateRequest, new_id: Callable[[], str], *, thinking: bool) -> None:
        self._tokenizer = tokenizer
        self._tools = [tool_json(tool) for tool in request.tools]
        self._calls = Calls(new_id, parallel=request.tool_choice.parallel)
        self._state = make_text_state_machine(tokenizer).make_state(_THINKING if thinking else _NORMAL)
        self._section: Section | None = None

    @property
    def called(self) -> bool:
        return self._calls.count > 0

    def push(self, text: str) -> Pieces:
        self._state, segments = TextStateMachine.split(self._state, text)
        return self._sort(segments)

    def flush(self) -> Pieces:
        """The answer is over: what was held back, and a call that has no end mark."""
        self._state, rest, name = TextStateMachine.flush(self._state)
        pieces = self._sort([(name or _NORMAL, rest)])
        return pieces if self._section is None else pieces + self._section.close()

    def _sort(self, segments: list[tuple[str, str]]) -> Pieces:
        found = Pieces()
        for state, text in segments:
            if state == _TOOL and self._tools:
                self._section = self._section or self._open()
                found += self._section.push(text)
                continue
            if self._section is not None:
                found += self._section.close()
                self._section = None
            found += Pieces(reasoning=text) if state == _THINKING else Pieces(text=text)
        return found

    def _open(self) -> Section:
        return section(_parser(self._tokenizer), self._calls, self._parse, self._shown)

    def _parse(self, text: str) -> list[tuple[str, str]] | None:
        try:
            parsed = self._tokenizer.tool_parser(text, self._tools)
            return [_call(one) for one in (parsed if isinstance(parsed, list) else [parsed])]
        except Exception:  # noqa: BLE001  # parsers of mlx-lm raise whatever a model's text makes them raise
            return None

    def _shown(self, text: str) -> str:
        logger.info("a tool call cannot be read: it is shown as text")
        return f"{self._tokenizer.tool_call_start}{text}{self._tokenizer.tool_call_end or ''}"


def tool_marks(tokenizer: Any) -> tuple[str, str, str] | None:
    """The parser of a model's calls, and what begins and ends one; None for a model that makes none, or has no end."""
    if not tokenizer.has_tool_calling or not tokenizer.tool_call_end:
        return None
    return _parser(tokenizer), tokenizer.tool_call_start, tokenizer.tool_call_end


def _parser(tokenizer: Any) -> str:
    return str(getattr(tokenizer.tool_parser, "__module__", "")).rpartition(".")[2]


def reader(
    tokenizer: Any, request: GenerateRequest, new_id: Callable[[], str], *, thinking: bool, may_think: bool = True
) -> OutputParser | None:
    """What this request's text has to be read with; None when it is nothing but an answer.

    `thinking`: the prompt ends inside it; `may_think`: the answer may begin with it.
    """
    if request.raw_prompt is not None:
        return None
    if is_constrained(request):
        form = _form(request, new_id)
        if not (thinking or may_think):
            return form
        return ThoughtReader(tokenizer.think_start, tokenizer.think_end, form, opened=thinking)
    calls = bool(request.tools) and tokenizer.has_tool_calling
    return MarkedReader(tokenizer, request, new_id, thinking=thinking) if calls or tokenizer.has_thinking else None


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


def _call(parsed: Any) -> tuple[str, str]:
    arguments = parsed.get("arguments", parsed.get("parameters", {}))
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    if not isinstance(parsed["name"], str) or not isinstance(json.loads(text), dict):
        raise ValueError("not a call")
    return parsed["name"], text
