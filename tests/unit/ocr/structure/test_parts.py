"""Lines of a page as headings, paragraphs, running heads and feet, by their sizes, weights and hints of a model."""

from __future__ import annotations

import pytest

from src.ocr.structure.parts import Hint, PageLine, divide
from src.ocr.structure.words import Area

PAGE = Area(0, 0, 1240, 1754)


def lines(*texts: str, top: float = 300, height: float = 16, weight: float = 1.0, step: float = 33) -> list[PageLine]:
    """Of one size, a usual step apart."""
    return [
        PageLine(text, Area(100, top + step * at, 100 + 11 * len(text), top + step * at + height), weight)
        for at, text in enumerate(texts)
    ]


def kinds(found: list[PageLine], hints: tuple[Hint, ...] = ()) -> list[tuple[str, int]]:
    """The parts' kinds, and of how many lines."""
    return [(part.kind, len(part.lines)) for part in divide(found, hints, PAGE)]


BODY = ("The harbour lay quiet under a grey sky while", "small boats came in from the north with their", "lamps still.")


def test_a_section_number_before_a_sentence_of_two_lines_is_no_heading() -> None:
    clause = lines("3.1 The Hirer is liable for loss or damage, except where caused", "by fair wear and tear.", top=460)
    assert kinds([*lines(*BODY), *clause]) == [("text", 3), ("text", 2)]


def test_a_numbered_heading_in_bold_stays_one() -> None:
    heading = lines("3.1 Liability of hirers", top=460, weight=1.8)
    assert kinds([*lines(*BODY), *heading, *lines("by fair wear and tear.", top=493)])[1] == ("heading", 1)


def test_a_first_line_that_ends_in_a_hyphen_is_no_heading() -> None:
    """The detector drew its box higher than the others'."""
    first = lines("The harbour commit-", top=260, height=20)
    assert kinds([*first, *lines("tee met on Tuesday", "to hear the engin-", "eer report.", top=293)]) == [("text", 4)]


def test_boxes_of_uneven_heights_are_one_paragraph() -> None:
    uneven = [*lines(BODY[0]), *lines(BODY[1], top=333, height=12), *lines(BODY[2], top=366)]
    assert kinds(uneven) == [("text", 3)]


def test_a_large_bold_line_at_the_top_is_a_title_where_the_model_says_both() -> None:
    title = lines("HIRE AGREEMENT", top=80, height=20, weight=2.1)
    hints = tuple(Hint(kind, Area(90, 70, 400, 110)) for kind in ("title", "header"))
    assert kinds([*title, *lines(*BODY)], hints) == [("heading", 1), ("text", 3)]
    small = lines("Hire agreement", top=80, height=14)
    assert kinds([*small, *lines(*BODY)], hints) == [("header", 1), ("text", 3)]


@pytest.mark.parametrize("step", [36, 44, 60])
def test_widely_spaced_text_is_one_paragraph(step: float) -> None:
    """One and a half or two lines' spacing, as drafts and pleadings have: no line of it is a heading."""
    hints = (Hint("title", Area(90, 290, 800, 320)),)
    text = lines("The harbour lay quiet until", "Thursday, when small boats came", "in from the north.", step=step)
    assert kinds(text, hints) == [("text", 3)]


def test_rows_of_a_form_stay_apart() -> None:
    """They begin with capitals."""
    rows = lines("Name: Ada Lovelace", "Boat length: 12.5 m", "Harbour: Westport", "Motor: yes", step=60)
    assert [count for _, count in kinds(rows)] == [1, 1, 1, 1]


def test_a_heading_that_stands_off_its_text_stays_one() -> None:
    """Of the size of the text and not bold, as a scan shows it; the text begins with a small letter."""
    heading, text = lines("Repairs of the year", height=18), lines(*BODY, top=350)
    hints = (Hint("title", Area(90, 290, 800, 320)),)
    small = [PageLine(line.text.lower(), line.area) for line in text]
    assert kinds([*heading, *small], hints) == [("heading", 1), ("text", 3)]
