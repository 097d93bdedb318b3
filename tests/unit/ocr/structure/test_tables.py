"""Tables from words and lines alone: spans, empty cells, wrapped cells, two rows of heads, and bounded time."""

from __future__ import annotations

import time

import pytest

from src.ipc.messages.blocks import OcrCell
from src.ocr.structure import tables
from src.ocr.structure.rulings import Ruling, Rulings
from src.ocr.structure.tables import Table
from src.ocr.structure.words import Area, Word, rows

HEIGHT, STEP, WIDTH = 20.0, 40.0, 120.0
NONE = Rulings((), ())


def words(texts: list[list[str]], step: float = STEP) -> list[Word]:
    """A grid of texts; `|` in one divides lines of a cell."""
    found = []
    for row, cells in enumerate(texts):
        for column, text in enumerate(cells):
            x = 100.0 + WIDTH * column
            for part in text.split():
                found.append(Word(x, 100 + step * row, x + 9 * len(part), 100 + step * row + HEIGHT, part))
                x += 9 * len(part) + 6
    return found


def lattice(columns: int, count: int, step: float = STEP) -> Rulings:
    """All lines of a grid around those words."""
    left, top = 90.0, 90.0
    right, bottom = left + WIDTH * columns, top + step * count
    return Rulings(
        tuple(Ruling(top + step * at, left, right) for at in range(count + 1)),
        tuple(Ruling(left + WIDTH * at, top, bottom) for at in range(columns + 1)),
    )


def find(found: list[Word], drawn: Rulings = NONE) -> list[Table]:
    return tables.find(found, rows(found), drawn)


def shown(table: Table) -> list[list[str]]:
    """Texts by row; with its spans where a cell has any."""
    lines: dict[int, list[str]] = {}
    for cell in table.cells:
        lines.setdefault(cell.row, []).append(cell.text + _spans(cell))
    return [lines[row] for row in sorted(lines)]


def _spans(cell: OcrCell) -> str:
    return "" if (cell.row_span, cell.column_span) == (1, 1) else f" {cell.row_span}x{cell.column_span}"


TEXTS = [["Item", "Place", "Price"], ["Rope", "", "7.50"], ["Ladder", "Yard", "48.00"], ["Wire", "Shelf", ""]]


@pytest.mark.parametrize("drawn", [NONE, lattice(3, 4)])
def test_empty_cells_keep_their_place(drawn: Rulings) -> None:
    (table,) = find(words(TEXTS), drawn)
    assert shown(table) == TEXTS


def test_a_line_that_is_missing_makes_a_span() -> None:
    """Over two columns in the first row, over two rows in the first column."""
    drawn = lattice(3, 3)
    second = drawn.vertical[2]
    vertical = (*drawn.vertical[:2], Ruling(second.at, second.start + STEP, second.end), drawn.vertical[3])
    third = drawn.horizontal[2]
    horizontal = (*drawn.horizontal[:2], Ruling(third.at, third.start + WIDTH, third.end), drawn.horizontal[3])
    (table,) = find(words([["a", "b", ""], ["c", "d", "e"], ["", "f", "g"]]), Rulings(horizontal, vertical))
    assert shown(table) == [["a", "b 1x2"], ["c 2x1", "d", "e"], ["f", "g"]]


def test_names_of_groups_stand_over_their_columns() -> None:
    """As spans; a name beside them is as high as both rows."""
    body = words([["Rope", "1", "2", "3", "4"], ["Lamp", "5", "6", "7", "8"], ["Tar", "9", "10", "11", "12"]])
    down = [Word(w.left, w.top + 120, w.right, w.bottom + 120, w.text) for w in body]
    head = [Word(100, 140, 140, 160, "Item")]
    head += [Word(x, 160, x + 40, 180, name) for x, name in ((220, "Net"), (340, "Tax"), (460, "All"), (580, "Due"))]
    head += [Word(275, 120, 325, 140, "North"), Word(515, 120, 565, 140, "South")]
    (table,) = find(head + down)
    assert shown(table)[:2] == [["Item 2x1", "North 1x2", "South 1x2"], ["Net", "Tax", "All", "Due"]]
    assert [cell.text for cell in table.cells if cell.header] == ["Item", "North", "South", "Net", "Tax", "All", "Due"]


