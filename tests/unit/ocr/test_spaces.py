"""Spaces of recognized lines, by the blanks in their pictures."""

from __future__ import annotations

import pytest

from src.ocr import spaces
from src.ocr.word_boxes import LineInk


def line(text: str, blanks: dict[int, float], read: str) -> str:
    """`text` as it was read, of letters two columns apart; `blanks`: widths, in columns, before its characters."""
    places, columns, found = 0, list[int](), list[tuple[float, float]]()
    for at in range(len(text)):
        gap = blanks.get(at, 0.2)
        found.append((places + 2 - gap, places + 2.0))
        places += 2 + round(gap)
        columns.append(places)
    width = places + 2
    moved = [
        (column - 0.5 - (right - left), column - 0.5) for (left, right), column in zip(found, columns, strict=True)
    ]
    return spaces.corrected(read, columns, width, LineInk(tuple((a / width, b / width) for a, b in moved)), 4 / width)


@pytest.mark.parametrize(
    ("read", "blanks", "right"),
    [
        ("use berths12 to 47 free", {3: 2, 9: 2, 11: 2, 13: 2, 15: 2}, "use berths 12 to 47 free"),
        ("use berths 12 to 47 free", {3: 2, 9: 2, 11: 2, 13: 2, 15: 2}, "use berths 12 to 47 free"),
        ("eig ht in the morning", {5: 2, 7: 2, 10: 2, 3: 0.1}, "eight in the morning"),
        ("a price of 3.14 or so", {1: 2, 6: 2, 8: 2, 10: 2, 12: 2, 14: 2}, "a price of 3.14 or so"),
        ("Customerno. K89", {8: 2, 11: 30}, "Customer no. K89"),  # one space, between cells
        ("berths12 to", {6: 0.9, 8: 2}, "berths12 to"),  # narrower than spaces are
        ("港务 委员会 于 星期二", {2: 0.1, 5: 2, 6: 2}, "港务 委员会 于 星期二"),
    ],
)
def test_spaces_are_where_the_picture_has_blanks(read: str, blanks: dict[int, float], right: str) -> None:
    """Lost ones are put back, those inside words go, and points and other scripts keep what was read."""
    assert line("".join(read.split()), blanks, read) == right
