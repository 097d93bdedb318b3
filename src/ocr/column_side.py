"""What the lines on one side of a gap are: prose, a table, something beside prose. Pure; used by `columns`."""

from __future__ import annotations

from functools import cached_property
from statistics import quantiles

from src.ocr.rows import Box, Row, rows

MIN_LINES = 5  # of a column of prose
MIN_ROWS_BESIDE = 3  # of something else beside it
_PROSE_RATIO = 5.5  # width by height of its lines
_PROSE_ROWS = 0.5  # share of its rows that are such lines
_FULL_LINE = 0.75  # of the column's width
_ALIGNED = 0.2  # of a line's height
_SHARED_ROWS = 0.6  # share of a side's rows that lie in rows of the other side: then it is a table
_ALL_ROWS = 0.9  # of a table's rows: then its last column has cells of several lines


class ColumnSide:
    """The lines on one side of a gap."""

    def __init__(self, boxes: list[Box], slack: float) -> None:
        self.boxes = boxes
        self._slack = slack

    @cached_property
    def _rows(self) -> list[Row]:
        return rows(self.boxes, self._slack)

    @cached_property
    def is_prose(self) -> bool:
        """A column of text: mostly rows of one line that is long for its height; else it may be a table."""
        if sum(box.width >= _PROSE_RATIO * box.height for box in self.boxes) < MIN_LINES:
            return False
        lines = [row[0] for row in self._rows if len(row) == 1 and row[0].width >= _PROSE_RATIO * row[0].height]
        return len(lines) >= max(MIN_LINES, _PROSE_ROWS * len(self._rows))

    @cached_property
    def is_filled(self) -> bool:
        """Whether most lines reach the column's end, as they do where lines are broken."""
        widest = quantiles((box.width for box in self.boxes), n=10)[-1]
        return sum(box.width >= _FULL_LINE * widest for box in self.boxes) >= 0.5 * len(self.boxes)

    @cached_property
    def is_table(self) -> bool:
        """Whether most rows have several cells."""
        return sum(len(row) > 1 for row in self._rows) >= max(MIN_ROWS_BESIDE, _PROSE_ROWS * len(self._rows))

    def shares_rows(self, other: ColumnSide, least: float = _SHARED_ROWS) -> bool:
        """Whether this side's rows lie in rows of the other one."""
        middles = [box.middle for box in other.boxes]
        shared = sum(any(abs(row[0].middle - y) < _ALIGNED * row[0].height for y in middles) for row in self._rows)
        return shared >= least * len(self._rows)

    def stands_beside(self, prose: ColumnSide) -> bool:
        """Whether this is something of its own beside prose: a sidebar, a table, a list."""
        if self.is_table and prose.is_prose and not prose.shares_rows(self) and not self.shares_rows(prose, _ALL_ROWS):
            return True  # beside a list
        if not (prose.is_prose and prose.is_filled):
            return False
        return len(self._rows) >= MIN_ROWS_BESIDE and not self.shares_rows(prose)
