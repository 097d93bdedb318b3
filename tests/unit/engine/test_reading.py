"""What of a model's text is thinking, calls, answer: mlx-lm's marks and parsers, wherever the text is cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

from mlx_lm.tool_parsers import json_tools, qwen3_coder  # noqa: E402

from src.engine.backends import Pieces, Reader  # noqa: E402
from src.engine.backends.reading import reader  # noqa: E402
from src.engine.text import TextStream  # noqa: E402
from src.ipc.messages import GenerateRequest, Tool, ToolChoice  # noqa: E402

TOOLS = (Tool("weather", None, '{"type":"object","properties":{"days":{"type":"integer"}}}'), Tool("stop"))


class Marks:
    """As much of mlx-lm's tokenizer as a reader looks at."""

    has_thinking = True
    think_start, think_end = "<think>", "</think>"
    has_tool_calling = True
    tool_call_start, tool_call_end = "<tool_call>", "</tool_call>"
    structural_markers = ()

    def __init__(self, parser: Any = json_tools) -> None:
        self.tool_parser = parser.parse_tool_call
        self.response_transitions: dict[str, Any] = {}


def made(
    text: str, size: int, *, tools: bool = True, thinking: bool = False, parser: Any = json_tools, parallel: bool = True
) -> tuple[Pieces, Reader]:
    """What a text becomes when it comes in pieces of a size."""
    counter: Iterator[int] = itertools.count()
    request = GenerateRequest(
        "r", "m", (), tools=TOOLS if tools else (), tool_choice=ToolChoice("auto", None, parallel)
    )
    one = reader(Marks(parser), request, lambda: f"call_{next(counter)}", thinking=thinking)
    assert one is not None
    found = Pieces()
    for at in range(0, len(text), size):
        found += one.push(text[at : at + size])
    return found + one.flush(), one


def calls(pieces: Pieces) -> list[tuple[str | None, str | None, Any]]:
    heads, arguments = pieces.calls[::2], pieces.calls[1::2]
    return [(h.id, h.name, json.loads(a.arguments)) for h, a in zip(heads, arguments, strict=True)]


SIZES = [1, 2, 3, 7, 1000]


@pytest.mark.parametrize("size", SIZES)
def test_thinking_is_apart(size: int) -> None:
    """What stands between the marks is reasoning, without the marks; the rest is the answer."""
    pieces, one = made("<think>2+2 is <4>?</think>It is 4 <b>.", size)
    assert (pieces.reasoning, pieces.text, pieces.calls) == ("2+2 is <4>?", "It is 4 <b>.", ())
    assert not one.called


@pytest.mark.parametrize("size", SIZES)
def test_a_template_that_opened_the_thinking(size: int) -> None:
    """When the prompt ends inside the thinking, the answer begins there."""
    pieces, _ = made("hm</think>yes", size, thinking=True)
    assert (pieces.reasoning, pieces.text) == ("hm", "yes")


@pytest.mark.parametrize("size", SIZES)
def test_calls(size: int) -> None:
    """Calls have an id, a name and their arguments; the text around them stays text."""
    one = '<tool_call>\n{"name": "weather", "arguments": {"days": 3}}\n</tool_call>'
    two = '<tool_call>{"name": "stop", "arguments": {}}</tool_call>'
    pieces, read = made(f"Look: {one}{two}", size)
    assert calls(pieces) == [("call_0", "weather", {"days": 3}), ("call_1", "stop", {})]
    assert [piece.index for piece in pieces.calls] == [0, 0, 1, 1]
    assert pieces.text == "Look: "
    assert read.called


@pytest.mark.parametrize("size", SIZES)
def test_another_models_format(size: int) -> None:
    """The parser is the model's own, and knows the types of the tool's parameters."""
    text = "<tool_call>\n<function=weather>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
    pieces, _ = made(text, size, parser=qwen3_coder)
    assert calls(pieces) == [("call_0", "weather", {"days": 3})]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "weather", "argu</tool_call>',
        "<tool_call>[1]</tool_call>",
        '<tool_call>{"name": 5, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "weather", "arguments": "x"}</tool_call>',
        "<tool_call></tool_call>",
    ],
)
def test_a_call_that_cannot_be_read(text: str, size: int) -> None:
    """It is shown as the text it was, never dropped, and does not count as a call."""
    pieces, one = made(f"a{text}b", size)
    assert (pieces.text, pieces.calls, one.called) == (f"a{text}b", (), False)


@pytest.mark.parametrize("size", SIZES)
def test_a_call_that_is_cut(size: int) -> None:
    """An answer that ends inside a call shows what there is of it; one that only lacks its end mark is a call."""
    pieces, one = made('x<tool_call>{"name": "wea', size)
    assert pieces.text.startswith('x<tool_call>{"name": "wea')
    assert not one.called
    pieces, _ = made('<tool_call>{"name": "stop", "arguments": {}}', size)
    assert calls(pieces) == [("call_0", "stop", {})]


@pytest.mark.parametrize("size", SIZES)
def test_one_call_at_most(size: int) -> None:
    """Without parallel_tool_calls the first call is the only one."""
    one = '<tool_call>{"name": "stop", "arguments": {}}</tool_call>'
    pieces, _ = made(one * 3, size, parallel=False)
    assert len(calls(pieces)) == 1


def test_marks_without_tools_are_text() -> None:
    """A request that offers no tools gets no calls: what looks like one is shown."""
    text = '<tool_call>{"name": "stop", "arguments": {}}</tool_call>'
    pieces, one = made(text, 3, tools=False)
    assert '{"name": "stop", "arguments": {}}' in pieces.text
    assert not one.called


class Letters:
    """A detokenizer: a token is a character."""

    def add(self, token: int) -> str:
        return chr(token)

    def flush(self) -> str:
        return ""


def test_a_stop_string_ends_the_thinking_too() -> None:
    """What was held back when a stop string came is not lost."""
    request = GenerateRequest("r", "m", (), tools=TOOLS)
    stream = TextStream(Letters(), ("STOP",), reader(Marks(), request, str, thinking=False))
    shown = "".join(stream.push(ord(letter)) for letter in "a <tooSTOPxyz")
    assert stream.stopped
    assert shown == "a <too"
    assert stream.aside() == Pieces()