@pytest.mark.parametrize("step", [1.28, 1.4])
def test_names_as_high_as_both_rows_of_a_head_stand_between_them(step: float) -> None:
    """Not below the names of groups, though these come first and nothing else is in their line."""
    body = [
        ["Rope", "12", "7", "3", "4", "9"],
        ["Ladder", "5", "48", "8", "2", "6"],
        ["Wire", "30", "2", "1", "9", "4"],
    ]
    found = words([[""] * 6, [""] * 6, [""] * 6, *body])
    names = [("Basin", 1.5, 0), ("Pier", 4.5, 0), ("Item", 0, 1), ("Total", 3, 1)]
    names += [("Year", 1, 2), ("Share", 2, 2), ("Berth", 4, 2), ("Price", 5, 2)]
    for text, column, line in names:
        x, y = 100 + WIDTH * column, 125 + step * HEIGHT * line
        found.append(Word(x, y, x + 9 * len(text), y + HEIGHT, text))
    (table,) = find(found)
    assert shown(table)[:2] == [["Item 2x1", "Basin 1x2", "Total 2x1", "Pier 1x2"], ["Year", "Share", "Berth", "Price"]]
    assert shown(table)[2:] == body


def test_rows_of_several_lines() -> None:
    """Where rows stand wider apart than lines, lines of one row are one."""
    found = words([["Rope of", "", "1"], ["hemp", "", ""]], step=24)
    for number in (1, 2, 3):
        found += [Word(w.left, w.top + 80 * number, w.right, w.bottom + 80 * number, w.text)
                  for w in words([["Long", "x", "22"], ["name", "", ""]], step=24)]  # fmt: skip
    (table,) = find(found)
    assert [row[0] for row in shown(table)] == ["Rope of\nhemp", "Long\nname", "Long\nname", "Long\nname"]


def test_prose_in_columns_is_no_table() -> None:
    line = ["the", "harbour", "office", "asks", "all"]
    found = []
    for row in range(8):
        for start in (100.0, 700.0):
            x = start
            for word in line:
                found.append(Word(x, 100 + 30 * row, x + 11 * len(word), 120 + 30 * row, word))
                x += 11 * len(word) + 6
    assert find(found) == []


def test_an_empty_grid_is_a_drawing() -> None:
    assert find(words([["a"]]), lattice(6, 6)) == []


def test_a_page_of_hatching_takes_no_time() -> None:
    """Hundreds of lines each way, and thousands of words."""
    hatching = Rulings(
        tuple(Ruling(3.0 * at, 0, 1200) for at in range(399)), tuple(Ruling(3.0 * at, 0, 1200) for at in range(399))
    )
    found = words([["12"] * 40] * 100)
    began = time.process_time()
    tables.find(found, rows(found), hatching)
    assert time.process_time() - began < 8


@pytest.mark.parametrize("missed", [1, 2])
def test_columns_that_the_model_missed_are_found(missed: int) -> None:
    """Its area begins at a later column; the rows go on to the left of it."""
    rest = ([f"Rope {at}", str(at), "7.50", f"{at}.25", "20 %"] for at in range(2, 9))
    texts = [["Item", "Number", "Price", "Sum", "Tax"], *rest]
    found = words(texts)
    area = Area(90 + WIDTH * missed, 90, 150 + WIDTH * 4, 130 + STEP * 7)
    (table,) = tables.find(found, rows(found), NONE, [area])
    assert shown(table) == texts


def test_text_beside_a_table_is_no_column_of_it() -> None:
    """Lines of another column, level with its rows."""
    cells = [[str(at), f"{at}.50", f"{at}.25"] for at in range(2, 10)]
    text = [Word(100 - 3 * WIDTH, w.top, 60, w.bottom, "harbour" * 6) for w in words([[row[0]] for row in cells])]
    found = words(cells) + text
    (table, *_) = tables.find(found, rows(found), NONE, [Area(90, 90, 100 + WIDTH * 3, 110 + STEP * 8)])
    assert shown(table) == cells
