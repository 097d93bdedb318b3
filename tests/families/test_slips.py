"""What models write that their families' templates do not: read as it is meant, whole and in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.families.cases import TWO, WRITTEN, Written
from tests.families.test_reading import both, calls, read

WEATHER: tuple[str, dict[str, Any]] = ("weather", {"days": 3})
_INVOKE = '<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="days" string="false">{}</｜DSML｜parameter>\n'
_ARGUED = "<|channel|>commentary to=functions.{} <|constrain|>json<|message|>{}<|call|>"


def family(name: str) -> Written:
    return next(each for each in WRITTEN if each.family == name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", '<tool_call>{"arguments": {"days": 3}, "name": "weather"}</tool_call>'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": "{\\"days\\": 3}"}</tool_call>'),
        ("hermes", "<tool_call>{'name': 'weather', 'arguments': {'days': 3}}</tool_call>"),
        ("hermes", '<tool_call>\n```json\n{"name": "weather", "arguments": {"days": 3}}\n```\n</tool_call>'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": {"days": 3}}'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": {"days": 3}}}</tool_call>'),
        ("llama-3", "<|python_tag|>weather.call(days=3)"),
        ("llama-3", '{"type": "function", "name": "weather", "parameters": {"days": 3}}'),
        ("mistral", '[TOOL_CALLS]weather{"days": 3}'),
        ("mistral", '[TOOL_CALLS] [{"name": "weather", "arguments": {"days": 3}}]'),
        ("mistral-v3", '[TOOL_CALLS]weather[ARGS]{"days": 3}'),
        ("phi-4", 'functools[{"name": "weather", "arguments": {"days": 3}}]'),
        ("qwen3-coder", "<function=weather>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"),
        ("qwen3-coder", "<tool_call>\n<function=weather>\n<parameter=days>\n3\n</parameter>\n</tool_call>"),
        ("qwen3-coder", '<tool_call>\n{"name": "weather", "arguments": {"days": 3}}\n</tool_call>'),
        ("lfm2", '<|tool_call_start|>[{"name": "weather", "arguments": {"days": 3}}]<|tool_call_end|>'),
        ("lfm2", "<|tool_call_start|>weather(days=3)<|tool_call_end|>"),
        (
            "kimi-k2",
            '<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{"days": 3}<|tool_call_end|>',
        ),
        (
            "deepseek-v3",
            '<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"days": 3}\n```<｜tool▁call▁end｜>',
        ),
        ("deepseek", '<｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"days": 3}<｜tool▁call▁end｜>'),
        ("deepseek-v3.2", _INVOKE.format(3) + "</｜DSML｜invoke>"),
        ("harmony", _ARGUED.format("weather", ' {"days": 3}')),
        ("harmony", _ARGUED.format("weather", '{"days": 3}').replace("functions.", "")),
        ("harmony", '<|start|>assistant to=functions.weather<|channel|>analysis code<|message|>{"days": 3}<|call|>'),
    ],
)
def test_a_call_that_is_written_otherwise(name: str, text: str) -> None:
    found = both(family(name), text)
    assert (calls(found), found.text, found.reasoning) == ([WEATHER], "", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("harmony", _ARGUED.format("stop", "null")),
        ("harmony", _ARGUED.format("stop", " ")),
        ("hermes", '<tool_call>{"name": "stop", "arguments": ""}</tool_call>'),
        ("hermes", '<tool_call>{"name": "stop"}</tool_call>'),
        ("mistral", "[TOOL_CALLS]stop[ARGS]null"),
        ("glm", "<tool_call>stop\n</tool_call>"),
    ],
)
def test_no_arguments_are_an_empty_object(name: str, text: str) -> None:
    assert calls(both(family(name), text)) == [TWO]


@pytest.mark.parametrize("name", ["lfm2", "llama-4", "olmo-3", "llama-3"])
def test_hyphens_in_names(name: str) -> None:
    """MCP's tools have them: Python's grammar has not."""
    made = [("get-weather.v-2", {"in-days": 3, "where": "a-b(c-d=1)"})]
    assert calls(both(family(name), family(name).calls(made))) == made


@pytest.mark.parametrize("name", ["hermes", "mistral", "kimi-k2", "deepseek", "lfm2", "command"])
def test_raw_line_ends_in_strings(name: str) -> None:
    """JSON and Python have them escaped; small models forget it, and the client's parser would not forgive it."""
    written = family(name)
    text = written.calls([("weather", {"where": "one\ntwo\tthree"})]).replace("\\n", "\n").replace("\\t", "\t")
    assert calls(both(written, text)) == [("weather", {"where": "one\ntwo\tthree"})]


def test_a_tool_that_harmony_is_not_offered_is_the_clients_to_see() -> None:
    """As with other families; one of the model's own (a browser) is thinking: nobody has it here."""
    found = both(family("harmony"), _ARGUED.format("unheard", '{"a": 1}'))
    assert calls(found) == [("unheard", {"a": 1})]
    own = both(family("harmony"), _ARGUED.format("", '{"a": 1}').replace("functions.", "browser.search"))
    assert (own.calls, own.reasoning) == ((), '{"a": 1}')


def test_a_value_that_is_not_what_it_says_loses_no_call() -> None:
    """DSML's `string="false"` before a text."""
    text = "Hi.<｜DSML｜function_calls>\n" + _INVOKE.format("three") + "</｜DSML｜invoke>\n</｜DSML｜function_calls>"
    found = both(family("deepseek-v3.2"), text)
    assert (calls(found), found.text) == ([("weather", {"days": "three"})], "Hi.")


@pytest.mark.parametrize("name", ["hermes", "mistral", "deepseek", "kimi-k2", "command", "nemotron"])
def test_a_mark_inside_a_json_string_is_text(name: str) -> None:
    written = family(name)
    end = written.calls([TWO])[-12:]
    made = [("weather", {"where": f"before {json.dumps(end)[1:-1]} after"})]
    assert calls(read(written, written.calls(made), 1)) == made


def test_without_tools_code_stays_text() -> None:
    """What begins a call only by a slip means nothing where none may be made."""
    found = read(family("qwen3-coder"), "Write <function=f> here.", 1, tools=False)
    assert (found.text, found.calls) == ("Write <function=f> here.", ())
