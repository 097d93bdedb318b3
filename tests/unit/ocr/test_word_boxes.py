"""Words of a recognized line: each at its own place, apart from its neighbours, none invented."""

from __future__ import annotations

from itertools import pairwise

import pytest

from src.ocr import word_boxes

BOX = ((100.0, 50.0), (300.0, 50.0), (300.0, 70.0), (100.0, 70.0))


def spans(text: str, columns: list[int], width: float = 100) -> list[tuple[str, float, float]]:
    found = word_boxes.words(text, columns, width, BOX)
    return [(word.text, word.polygon[0][0], word.polygon[1][0]) for word in found]


def test_words_are_at_their_characters() -> None:
    """Two columns a character, of 100 columns over 200 pixels."""
    assert spans("ab cd", [10, 12, 20, 22]) == [("ab", 119, 127), ("cd", 139, 147)]


def test_words_never_overlap() -> None:
    found = spans("aa b cc", [10, 16, 18, 20, 26])
    assert all(before[2] <= after[1] for before, after in pairwise(found))


def test_a_wide_gap_divides_what_was_read_as_one_word() -> None:
    """The recognizer reads neighbouring cells as one number."""
    assert [word for word, _, _ in spans("12345", [2, 4, 6, 40, 42])] == ["123", "45"]


@pytest.mark.parametrize(("text", "columns"), [("", []), ("  ", []), ("abc", [1, 2])])
def test_nothing_is_invented(text: str, columns: list[int]) -> None:
    assert spans(text, columns) == []


def test_a_slanted_line_has_slanted_words() -> None:
    box = ((0.0, 0.0), (100.0, 50.0), (90.0, 70.0), (-10.0, 20.0))
    (word,) = word_boxes.words("ab", [49, 50], 100, box)
    assert word.polygon[0][1] == pytest.approx(word.polygon[0][0] / 2)
    assert word.polygon[3][1] == pytest.approx(word.polygon[0][1] + 20)
