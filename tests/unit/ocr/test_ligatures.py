"""Æ and Œ read as two letters, by the ink between them."""

from __future__ import annotations

import pytest

from src.ocr import ligatures
from src.ocr.word_boxes import LineInk

COLUMNS = {"AErø 2 RAE": [1, 2, 4, 6, 9, 12, 14, 16], "OEUVRE": [1, 3, 5, 7, 9, 11]}


@pytest.mark.parametrize(
    ("texts", "pairs"),
    [(["CAESAR", "RAE"], ()), (["AErø er smuk"], ("AE",)), (["un œuf", "ŒUVRE"], ("OE",)), (["æ", "Œ"], ("AE", "OE"))],
)
def test_ligatures_are_expected_where_the_page_has_letters_of_their_languages(
    texts: list[str], pairs: tuple[str, ...]
) -> None:
    assert ligatures.expected(texts) == pairs


@pytest.mark.parametrize(
    ("text", "blanks", "pairs", "right", "left"),
    [
        ("AErø 2 RAE", ((15.0, 15.4),), ("AE",), "Ærø 2 RAE", [1, 4, 6, 9, 12, 14, 16]),  # the second is apart
        ("AErø 2 RAE", (), ("AE",), "Ærø 2 RÆ", [1, 4, 6, 9, 12, 14]),
        ("AErø 2 RAE", (), (), "AErø 2 RAE", COLUMNS["AErø 2 RAE"]),
        ("OEUVRE", (), ("AE", "OE"), "ŒUVRE", [1, 5, 7, 9, 11]),
    ],
)
def test_letters_that_touch_are_one(
    text: str, blanks: tuple[tuple[float, float], ...], pairs: tuple[str, ...], right: str, left: list[int]
) -> None:
    ink = LineInk(tuple((a / 20, b / 20) for a, b in blanks))
    assert ligatures.joined(text, COLUMNS[text], 20, ink, pairs) == (right, left)


def test_a_line_with_other_characters_than_columns_is_kept() -> None:
    assert ligatures.joined("AErø", [1, 2], 20, LineInk(), ("AE",)) == ("AErø", [1, 2])
