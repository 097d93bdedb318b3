"""Which family a model is of: by template, by vocabulary, as the settings say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import get_args

import pytest

from src.engine.families.recognition import Signs, recognise
from src.engine.families.table import FAMILIES, REASONING
from src.engine.families.tool_formats import TOOLS
from src.settings import ReasoningFormat, ToolFormat

NOTHING = frozenset[str]()


def test_settings_know_every_format() -> None:
    assert set(get_args(ToolFormat)) == {"auto", "none", *TOOLS}
    assert set(get_args(ReasoningFormat)) == {"auto", "none", *REASONING}


def test_rows_name_formats_that_there_are() -> None:
    assert {row.tools for row in FAMILIES if row.tools} == set(TOOLS)
    assert {name for row in FAMILIES for name in row.reasoning} <= set(REASONING)
    assert len({row.name for row in FAMILIES}) == len(FAMILIES) >= 30


def test_architectures_that_see_are_mlx_vlms() -> None:
    spec = importlib.util.find_spec("mlx_vlm")
    assert spec is not None
    assert spec.origin is not None
    there = {folder.name for folder in (Path(spec.origin).parent / "models").iterdir()}
    assert {name for row in FAMILIES for name in row.vision} <= there


def test_a_format_nobody_knows() -> None:
    """A template that offers tools in no known way: said at load, and in the answers' header."""
    found = recognise(Signs("{% for t in tools %}«call»{% endfor %}", NOTHING))
    assert (found.family, found.tools, found.unknown_tools) == ("unknown", None, True)
    plain = recognise(Signs("{{ messages }}", NOTHING))
    assert (plain.family, plain.unknown_tools) == ("plain", False)


def test_by_vocabulary() -> None:
    """Conversions whose template does not name the marks (LFM2.5)."""
    vocabulary = frozenset(("<|tool_call_start|>", "<|tool_call_end|>", "<think>", "</think>"))
    found = recognise(Signs("{{ tools }}", vocabulary))
    assert (found.family, found.reasoning) == ("lfm2", REASONING["think"])


@pytest.mark.parametrize("tools", ["qwen3_coder", "none"])
def test_by_hand(tools: str) -> None:
    found = recognise(Signs("{{ tools }}<tool_call>", NOTHING), tools, "mistral")
    assert found.tools == TOOLS.get(tools)
    assert (found.reasoning, found.unknown_tools) == (REASONING["mistral"], False)


def test_ordinary_marks_mean_something_only_where_the_model_speaks_of_them() -> None:
    """`<response>` is ERNIE's mark, and any text's in another hermes model."""
    assert recognise(Signs("{{ tools }}<tool_call>", NOTHING)).hidden == ()
    assert recognise(Signs("{{ tools }}<tool_call><response></response>", NOTHING)).hidden == (
        "<response>",
        "</response>",
    )


def test_thinking_without_tools() -> None:
    found = recognise(Signs("{{ messages }}<think>", frozenset(("<think>", "</think>"))))
    assert (found.family, found.tools, found.reasoning) == ("r1-distill", None, REASONING["think"])
