"""Grammars of tool calls: a custom tool's input keeps to its own grammar, wherever the call stands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from llguidance import LLTokenizer

from src.engine.families.formats import Tools
from src.engine.families.tool_formats import TOOLS as TOOL_FORMATS
from src.engine.mlx.text import tool_grammar
from src.engine.mlx.text.grammar import Grammars
from src.engine.mlx.text.json_strings import escaped
from src.errors import UnsupportedValue
from src.ipc.messages.chat import GenerateRequest, InputFormat, Tool, ToolChoice

TOKENIZER = LLTokenizer("byte")
# as Codex 0.171.0 sends it
PATCH = r"""start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?

filename: /(.+)/
add_line: "+" /(.*)/ LF -> line

change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF

%import common.LF
"""
GOOD = '*** Begin Patch\n*** Update File: a "b"\\c.py\n@@ def é():\n-\tprint("\\n")\n+\tprint(1)\n*** End Patch\n'
ANY = '{"type":"object"}'
TOOLS = (
    Tool("apply_patch", "", ANY, InputFormat("lark", PATCH)),
    Tool("digits", "", ANY, InputFormat("regex", '[0-9]+/"x"\n')),
    Tool("find", "", '{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}'),
)


def written(form: str | None) -> Tools | None:
    """A format between other marks."""
    return replace(TOOL_FORMATS[form], start="<call>", end="</call>") if form is not None else None


def accepts(request: GenerateRequest, text: str, form: str | None = None) -> bool:
    """Whether an answer may be this text, and end there."""
    grammar = Grammars(TOKENIZER, 1 << 18, None, written(form)).of(request)
    assert grammar is not None
    matcher = grammar.start([]).wrapped
    tokens = TOKENIZER.tokenize_bytes(text.encode())
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def asking(mode: ToolChoice, tools: tuple[Tool, ...] = TOOLS) -> GenerateRequest:
    return GenerateRequest("r", "m", (), tools=tools, tool_choice=mode)


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("apply_patch", GOOD, True),
        ("apply_patch", GOOD.replace("Begin", "begin"), False),
        ("apply_patch", "*** Begin Patch\n*** End Patch\n", False),
        ("apply_patch", "rm -rf /", False),
        ("digits", '12/"x"\n', True),
        ("digits", "12", False),
    ],
)
def test_an_input_keeps_to_its_grammar(name: str, text: str, *, right: bool) -> None:
    """In a call that is named, in one of required ones, and in chosen ones of both ways to write a call."""
    assert accepts(asking(ToolChoice("named", name)), compact({"input": text})) is right
    calls = [{"name": "find", "arguments": {"q": "x"}}, {"name": name, "arguments": {"input": text}}]
    assert accepts(asking(ToolChoice("required")), compact(calls)) is right
    said = (
        f"Let me see.\n<call>\n{json.dumps({'name': name, 'arguments': {'input': text}}, ensure_ascii=False)}\n</call>"
    )
    assert accepts(asking(ToolChoice()), said, "hermes") is right
    said = f"So:<call><function={name}>\n<parameter=input>\n{text}\n</parameter>\n</function>\n</call> done"
    assert accepts(asking(ToolChoice()), said, "qwen3_coder") is right


@pytest.mark.parametrize("parser", ["hermes", "qwen3_coder"])
def test_what_is_not_such_a_call_stays_free(parser: str) -> None:
    """Text without calls, and calls of functions."""
    call = {
        "hermes": '<call>{"name": "find", "arguments": {"q": 1, "r": []}}</call>',
        "qwen3_coder": "<call>\n<function=find>\n<parameter=q>\nx\n</parameter>\n</function>\n</call>",
    }[parser]
    for said in ("", "only text", "{", call, f"one {call} and {call} more"):
        assert accepts(asking(ToolChoice()), said, parser), said
    assert not accepts(asking(ToolChoice()), call.replace("find", "unheard_of"), parser)


def test_without_forms_or_a_known_format_nothing_is_constrained() -> None:
    """A model that writes its calls in another way is shown the grammar alone."""
    assert Grammars(TOKENIZER, 1 << 18, None, written("hermes")).of(asking(ToolChoice(), TOOLS[2:])) is None
    assert Grammars(TOKENIZER, 1 << 18, None, TOOL_FORMATS["mistral"]).of(asking(ToolChoice())) is None
    assert Grammars(TOKENIZER, 1 << 18).of(asking(ToolChoice())) is None


@pytest.mark.parametrize(
    "grammar",
    [
        "",
        "start: x",
        "start: [",
        'start: "a',
        "start: %json {}",
        "start: <think>",
        "start: /[a-z&&[b]]/",
        "start: /a/x",
        r"start: /\p{L}/",
        "start: ESCAPED_STRING\n%import common.ESCAPED_STRING",
        "%import other.LF\nstart: LF",
    ],
)
def test_a_grammar_that_cannot_be_kept_is_refused(grammar: str) -> None:
    """By name, before anything is generated."""
    tool = Tool("t", "", ANY, InputFormat("lark", grammar))
    with pytest.raises(UnsupportedValue) as refused:
        Grammars(TOKENIZER, 1 << 18).of(asking(ToolChoice("named", "t"), (tool,)))
    assert refused.value.param == "tools"


@pytest.mark.parametrize(
    ("grammar", "right", "wrong"),
    [
        (r'start: "a" /./ "\n"i "B"i', ['a"\nb', "a\\\nB", "a\t\nb"], ["a\n\nb", "ab", 'a"\nc']),
        ("start: LINE+\nLINE: /[^\\n]*/ LF\nLF: /\\n/", ["\n", 'é"\\\n\n', "a\nb\n"], ["a", "a\nb"]),
        (r"start: /[\w\s]+/", ["a b\tc\n", "é"], ["", "a-b", '"']),
        (r'start: /a\n?"b\\/ | /(?:x|\t)+/', ['a"b\\', 'a\n"b\\', "x\tx"], ["a", "x ", "t"]),
        ("start: WS_INLINE NEWLINE WORD // words\n%import common (WS_INLINE, NEWLINE, WORD)", [" \t\nword"], ["word"]),
        ("start: /.*/s", ["", 'any "\\\n\r\t text'], []),
        ("start: /.*/", ["", 'any "\\\t text'], ["two\nlines"]),
        ('start: "\\x41\\u00e9\\/" DIGIT ~ 2\n%import common.DIGIT', ["Aé/12"], ["Aé/1"]),
    ],
)
def test_a_grammar_of_plain_text_holds_inside_a_json_string(grammar: str, right: list[str], wrong: list[str]) -> None:
    """What has to be escaped there is, whether a literal, a class or a terminal asks for it."""
    asked = asking(ToolChoice("named", "t"), (Tool("t", "", ANY, InputFormat("lark", grammar)),))
    assert [text for text in right if not accepts(asked, compact({"input": text}))] == []
    assert [text for text in wrong if accepts(asked, compact({"input": text}))] == []


def test_rules_and_names_stay() -> None:
    """Only literals and regexes change, and terminals that hold a run."""
    assert (
        escaped('start: a B\na: "x"\nB: /[0-9]+x/\n') == 'start: a B\na: "x"\nB: /(?:[[0-9]&&[^"\\\\\\x00-\\x1f]])+x/\n'
    )
    assert "run_line: " in escaped("start: LINE\nLINE: /.*/")


def test_where_a_chosen_call_can_be_held_to_a_form() -> None:
    """Where it is known how the model writes it; elsewhere the form is set aside by name."""
    assert tool_grammar.writes(TOOL_FORMATS["hermes"])
    assert not tool_grammar.writes(TOOL_FORMATS["mistral"])
    assert not tool_grammar.writes(None)
