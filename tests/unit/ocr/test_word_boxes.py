"""Words of a recognized line: each at its own place, apart from its neighbours, none invented."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

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


def drawn(text: str) -> NDArray[np.uint8]:
    image = Image.new("L", (300, 60), 255)
    ImageDraw.Draw(image).text((10, 8), text, 0, ImageFont.load_default(32))
    return np.asarray(image.convert("RGB"), np.uint8)


def test_words_end_where_their_ink_does() -> None:
    """Columns are coarse: the blank between two words is found in the picture."""
    line = drawn("ab cd")
    inked = np.flatnonzero((line.min(axis=2) < 128).any(axis=0))
    gap = int(np.argmax(np.diff(inked)))
    width = line.shape[1] / 8
    middle = (inked[gap] + inked[gap + 1]) / 2 / 8
    columns = [round(inked[0] / 8 + 1), round(middle - 2), round(middle + 1), round(inked[-1] / 8 - 1)]
    box = ((0.0, 0.0), (300.0, 0.0), (300.0, 60.0), (0.0, 60.0))
    first, second = word_boxes.words("ab cd", columns, width, box, word_boxes.line_ink(line, "ab cd"))
    assert first.polygon[0][0] == pytest.approx(inked[0], abs=1)
    assert first.polygon[1][0] == pytest.approx(inked[gap] + 1, abs=1)
    assert second.polygon[0][0] == pytest.approx(inked[gap + 1], abs=1)
    assert second.polygon[1][0] == pytest.approx(inked[-1] + 1, abs=1)


def test_a_line_is_as_high_as_its_letters() -> None:
    """From the ascenders to the descenders, also where it has none of them."""
    whole = word_boxes.line_ink(drawn("bg"), "bg").rows
    assert 0.1 < whole[0] < whole[1] < 0.9
    for text in ("xa", "bd", "gy"):
        rows = word_boxes.line_ink(drawn(text), text).rows
        assert rows == pytest.approx(whole, abs=0.08)
    assert word_boxes.line_ink(np.full((20, 90, 3), 255, np.uint8), "?") == word_boxes.LineInk(((0.0, 1.0),))
