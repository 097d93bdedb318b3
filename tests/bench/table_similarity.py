"""How alike two tables are, as TEDS has it: 1 less the edit distance of their trees, by the size of the larger one.

The trees are a table's rows and their cells. A cell costs 1 when its spans differ, else the share of wrong characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Cell(Protocol):
    @property
    def row(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def row_span(self) -> int: ...
    @property
    def column_span(self) -> int: ...


Row = list[Cell]


def similarity(wanted: Sequence[Cell], got: Sequence[Cell]) -> float:
    """0 to 1."""
    a, b = _rows(wanted), _rows(got)
    size = max(_size(a), _size(b))
    return 1 - _distance(a, b, lambda row: 1.0 + len(row), _row_distance) / size if size else 1.0


def _rows(cells: Sequence[Cell]) -> list[Row]:
    ordered = sorted(cells, key=lambda cell: (cell.row, cell.column))
    return [list(row) for _, row in groupby(ordered, key=lambda cell: cell.row)]


def _size(rows: Sequence[Row]) -> int:
    return sum(1 + len(row) for row in rows)


def _row_distance(a: Row, b: Row) -> float:
    return _distance(a, b, lambda _: 1.0, _cell_distance)


def _cell_distance(a: Cell, b: Cell) -> float:
    if (a.row_span, a.column_span) != (b.row_span, b.column_span):
        return 1.0
    first, second = " ".join(a.text.split()), " ".join(b.text.split())
    return 0.0 if first == second else 1 - SequenceMatcher(None, first, second, autojunk=False).ratio()


def _distance(
    a: Sequence[Item], b: Sequence[Item], cost: Callable[[Item], float], change: Callable[[Item, Item], float]
) -> float:
    """The cheapest way from one sequence to the other."""
    above = [0.0]
    for item in b:
        above.append(above[-1] + cost(item))
    for item in a:
        here = [above[0] + cost(item)]
        for at, other in enumerate(b):
            left, up = here[-1] + cost(other), above[at + 1] + cost(item)
            here.append(min(left, up, above[at] + change(item, other)))
        above = here
    return above[-1]
