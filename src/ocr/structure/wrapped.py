"""Which lines of an unruled table are one row of it: cells of several lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from src.ocr.structure import heads
from src.ocr.structure.columns import Cell
from src.ocr.structure.rulings import Ruling
from src.ocr.structure.words import Area, Word, around

_LEAST_ROWS = 3
_LEADING = 1.22  # times the least step from line to line: wider ones are between rows
_HALF_STEP = 0.75  # of a line's height: a number beside a label of two lines
_FULL = 0.6  # of the columns: a line that fills them is a row of its own
_FILLED = 0.7  # of its column's width: a cell that may go on in the next line
_PROSE = 8.0  # heights of a line: a column of text
_MAX_HEAD = 6  # lines


def join(
    cells: Sequence[Cell], lines: Sequence[Sequence[Word]], height: float, rulings: Sequence[Ruling]
) -> list[Cell]:
    """The cells with the numbers of their rows; they came with those of their lines."""
    by_line = [[cell for cell in cells if cell.row == at] for at in range(len(lines))]
    head = heads.find(by_line, height)
    if head is None:
        return _joined(by_line, lines, height, rulings)
    rest = _joined(by_line[head.lines :], lines[head.lines :], height, rulings)
    return [*head.cells, *(replace(cell, row=cell.row + 2) for cell in rest)]


def _joined(
    by_line: Sequence[Sequence[Cell]], lines: Sequence[Sequence[Word]], height: float, rulings: Sequence[Ruling]
) -> list[Cell]:
    areas = [around(line) for line in lines]
    steps = [below.middle - above.middle for above, below in pairwise(areas)]
    divided = [_ruled_between(rulings, above, below) for above, below in pairwise(areas)]
    joined = [step < _HALF_STEP * height for step in steps]
    for at in [*_by_leading(by_line, steps, divided), *_in_head(by_line, divided), *_by_text(by_line)]:
        joined[at] = True
    numbers = [0]
    for one, ruled in zip(joined, divided, strict=True):
        numbers.append(numbers[-1] + (ruled or not one))
    return [replace(cell, row=number) for number, line in zip(numbers, by_line, strict=False) for cell in line]


def _ruled_between(lines: Iterable[Ruling], above: Area, below: Area) -> bool:
    return any(
        above.middle < line.at < below.middle and line.start < below.right and line.end > below.left for line in lines
    )


def _by_leading(by_line: Sequence[Sequence[Cell]], steps: Sequence[float], divided: Sequence[bool]) -> list[int]:
    """Steps as narrow as a text's, where rows stand wider apart; but groups of rows are no rows of groups."""
    if len(steps) < _LEAST_ROWS:
        return []
    most = sorted(steps)[len(steps) // 10] * _LEADING
    if sum(step > most for step in steps) < max(2, len(steps) // 6):
        return []
    columns = max(cell.column_end for cells in by_line for cell in cells)
    found: list[int] = []
    for group in _groups([step <= most and not ruled for step, ruled in zip(steps, divided, strict=True)]):
        lines = [by_line[at] for at in (*group, group[-1] + 1)]
        rows = sum(_is_numeric(cells) or _is_full(cells, columns) for cells in lines)
        found += group if rows <= 1 else []
    return found


def _groups(near: Sequence[bool]) -> list[list[int]]:
    """Runs of indices."""
    groups: list[list[int]] = [[]]
    for at, one in enumerate(near):
        if one:
            groups[-1].append(at)
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _is_full(cells: Sequence[Cell], columns: int) -> bool:
    """A line with its first column and most others."""
    return any(cell.column == 0 for cell in cells) and len(cells) >= max(2, _FULL * columns)


def _is_numeric(cells: Sequence[Cell]) -> bool:
    """Whether most of its cells but the first are numbers."""
    values = [cell for cell in cells if cell.column > 0]
    return bool(values) and sum(map(_is_number, values)) > len(values) / 2


def _is_number(cell: Cell) -> bool:
    text = "".join(word.text for word in cell.words)
    digits = sum(symbol.isdigit() for symbol in text)
    return digits > 0 and digits >= sum(symbol.isalpha() for symbol in text)


def _in_head(by_line: Sequence[Sequence[Cell]], divided: Sequence[bool]) -> list[int]:
    """Lines of text above a table of numbers, where one fills the other's columns: names of several lines."""
    numeric = [any(_is_number(cell) for cell in cells if cell.column) for cells in by_line]
    if sum(map(_is_numeric, by_line)) < 2 or not 0 < (first := numeric.index(True)) <= _MAX_HEAD:
        return []
    found: list[int] = []
    for at in range(first - 1):
        upper, lower = by_line[at], by_line[at + 1]
        simple = all(cell.column_end - cell.column == 1 for cell in (*upper, *lower))
        above, below = {cell.column for cell in upper}, {cell.column for cell in lower}
        inner = above - {0}
        if simple and not divided[at] and inner and (inner <= below or below - {0} <= inner) and below - {0}:
            found.append(at)
    return found


def _by_text(by_line: Sequence[Sequence[Cell]]) -> list[int]:
    """Lines whose every cell goes on with what filled its column above."""
    widths: dict[int, float] = {}
    for cell in (cell for cells in by_line for cell in cells):
        if cell.column_end - cell.column == 1:
            widths[cell.column] = max(widths.get(cell.column, 0.0), _width(cell))
    pairs = enumerate(pairwise(by_line))
    return [at for at, (above, here) in pairs if _goes_on(above, here, widths)]


def _width(cell: Cell) -> float:
    return cell.words[-1].right - cell.words[0].left


def _goes_on(above: Sequence[Cell], here: Sequence[Cell], widths: dict[int, float]) -> bool:
    before = {cell.column: _width(cell) for cell in above}
    full = all(before.get(cell.column, 0.0) >= _FILLED * widths.get(cell.column, 1e9) for cell in here)
    if not full or any(_is_number(cell) for cell in here):
        return False
    if all(cell.words[0].text[:1].islower() for cell in here):
        return True
    prose = all(widths.get(cell.column, 0.0) > _PROSE * cell.words[0].height for cell in here)
    return prose and all(cell.column > 0 for cell in here)
