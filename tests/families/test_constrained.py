"""Calls that must be made, in each family's form: the grammar takes them, the reader reads them, no others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from llguidance import LLTokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from src.engine.backend import Pieces
from src.engine.families.forms import FORMS
from src.engine.families.tool_formats import TOOLS
from src.engine.mlx.text.grammar import Grammars
from src.engine.mlx.text.reading import has_native_form, reader
from src.ipc.messages.chat import GenerateRequest, Tool, ToolChoice
from tests.families.cases import ONE, QUOTES, TWO, WRITTEN, Call, Written
from tests.families.test_reading import calls, language

TOKENIZER = LLTokenizer("byte")
SCHEMA = {
    "type": "object",
    "properties": {"days": {"type": "integer"}, "where": {"type": "string"}},
    "required": ["days"],
}
OFFERED = (Tool("weather", None, json.dumps(SCHEMA)), Tool("stop"))


def format_of(written: Written) -> str:
    tools = language(written).tools
    assert tools is not None
    return tools.name


FORMED = [each for each in {each.family: each for each in reversed(WRITTEN)}.values() if format_of(each) in FORMS]
every = pytest.mark.parametrize("written", FORMED, ids=lambda each: each.family)


def asking(choice: ToolChoice, tools: tuple[Tool, ...] = OFFERED) -> GenerateRequest:
    return GenerateRequest("r", "m", (), tools=tools, tool_choice=choice)


def accepts(written: Written, request: GenerateRequest, text: str) -> bool:
    grammar = Grammars(TOKENIZER, 1 << 18, None, language(written).tools).of(request)
    assert grammar is not None
    matcher = grammar.start([]).wrapped
    tokens = TOKENIZER.tokenize_bytes(text.encode())
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def ordered(call: Call) -> Call:
    """Arguments in the schema's order."""
    return call[0], {key: call[1][key] for key in ("days", "where") if key in call[1]}


def text_of(written: Written, made: list[Call]) -> str:
    """As the family writes them; what ends a turn is no text."""
    return written.calls(list(map(ordered, made))).removesuffix("<|call|>").replace(', "id": "abcDEF123"', "")


def read(written: Written, request: GenerateRequest, text: str) -> tuple[Pieces, bool]:
    counter: Iterator[int] = itertools.count()
    one = reader(language(written), request, lambda: f"call_{next(counter)}", thinking=False)
    assert one is not None
    found = Pieces()
    for letter in text:
        found += one.push(letter)
    return found + one.flush(), one.called


@every
@pytest.mark.parametrize("made", [ONE, QUOTES, TWO], ids=["one", "quotes", "bare"])
def test_one_call_in_the_familys_form(made: Call, written: Written) -> None:
    for choice in (ToolChoice("required"), ToolChoice("named", made[0])):
        request = asking(choice)
        assert has_native_form(language(written), request)
        text = text_of(written, [made])
        assert accepts(written, request, text), text
        found, called = read(written, request, text)
        assert (calls(found), found.text) == ([ordered(made)], "")
        assert called is (choice.mode == "required"), "of a named call the reason is `stop`"


@every
def test_several_calls(written: Written) -> None:
    """Where a turn may have several, unless the request wants one."""
    text = text_of(written, [ONE, TWO])
    single = FORMS[format_of(written)].single
    assert accepts(written, asking(ToolChoice("required")), text) is not single, text
    assert not accepts(written, asking(ToolChoice("required", parallel=False)), text)


@every
def test_what_is_no_such_call_does_not_pass(written: Written) -> None:
    request = asking(ToolChoice("required"))
    good = text_of(written, [ONE])
    for bad in ("", "Sure.", good.replace("weather", "unheard"), good.replace("days", "daze"), good.replace("3", "x")):
        assert not accepts(written, request, bad), bad


def test_a_schema_that_marks_cannot_keep_is_written_as_json() -> None:
    """A string with a pattern stands between marks as it is: the bare form keeps it."""
    schema = {"type": "object", "properties": {"code": {"type": "string", "pattern": "^[a-z]+$"}}, "required": ["code"]}
    request = asking(ToolChoice("named", "t"), (Tool("t", None, json.dumps(schema)),))
    coder = next(each for each in WRITTEN if each.family == "qwen3-coder")
    assert not has_native_form(language(coder), request)
    assert accepts(coder, request, '{"code":"abc"}')
    assert not accepts(coder, request, '{"code":"ABC"}')


