"""Columns of a page: where lines stand beside each other without belonging to one row. Pure; called by `layout`.

A gap between columns counts where both its sides look like text of their own: prose, or something that does not share
the prose's rows (a sidebar, a table beside bullets). Cells of a table share rows and stay in them. Lines that cross the
gap (titles, captions, footnotes) end the columns above them and begin new ones below. A heuristic; the thresholds were
tuned on drawn pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, takewhile

from src.ocr import gaps
from src.ocr.column_side import MIN_LINES, MIN_ROWS_BESIDE, ColumnSide
from src.ocr.rows import Box, Row, rows

_MIN_TABLE_ROWS = 3
_CELL = 0.6  # of a column's width: wider lines are not in a table beside the gap
_TITLE_HEIGHT, _LARGE = 1.4, 1.25  # in usual lines: at a page's head, and with nothing beside it
_CENTRED = 4  # usual lines
_OVERHANG = 0.25  # of a line's width: a detector's box drawn too wide, not a title
# candidates per block and nested columns: bounds the time for pages of scattered boxes
_MAX_GAPS = (6, 3, 2)
_MAX_CUTS = 6
_MAX_DEPTH = 6


@dataclass(frozen=True)
class _TwoColumns:
    """Two columns beside each other."""

    left: list[Box]
    right: list[Box]

    def __len__(self) -> int:
        return len(self.left) + len(self.right)


_Part = _TwoColumns | list[Box]  # columns, or lines that are ordered on their own


def order(boxes: list[Box], slack: float, depth: int = 0) -> list[Row]:
    """The rows of a block in reading order. `slack`: the height of a usual line."""
    parts = _parts(boxes, slack) if depth < _MAX_DEPTH else None
    if parts is None:
        return rows(boxes, slack)
    found: list[Row] = []
    for part in parts:
        for block in (part.left, part.right) if isinstance(part, _TwoColumns) else (part,):
            found += order(block, slack, depth + 1)
    return found


def _parts(boxes: list[Box], slack: float, nesting: int = 0) -> list[_Part] | None:
    """The block as parts from top to bottom, by the gap that puts most lines into columns; None without columns."""
    if nesting >= len(_MAX_GAPS) or len(boxes) < MIN_LINES + MIN_ROWS_BESIDE:
        return None
    best, most = None, 0
    for gap in gaps.vertical_gaps(boxes, 0.05 * slack, _MAX_GAPS[nesting]):
        parts = _Gap(gap, boxes, slack, nesting).parts()
        inside = sum(len(part) for part in parts if isinstance(part, _TwoColumns))
        if inside > most:
            best, most = parts, inside
        if inside > 0.9 * len(boxes):
            break
    return best


class _Gap:
    """One gap of a block: its columns, and what ends them."""

    def __init__(self, x: float, boxes: list[Box], slack: float, nesting: int) -> None:
        self._slack = slack
        self._nesting = nesting
        titles = _lone_titles(boxes, slack)
        rest = [box for box in boxes if box not in titles]
        self._left = [box for box in rest if box.trimmed_right <= x]
        self._right = [box for box in rest if box.trimmed_right > x and box.trimmed_left >= x]
        crossing = [box for box in rest if box.trimmed_right > x and box.trimmed_left < x]
        self._bars = [*titles, *(box for box in crossing if not self._adopt(box, x))]

    def _adopt(self, box: Box, x: float) -> bool:
        """Count a line that reaches a little into the gap, beside a line of the other column, to its own column."""
        before = any(other.right <= box.left + self._slack for other in self._left if _level(box, other))
        after = any(other.left >= box.right - self._slack for other in self._right if _level(box, other))
        if after and (box.right - x <= _OVERHANG * box.width or (before and box.width < 2 * box.height)):
            self._left.append(box)
            return True
        if before and x - box.left <= _OVERHANG * box.width:
            self._right.append(box)
            return True
        return False

    def parts(self) -> list[_Part]:
        """From top to bottom; neighbouring lines outside columns are one part."""
        bands = [part for band in self._bands() for part in self._judge(band)]
        known = [band for band in bands if isinstance(band, _TwoColumns)]
        if not known:
            return []
        lefts = [self._begins([box for band in known for box in side(band)]) for side in (_left, _right)]
        widened = [part for band in bands for part in self._widen(band, lefts)]
        return _merged(widened)

    def _bands(self) -> Iterator[list[Box]]:
        """The boxes between the lines that cross the gap, and those lines, with what lies beside them."""
        bars = gaps.spans(self._bars)
        sides = sorted(self._left + self._right + self._bars, key=lambda box: box.middle)

        def place(box: Box) -> tuple[int, bool]:
            above = sum(bottom < box.middle for _, bottom in bars)
            return above, above < len(bars) and bars[above][0] <= box.middle

        for _, found in groupby(sorted(sides, key=place), key=place):
            yield list(found)

    def _sides(self, band: list[Box]) -> _TwoColumns:
        left, right = ({box.index for box in side} for side in (self._left, self._right))
        return _TwoColumns([box for box in band if box.index in left], [box for box in band if box.index in right])

    def _judge(self, band: list[Box]) -> list[_Part]:
        """A band as columns, as columns with something over or under them, or as it is."""
        if self._are_columns(band):
            return self._without_tables(band)
        for y in gaps.horizontal_cuts(band)[:_MAX_CUTS] if len(band) >= 2 * MIN_LINES else ():
            above, below = [box for box in band if box.middle <= y], [box for box in band if box.middle > y]
            if self._are_columns(below):
                return [above, self._sides(below)]
            if self._are_columns(above):
                return [self._sides(above), below]
        return [band]

    def _without_tables(self, band: list[Box]) -> list[_Part]:
        """Columns, and the rows of a table above or below them whose cells lie on both sides of the gap."""
        found, sides = rows(band, self._slack), self._sides(band)
        above, below = self._table_rows(found, sides), self._table_rows(found[::-1], sides)[::-1]
        taken = {box.index for box in above + below}
        rest = [box for box in band if box.index not in taken]
        if not taken or not self._are_columns(rest):
            return [sides]
        return [part for part in (above, self._sides(rest), below) if part]

    def _table_rows(self, found: list[Row], sides: _TwoColumns) -> list[Box]:
        """The boxes of the first rows, as far as these are rows of cells."""
        left = {box.index for box in sides.left}
        least = [_CELL * _width(sides.right), _CELL * _width(sides.left)]

        def is_row(row: Row) -> bool:
            short = all(box.width < least[box.index in left] for box in row)
            return short and len({box.index in left for box in row}) == 2

        table = list(takewhile(is_row, found))
        while table and len(table[-1]) == 2:  # lines that end their columns
            table.pop()
        enough = len(table) >= _MIN_TABLE_ROWS and sum(len(row) > 2 for row in table) >= 0.5 * len(table)
        return [box for row in table for box in row] if enough else []

    def _are_columns(self, band: list[Box]) -> bool:
        sides = self._sides(band)
        if len(sides) < len(band) or len(band) < MIN_LINES + MIN_ROWS_BESIDE:
            return False
        left, right = ColumnSide(sides.left, self._slack), ColumnSide(sides.right, self._slack)
        if left.is_prose and right.is_prose:
            return left.is_filled or right.is_filled or not left.shares_rows(right)
        if left.stands_beside(right) or right.stands_beside(left):
            return True
        return self._is_column(left) and self._is_column(right)

    def _is_column(self, side: ColumnSide) -> bool:
        return side.is_prose or _parts(side.boxes, self._slack, self._nesting + 1) is not None

    def _widen(self, part: _Part, lefts: list[list[float]]) -> list[_Part]:
        """Short bands that continue known columns are columns; heads and feet of a page leave them."""
        if isinstance(part, _TwoColumns):
            return self._without_heads(part, lefts)
        sides = self._sides(part)
        if len(sides) < len(part) or not (sides.left and sides.right):
            return [part]
        return [sides if self._continues(sides, lefts) else part]

    def _continues(self, sides: _TwoColumns, lefts: list[list[float]]) -> bool:
        return all(
            len(rows(side, self._slack)) == len(side) and not any(self._is_odd(box, left) for box in side)
            for side, left in zip((sides.left, sides.right), lefts, strict=True)
        )

    def _without_heads(self, columns: _TwoColumns, lefts: list[list[float]]) -> list[_Part]:
        boxes = sorted(columns.left + columns.right, key=lambda box: box.middle)
        head = self._head(boxes, columns, lefts)
        foot = self._head(boxes[::-1], columns, lefts)
        taken = {box.index for box in head + foot}
        rest = [box for box in boxes if box.index not in taken]
        return [part for part in (head, self._sides(rest), foot) if part]

    def _head(self, boxes: list[Box], columns: _TwoColumns, lefts: list[list[float]]) -> list[Box]:
        """The first rows, if they stand apart and not where the lines of their columns begin."""
        right = {box.index for box in columns.right}
        widths = [_width(columns.left), _width(columns.right)]
        head: list[Box] = []
        passed: list[Box] = []
        while len(boxes) > 2 * MIN_LINES:
            row = [box for box in boxes if _level(box, boxes[0])]
            boxes = [box for box in boxes if not _level(box, row[0])]
            sides = [(box, int(box.index in right)) for box in row]
            body = any(
                box.width > 0.6 * widths[side] and box.height < _TITLE_HEIGHT * self._slack for box, side in sides
            )
            if body or not boxes or _distance(row, boxes) < 0.1 * self._slack:
                break
            passed += row
            if any(self._is_odd(box, lefts[side]) or self._is_title(box, columns) for box, side in sides):
                head, passed = head + passed, []
        return head

    def _begins(self, boxes: list[Box]) -> list[float]:
        """Where the lines of a side begin: at one place, or at several if it holds columns."""
        lefts = sorted(box.left for box in boxes)
        if len(lefts) < MIN_LINES or ColumnSide(boxes, self._slack).is_prose:
            return lefts[len(lefts) // 5 :][:1]
        enough = max(MIN_ROWS_BESIDE, len(lefts) // 8)
        return [x for x, later in zip(lefts, lefts[enough - 1 :], strict=False) if later - x <= self._slack] or lefts[
            :1
        ]

    def _is_title(self, box: Box, columns: _TwoColumns) -> bool:
        """Whether it is larger than other lines, and stands in the middle of all columns."""
        left = min(other.left for other in columns.left)
        right = max(other.right for other in columns.right)
        centred = abs(box.left + box.right - left - right) < _CENTRED * self._slack
        return centred and box.height >= _TITLE_HEIGHT * self._slack

    def _is_odd(self, box: Box, lefts: list[float]) -> bool:
        """Not where lines of its column begin."""
        return all(abs(box.left - left) > 1.5 * self._slack for left in lefts)


# ---- places


def _left(columns: _TwoColumns) -> list[Box]:
    return columns.left


def _right(columns: _TwoColumns) -> list[Box]:
    return columns.right


def _level(box: Box, other: Box) -> bool:
    return abs(box.middle - other.middle) < 0.5 * min(box.height, other.height)


def _lone_titles(boxes: list[Box], slack: float) -> list[Box]:
    """Large lines in the middle of the block with nothing beside them: over all columns, wherever they end."""
    ends = min(box.left for box in boxes) + max(box.right for box in boxes)
    large = [
        box for box in boxes if box.height >= _LARGE * slack and abs(box.left + box.right - ends) < _CENTRED * slack
    ]
    return [title for title in large if not any(_shares_height(title, box) for box in boxes if box is not title)]


def _shares_height(box: Box, other: Box) -> bool:
    top, bottom = max(box.top, other.top), min(box.bottom, other.bottom)
    return bottom - top > 0.2 * min(box.height, other.height)


def _width(boxes: list[Box]) -> float:
    return max(box.right for box in boxes) - min(box.left for box in boxes)


def _distance(row: list[Box], rest: list[Box]) -> float:
    """Of a row from all others, up or down."""
    top, bottom = min(box.top for box in row), max(box.bottom for box in row)
    return min(max(box.top - bottom, top - box.bottom) for box in rest)


def _merged(parts: list[_Part]) -> list[_Part]:
    """Neighbours outside columns joined; neighbouring columns too, as nothing ends the upper ones."""
    merged: list[_Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, list) and isinstance(last, list):
            merged[-1] = last + part
        elif isinstance(part, _TwoColumns) and isinstance(last, _TwoColumns):
            merged[-1] = _TwoColumns(last.left + part.left, last.right + part.right)
        elif len(part):
            merged.append(part)
    return merged
