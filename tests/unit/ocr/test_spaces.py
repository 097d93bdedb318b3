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


def exact_line(text: str, widths: dict[str, float], space: float, read: str, shift: float = 0.0) -> str:
    """`text` of letters so many columns wide, one column apart, seen up to `shift` columns too far right."""
    at, columns, blanks, end = 0.0, list[int](), list[tuple[float, float]](), 0.0
    for symbol in text:
        if symbol == " ":
            at += space
            continue
        beside = 0.7 * (symbol == "1")
        start = at + beside
        if columns:
            blanks.append((end, start))
        end = start + widths.get(symbol, 2.0)
        columns.append(int((start + end) / 2 + shift * (symbol == "l")))
        at = end + 0.5 + beside
    ink = LineInk(tuple((left / end, right / end) for left, right in blanks))
    return spaces.corrected(read, columns, end, ink, 4 / end)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("the hull l a is full", "the hull la is full"),
        ("will all be well till it is", "will allbe well till it is"),
        ("sail 11 miles in 11 days", "sail 11 miles in 11 days"),
        ("pay 30.11 of the 41.10", "pay 30.11 of the 41.10"),
    ],
)
def test_blanks_beside_thin_letters_are_measured(text: str, read: str) -> None:
    """Where each letter is one piece of ink its blanks are known, though columns are coarse; figures stand apart."""
    assert exact_line(text, {"l": 0.8, "i": 0.8, "t": 1.2, "1": 0.6}, 1.6, read, 0.9) == text


@pytest.mark.parametrize("number", ["30.11", "1171", "2111"])
def test_figures_of_a_number_stay_together(number: str) -> None:
    """A 1 has wide blanks beside it, as all figures are equally wide."""
    assert (
        exact_line(f"{number} in all of them", {"1": 0.6}, 1.3, f"{number} in all of them")
        == f"{number} in all of them"
    )