def test_harmony_thinks_before_a_call_and_before_an_answer_of_a_form() -> None:
    """In a message of its own, unless it may not."""
    harmony = next(each for each in WRITTEN if each.family == "harmony")
    thought = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
    request = asking(ToolChoice("required"))
    assert accepts(harmony, request, thought + text_of(harmony, [ONE]))
    schema = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'
    form = GenerateRequest("r", "m", (), json_schema=schema)
    answer = '<|channel|>final<|message|>{"a":1}'
    assert accepts(harmony, form, answer)
    assert accepts(harmony, form, thought + answer)
    assert not accepts(harmony, GenerateRequest("r", "m", (), json_schema=schema, thinking=False), thought + answer)
    found, _ = read(harmony, form, thought + answer)
    assert (found.text, found.reasoning) == ('{"a":1}', "Let me see.")


STRICT = (Tool("weather", None, json.dumps(SCHEMA), strict=True), Tool("stop"))
# a call's mark is a sure sign in all but these: Llama's JSON has none, Functionary's stands before answers too
SURE = [each for each in FORMED if format_of(each) not in ("llama3_json", "functionary", "harmony")]


@pytest.mark.parametrize("written", SURE, ids=lambda each: each.family)
def test_a_strict_tool_that_may_be_called_keeps_to_its_schema(written: Written) -> None:
    """As soon as a call begins; other tools' arguments stay free, and so does all text."""
    request = asking(ToolChoice(), STRICT)
    good = text_of(written, [ONE])
    assert accepts(written, request, "No.")
    assert accepts(written, request, good), good
    assert accepts(written, request, "Sure. " + text_of(written, [ONE, TWO]))
    assert accepts(written, request, written.calls([("stop", {"any": 1})]).replace(', "id": "abcDEF123"', ""))
    for bad in (good.replace("3", "x"), good.replace("days", "daze"), good.replace("weather", "unheard")):
        assert not accepts(written, request, "Sure. " + bad), bad


def _special(marks: tuple[str, ...]) -> tuple[LLTokenizer, Tokenizer]:
    """Bytes, and marks that no text spells."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={symbol: at for at, symbol in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in ("<eos>", *marks)])
    return LLTokenizer(made.to_str(), eos_token=made.token_to_id("<eos>")), made


@pytest.mark.parametrize("family", ["harmony", "deepseek", "kimi-k2", "mistral", "command", "internlm"])
def test_where_marks_are_tokens(family: str) -> None:
    """Which no text spells: what is no call may hold all of them but the one that begins it."""
    written = next(each for each in FORMED if each.family == family)
    tools = language(written).tools
    assert tools is not None
    others = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|START_RESPONSE|>", "<|plugin|>")
    split = ("<|action_start|>",) if family == "internlm" else (tools.start,)
    known, encoder = _special(tuple({mark for mark in (*split, tools.end, *tools.inner, *others) if mark}))
    grammar = Grammars(known, 1 << 18, None, tools).of(asking(ToolChoice(), STRICT))
    assert grammar is not None

    def takes(text: str) -> bool:
        matcher, ids = grammar.start([]).wrapped, encoder.encode(text).ids
        return bool(matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting())

    good = text_of(written, [ONE])
    said = "<|channel|>analysis<|message|>T<|end|><|start|>assistant" if family == "harmony" else "<|START_RESPONSE|>T"
    assert takes(said)
    assert takes(said + good), good
    for bad in (good.replace("3", "x"), good.replace("weather", "unheard")):
        assert not takes(said + bad), bad


def test_a_strict_schema_that_cannot_be_kept_is_left_to_the_model() -> None:
    """Clients mark every tool strict: what may be called must not fail for it."""
    schema = '{"type":"object","properties":{"a":{"not":{"type":"string"}}}}'
    grammars = Grammars(TOKENIZER, 1 << 18, None, TOOLS["hermes"])
    assert grammars.of(asking(ToolChoice(), (Tool("t", None, schema, strict=True),))) is None


def test_every_form_is_a_formats() -> None:
    assert set(FORMS) <= set(TOOLS)
    assert {format_of(each) for each in FORMED} == set(FORMS)
