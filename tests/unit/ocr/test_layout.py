"""Reading order from boxes alone: rows, columns, tables, titles, skew."""

from __future__ import annotations

import math
import random

import pytest

from src.ocr import layout
from tests.bench import ocr_layouts
from tests.bench.ocr_sheets import Sheet, kendall_tau

Box = tuple[tuple[float, float], ...]


def box(x: float, y: float, width: float, height: float = 20) -> Box:
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def turned(polygon: Box, degrees: float) -> Box:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple((x * cos - y * sin, x * sin + y * cos) for x, y in polygon)


def column(x: float, lines: int, width: float = 300, top: float = 0) -> list[Box]:
    return [box(x, top + 30 * number, width) for number in range(lines)]


def order(boxes: list[Box], seed: int = 1) -> list[int]:
    """The reading order found when the boxes come in any order."""
    shuffled = list(range(len(boxes)))
    random.Random(seed).shuffle(shuffled)
    return [shuffled[index] for index in layout.arrange([boxes[index] for index in shuffled]).order]


def test_an_empty_page_has_no_rows() -> None:
    """No lines, no order, no skew."""
    assert layout.arrange([]) == layout.Layout((), 0.0)


def test_lines_are_read_from_top_to_bottom() -> None:
    """A plain page is read line by line."""
    assert order(column(10, 8)) == list(range(8))


def test_boxes_of_one_row_are_read_from_left_to_right() -> None:
    """Words at one height are one row, however they are detected."""
    words = [box(0, 0, 80), box(100, 3, 80), box(200, -2, 80)]
    assert layout.arrange([words[2], words[0], words[1]]).rows == ((1, 2, 0),)


def test_overlapping_boxes_are_two_rows() -> None:
    """What lies over each other cannot stand beside each other."""
    assert len(layout.arrange([box(0, 0, 200), box(50, 6, 200)]).rows) == 2


def test_two_columns_are_read_one_after_the_other() -> None:
    """Prose in two columns is not read across the gap."""
    assert order(column(0, 9) + column(340, 9, top=7)) == list(range(18))


def test_three_columns_are_read_one_after_the_other() -> None:
    """Columns split again."""
    assert order(column(0, 8) + column(340, 8) + column(680, 8)) == list(range(24))


def test_a_title_stands_over_its_columns() -> None:
    """A line over the whole width is read first, and one in the middle parts the columns above and below it."""
    upper = [box(0, 0, 640), *column(0, 6, top=40), *column(340, 6, top=40)]
    lower = [box(0, 260, 640), *column(0, 6, top=300), *column(340, 6, top=300)]
    assert order(upper + lower) == list(range(26))


def test_a_table_is_read_row_by_row() -> None:
    """Short cells in a grid are no columns of prose."""
    cells = [box(x, 30 * row, 60) for row in range(8) for x in (0, 200, 400)]
    assert order(cells) == list(range(24))


@pytest.mark.parametrize("degrees", [-8, 5, 12])
def test_skew_is_measured_and_undone(degrees: float) -> None:
    """A page that lies askew is read as if it lay straight."""
    boxes = [turned(polygon, degrees) for polygon in column(0, 9) + column(340, 9)]
    assert math.degrees(layout.arrange(boxes).skew) == pytest.approx(degrees)
    assert order(boxes) == list(range(18))


@pytest.mark.parametrize("boxes", [column(0, 2), [turned(b, 60) for b in column(0, 9)], [box(0, 0, 0, 0)] * 12])
def test_implausible_skew_is_zero(boxes: list[Box]) -> None:
    """Few lines, or an angle beyond belief, count as straight; boxes of no size do no harm."""
    arranged = layout.arrange(boxes)
    assert arranged.skew == 0.0
    assert sorted(arranged.order) == list(range(len(boxes)))


@pytest.mark.parametrize("seed", range(20))
def test_every_line_is_read_exactly_once(seed: int) -> None:
    """Whatever lies where, no line is lost and none read twice."""
    dice = random.Random(seed)
    boxes = [
        box(dice.uniform(0, 900), dice.uniform(0, 900), dice.uniform(1, 500), dice.uniform(5, 40)) for _ in range(80)
    ]
    assert sorted(order(boxes, seed)) == list(range(80))


@pytest.mark.timeout(60)
def test_many_boxes_are_ordered_in_bounded_time() -> None:
    """Hundreds of boxes scattered like the names on a map are no reason to think for hours."""
    dice = random.Random(7)
    boxes = [box(dice.uniform(0, 900), dice.uniform(0, 900), dice.uniform(1, 500)) for _ in range(400)]
    assert sorted(order(boxes)) == list(range(400))


def test_a_title_is_over_all_columns_wherever_it_ends() -> None:
    """One that hardly reaches into a gap ends the columns on both of its sides."""
    sheet = ocr_layouts.sheet("title between 3 columns", 6000)
    assert kendall_tau(order(list(sheet.polygons()))) == 1


def test_a_heading_in_a_column_ends_no_other_one() -> None:
    """Large lines beside the lines of other columns stay in theirs."""
    middle = [*column(340, 4), box(400, 125, 180, 30), *column(340, 4, top=170)]
    assert order(column(0, 9) + middle + column(680, 9)) == list(range(27))


@pytest.mark.parametrize("sheet", ocr_layouts.all_sheets(), ids=lambda sheet: sheet.name)
def test_layouts_are_read_in_order(sheet: Sheet) -> None:
    """Titles over, between and beside columns, strays, sidebars, tables beside lists: as a person reads them."""
    assert kendall_tau(order(list(sheet.polygons()))) >= 0.98
