"""A custom tool's input out of its function's arguments, however they are cut into pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.api.openai.custom_input import CustomInput


def read(pieces: list[str]) -> tuple[str, str]:
    """What was told while it came, and at the end."""
    reader = CustomInput()
    return "".join(map(reader.feed, pieces)), reader.finish()


@given(st.text(), st.booleans(), st.integers(1, 7))
def test_any_text_comes_through_in_any_pieces(text: str, ascii_only: bool, size: int) -> None:
    """Escapes may be cut anywhere; pairs of them are one character."""
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    assert read(pieces) == (text, "")


@pytest.mark.parametrize(
    ("arguments", "told", "rest"),
    [
        ('{ "input" : "a\\/b" } trailing', "a/b", ""),
        ('{"input":"cut', "cut", ""),
        ('{"input":"cut\\', "cut", ""),
        ('{"input":"\\ud83d\\ude0', "", ""),
        ('{"input":"\\ud83dx"}', "\ufffdx", ""),
        ('{"input":"\\ude00"}', "\ufffd", ""),
        ('{"input":"\\uzz"}', "uzz", ""),
        ('{"other":1,"input":"late"}', "", "late"),
        ('{"input":5}', "", '{"input":5}'),
        ('"only text"', "", "only text"),
        ("*** Begin Patch", "", "*** Begin Patch"),
        ("", "", ""),
    ],
)
def test_what_a_model_may_write_instead(arguments: str, told: str, rest: str) -> None:
    """Nothing it wrote is lost, and no half character goes out."""
    assert read(list(arguments)) == (told, rest)
    assert read([arguments]) == (told, rest)
