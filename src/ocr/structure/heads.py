"""Heads of unruled tables in two rows: names of groups of columns, and below them the columns' own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from src.ocr.structure.columns import Cell
from src.ocr.structure.words import around

_NEAREST, _FARTHEST = 0.8, 2.4  # heights of a word, from names of groups to names of columns
_FARTHEST_APART = 2.9  # with names as high as both rows between them
_BETWEEN = 0.1  # of the distance of two names: a group's name is so far from both


@dataclass(frozen=True)
class TwoRows:
    """The lines of a head: `lines` of them at the top of the table, as cells in rows 0 and 1."""

    lines: int
    cells: tuple[Cell, ...]


def find(by_line: Sequence[Sequence[Cell]], height: float) -> TwoRows | None:
    """The head, if a name stands over two or more others."""
    if len(by_line) < 3:
        return None
    upper = by_line[0]
    for at in (1, 2):
        lower = by_line[at]
        step = _middle(lower) - _middle(upper)
        farthest = _FARTHEST if at == 1 else _FARTHEST_APART
        if len(lower) > 1 and _NEAREST * height < step < farthest * height:
            between = [cell for line in by_line[1:at] for cell in line]
            head = _two_rows(upper, between, lower, at + 1)
            if head is not None:  # else the line below may be of names as high as both rows
                return head
    return None


def _two_rows(upper: Sequence[Cell], between: Sequence[Cell], lower: Sequence[Cell], lines: int) -> TwoRows | None:
    whole = {column for cell in between for column in range(cell.column, cell.column_end)}
    below: dict[int, list[Cell]] = {at: [] for at in range(len(upper))}
    for cell in lower:
        if cell.column not in whole:
            below[min(below, key=lambda at: abs(_center(upper[at]) - _center(cell)))].append(cell)
    if not any(len(cells) > 1 for cells in below.values()):
        return None
    if not all(_is_over(upper[at], cells) for at, cells in below.items() if len(cells) > 1):
        return None
    groups = [_over(upper[at], cells, lower) for at, cells in below.items()]
    tall = [replace(cell, row=0, row_span=2) for cell in between]
    return TwoRows(lines, (*groups, *tall, *(replace(cell, row=1) for cell in lower)))


def _is_over(name: Cell, cells: Sequence[Cell]) -> bool:
    """Whether it reaches over several columns, or stands between the first and the last of them."""
    if name.column_end - name.column > 1:
        return any(cell.column < name.column_end and cell.column_end > name.column for cell in cells)
    first, last = _center(cells[0]), _center(cells[-1])
    margin = _BETWEEN * (last - first)
    return first + margin <= _center(name) <= last - margin


def _over(name: Cell, cells: Sequence[Cell], lower: Sequence[Cell]) -> Cell:
    """A name with the columns below it; over none it is as high as both rows."""
    if cells:
        return replace(name, row=0, column=cells[0].column, column_end=cells[-1].column_end)
    alone = not any(cell.column < name.column_end and cell.column_end > name.column for cell in lower)
    return replace(name, row=0, row_span=2 if alone else 1)


def _middle(cells: Sequence[Cell]) -> float:
    return around(word for cell in cells for word in cell.words).middle


def _center(cell: Cell) -> float:
    return around(cell.words).center
