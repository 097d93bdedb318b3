"""Rows and columns within a grid that no line divides: by the gaps between words of cells of the same extent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from src.ipc.messages.blocks import OcrCell
from src.ocr.structure import columns
from src.ocr.structure.columns import Cell
from src.ocr.structure.grid import Grid, GridSpan, interval
from src.ocr.structure.words import Word, around, rows, text_of

_LEAST_ROWS = 3
_MANY_ROWS = 6
_WIDE_GAP, _NARROW_GAP = 1.2, 0.7  # heights of a word, in few and in many rows
_ROWS_ALIKE = 0.75  # of the rows must have words in most columns
_BOTH_SIDES = 0.6  # of the rows must have words on both sides of a gap

_Extent = tuple[int, int]  # rows or columns of a grid, without the last


@dataclass(frozen=True)
class Refined:
    """All places of lines and cuts, and those that divide cells of an extent."""

    lattice: Grid
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    column_cuts: dict[_Extent, list[float]]
    row_cuts: dict[_Extent, list[float]]

    def cells(self, span: GridSpan, words: Sequence[Word]) -> list[OcrCell]:
        """A cell of the grid as one or more cells of the table."""
        area = self.lattice.area_of(span)
        across = [area.left, *self.column_cuts.get((span.column, span.column_end), []), area.right]
        down = [area.top, *self.row_cuts.get((span.row, span.row_end), []), area.bottom]
        found: list[OcrCell] = []
        for number, (top, bottom) in enumerate(pairwise(down)):
            row, row_end = self.ys.index(top), self.ys.index(bottom)
            inside = [word for word in words if interval(down, word.middle) == number]
            found += self._row(row, row_end, across, inside)
        return found

    def _row(self, row: int, row_end: int, across: Sequence[float], words: Sequence[Word]) -> list[OcrCell]:
        places = [self.xs.index(x) for x in across]
        return [
            OcrCell(row, places[start], text_of(inside), row_end - row, places[end] - places[start])
            for start, end, inside in filled(columns.cells(rows(words), across[1:-1]), len(across) - 1)
        ]


def filled(cells: Iterable[Cell], width: int) -> list[tuple[int, int, list[Word]]]:
    """The cells of one row from left to right, empty ones included: first column, the one after it, words."""
    by_column: dict[int, list[Cell]] = {}
    for cell in cells:
        by_column.setdefault(cell.column, []).append(cell)
    found: list[tuple[int, int, list[Word]]] = []
    column = 0
    while column < width:
        end = max([cell.column_end for cell in by_column.get(column, [])], default=column + 1)
        inside = [cell for at in range(column, end) for cell in by_column.get(at, [])]
        end = min(width, max([end, *(cell.column_end for cell in inside)]))
        found.append((column, end, [word for cell in inside for word in cell.words]))
        column = end
    return found


def refine(lattice: Grid, by_span: dict[GridSpan, list[Word]], height: float) -> Refined:
    """Columns first: rows are told by the columns that they fill."""
    strips: dict[_Extent, list[Word]] = {}
    bands: dict[_Extent, list[Word]] = {}
    for span, words in by_span.items():
        strips.setdefault((span.column, span.column_end), []).extend(words)
        bands.setdefault((span.row, span.row_end), []).extend(words)
    column_cuts = {extent: _columns_in(words, lattice.xs, height) for extent, words in strips.items()}
    xs = tuple(sorted({*lattice.xs, *(cut for cuts in column_cuts.values() for cut in cuts)}))
    row_cuts = {extent: _rows_in(words, extent, lattice.ys, xs) for extent, words in bands.items()}
    ys = tuple(sorted({*lattice.ys, *(cut for cuts in row_cuts.values() for cut in cuts)}))
    return Refined(lattice, xs, ys, column_cuts, row_cuts)


def _columns_in(words: Sequence[Word], xs: Sequence[float], height: float) -> list[float]:
    """Gaps with words to both sides in most rows, at a line where one is."""
    found = rows(words)
    if len(found) < _LEAST_ROWS:
        return []
    least = (_WIDE_GAP if len(found) < _MANY_ROWS else _NARROW_GAP) * height
    gaps = [(a, b) for a, b in columns.gaps(found, height) if b - a >= least]
    cuts = [next((x for x in xs if a <= x <= b), (a + b) / 2) for a, b in gaps]
    return [cut for cut in cuts if sum(_on_both_sides(row, cut) for row in found) >= _BOTH_SIDES * len(found)]


def _on_both_sides(row: Sequence[Word], cut: float) -> bool:
    return any(word.center < cut for word in row) and any(word.center > cut for word in row)


def _rows_in(words: Sequence[Word], extent: _Extent, ys: Sequence[float], xs: Sequence[float]) -> list[float]:
    """Where rows of text are rows of the table."""
    found = rows(words)
    inner = list(ys[extent[0] + 1 : extent[1]])
    if inner:  # a cell over several rows: divided like its neighbours, if it has a text for each of them
        bands = {interval(ys, around(row).middle) for row in found}
        alike = len(found) == len(bands) >= max(_LEAST_ROWS, _ROWS_ALIKE * (len(inner) + 1))
        return inner if alike else []
    used = {interval(xs, word.center) for word in words}
    if len(found) < _LEAST_ROWS or len(used) < 2:
        return []
    full = [len({interval(xs, word.center) for word in row}) >= max(2, 0.6 * len(used)) for row in found]
    if sum(full) < _ROWS_ALIKE * len(full):
        return []
    areas = [around(row) for row in found]
    return [(above.bottom + below.top) / 2 for above, below in pairwise(areas)]
