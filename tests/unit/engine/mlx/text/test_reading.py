"""What of a model's text is thinking, calls, answer: mlx-lm's marks and parsers, wherever the text is cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from src.engine.backend import OutputParser, Pieces
from src.engine.families.formats import Language
from src.engine.families.table import REASONING
from src.engine.families.tool_formats import TOOLS as FORMATS_BY_NAME
from src.engine.mlx.text.reading import reader
from src.engine.text import TextStream
from src.ipc.messages.chat import GenerateRequest, Tool, ToolChoice

PARAMETERS = '{"type":"object","properties":{"days":{"type":"integer"},"where":{"type":"string"}}}'
TOOLS = (Tool("weather", None, PARAMETERS), Tool("stop"))


def language(form: str = "hermes") -> Language:
    """A family that writes calls of this form, between the same marks."""
    return Language(
        "test", REASONING["think"], replace(FORMATS_BY_NAME[form], start="<tool_call>", end="</tool_call>", bare=None)
    )


def made(
    text: str,
    size: int,
    *,
    tools: bool = True,
    thinking: bool = False,
    parser: str = "hermes",
    parallel: bool = True,
    ended: bool = True,
) -> tuple[Pieces, OutputParser]:
    """What a text becomes when it comes in pieces of a size."""
    counter: Iterator[int] = itertools.count()
    request = GenerateRequest(
        "r", "m", (), tools=TOOLS if tools else (), tool_choice=ToolChoice("auto", None, parallel)
    )
    one = reader(language(parser), request, lambda: f"call_{next(counter)}", thinking=thinking)
    assert one is not None
    found = Pieces()
    for at in range(0, len(text), size):
        found += one.push(text[at : at + size])
    return found + one.flush() if ended else found, one


def calls(pieces: Pieces) -> list[tuple[str | None, str | None, Any]]:
    """Each begins with its id and name, without arguments; these follow in one piece or in many."""
    found: list[tuple[str | None, str | None, str]] = []
    for piece in pieces.calls:
        if piece.id is not None:
            assert piece.arguments == ""
            assert piece.index == len(found)
            found.append((piece.id, piece.name, ""))
        else:
            assert piece.index == len(found) - 1
            assert piece.arguments
            head = found.pop()
            found.append((head[0], head[1], head[2] + piece.arguments))
    return [(key, name, json.loads(arguments)) for key, name, arguments in found]


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
    assert pieces.text == "Look:"
    assert read.called


@pytest.mark.parametrize("size", SIZES)
def test_another_models_format(size: int) -> None:
    """The parser is the model's own, and knows the types of the tool's parameters."""
    text = "<tool_call>\n<function=weather>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
    pieces, _ = made(text, size, parser="qwen3_coder")
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
    """It is shown without its marks, never dropped, and does not count as a call."""
    pieces, one = made(f"a{text}b", size)
    inner = text.removeprefix("<tool_call>").removesuffix("</tool_call>")
    assert (pieces.text, pieces.calls, one.called) == (f"a{inner}b", (), False)


@pytest.mark.parametrize("size", SIZES)
def test_a_call_that_is_cut(size: int) -> None:
    """An answer that ends inside a call shows what there is of it; one that only lacks its end mark is a call."""
    pieces, one = made('x<tool_call>{"name": "wea', size)
    assert pieces.text == 'x{"name": "wea'
    assert not one.called
    pieces, _ = made('<tool_call>{"name": "stop", "arguments": {}}', size)
    assert calls(pieces) == [("call_0", "stop", {})]


@pytest.mark.parametrize("size", SIZES)
def test_one_call_at_most(size: int) -> None:
    """Without parallel_tool_calls the first call is the only one."""
    one = '<tool_call>{"name": "stop", "arguments": {}}</tool_call>'
    pieces, _ = made(one * 3, size, parallel=False)
    assert len(calls(pieces)) == 1


FORMATS: list[tuple[str, str]] = [
    (
        "hermes",
        '{"name": "weather", "arguments": {"days": 3, "where": "a } \\" ] b"}}\n{"name": "stop", "arguments": {}}',
    ),
    (
        "qwen3_coder",
        "\n<function=weather>\n<parameter=days>\n3\n</parameter>\n<parameter=where>\n"
        'a } " ] b\n</parameter>\n</function>\n',
    ),
    ("mistral", 'weather[ARGS]{"days": 3, "where": "a } \\" ] b"}[TOOL_CALLS]stop[ARGS]{}'),
    (
        "kimi_k2",
        '<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{"days": 3, "where": "a } \\" ] b"}'
        "<|tool_call_end|><|tool_call_begin|>functions.stop:1<|tool_call_argument_begin|>{}<|tool_call_end|>",
    ),
    (
        "glm4_moe",
        "weather\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n<arg_key>where</arg_key>\n"
        '<arg_value>a } " ] b</arg_value>\n',
    ),
    (
        "minimax_m2",
        '\n<invoke name="weather">\n<parameter name="days">3</parameter>\n'
        '<parameter name="where">a } " ] b</parameter>\n</invoke>\n<invoke name="stop">\n</invoke>\n',
    ),
    (
        "muse_spark",
        '<atem:invoke name="weather"><atem:parameter name="days">3</atem:parameter>'
        '<atem:parameter name="where">a } " ] b</atem:parameter></atem:invoke><atem:invoke name="stop"></atem:invoke>',
    ),
    (
        "longcat",
        "weather<longcat_arg_key>days</longcat_arg_key><longcat_arg_value>3</longcat_arg_value>"
        '<longcat_arg_key>where</longcat_arg_key><longcat_arg_value>a } " ] b</longcat_arg_value>',
    ),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("parser", "text"), FORMATS, ids=lambda value: value[:12])
def test_arguments_grow(parser: str, text: str, size: int) -> None:
    """While a call is written its name is told, then its arguments as they come; together they are what it says."""
    pieces, _ = made(f"<tool_call>{text}</tool_call>", size, parser=parser)
    expected = [("call_0", "weather", {"days": 3, "where": 'a } " ] b'})]
    if "stop" in text:
        expected.append(("call_1", "stop", {}))
    assert calls(pieces) == expected
    assert pieces.text == ""
    cut, _ = made(f"<tool_call>{text[: text.index('where')]}", size, parser=parser, ended=False)
    head, *arguments = cut.calls
    assert (head.name, head.arguments) == ("weather", "")
    assert "3" in "".join(piece.arguments for piece in arguments), "the first argument waits for the second"


@pytest.mark.parametrize("size", SIZES)
def test_arguments_that_turn_out_wrong(size: int) -> None:
    """Nothing is lost: JSON text is the client's to see as it is; of other forms, what the parser could not read."""
    bad = '<tool_call>{"name": "weather", "arguments": {"days": 3,,}} and more</tool_call>'
    pieces, one = made(bad, size)
    assert "".join(piece.arguments for piece in pieces.calls) == '{"days": 3,,}'
    assert (pieces.text, one.called) == ("and more", True)
    text = "<function=weather>\n<parameter=days>\n3\n</parameter>\n<parameter=days>\n4\n</parameter>\n</function>"
    pieces, one = made(f"<tool_call>{text}</tool_call>", size, parser="qwen3_coder")
    assert pieces.calls[0].name == "weather"
    assert text in pieces.text or calls(pieces) == [("call_0", "weather", {"days": 4})]


def test_a_call_that_the_limit_cuts() -> None:
    """What of it was written is there, as OpenAI has it."""
    pieces, one = made('<tool_call>{"name": "weather", "arguments": {"days": 3', 4)
    assert "".join(piece.arguments for piece in pieces.calls) == '{"days": 3'
    assert one.called


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
    """What may have become a mark when a stop string came is not shown."""
    request = GenerateRequest("r", "m", (), tools=TOOLS)
    stream = TextStream(Letters(), ("STOP",), reader(language(), request, str, thinking=False))
    shown = "".join(stream.push(ord(letter)) for letter in "a <tooSTOPxyz")
    assert stream.stopped
    assert shown == "a "
    assert stream.aside() == Pieces()
