"""Boxes of text lines on a level page, and their grouping into rows. Pure; used by `layout` and `columns`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_TRIM = 0.15  # of a line's height, off both its ends: detectors draw boxes too wide
_OPEN_ROWS = 5


class Box:
    """One line, in coordinates in which the page's lines are level."""

    __slots__ = (
        "bottom",
        "height",
        "index",
        "left",
        "middle",
        "right",
        "top",
        "trimmed_left",
        "trimmed_right",
        "width",
    )

    def __init__(self, index: int, left: float, right: float, top: float, bottom: float) -> None:
        self.index = index
        self.left, self.right, self.top, self.bottom = left, right, top, bottom
        self.width = right - left
        self.height = max(bottom - top, 1.0)
        self.middle = (top + bottom) / 2
        self.trimmed_left = left + _TRIM * self.height
        self.trimmed_right = right - _TRIM * self.height


Row = list[Box]


@dataclass
class _OpenRow:
    """A row being filled: its middle follows its boxes."""

    middle: float
    height: float
    boxes: Row = field(default_factory=list)

    def accepts(self, box: Box, slack: float) -> bool:
        if abs(self.middle - box.middle) >= 0.5 * min(self.height, box.height):
            return False
        return all(box.left >= b.right - slack or box.right <= b.left + slack for b in self.boxes)

    def add(self, box: Box) -> None:
        self.boxes.append(box)
        self.middle += (box.middle - self.middle) / len(self.boxes)


def rows(boxes: Sequence[Box], slack: float) -> list[Row]:
    """Boxes at one height are a row, from left to right. `slack`: overlap allowed within one."""
    found: list[_OpenRow] = []
    for box in sorted(boxes, key=lambda box: box.middle):
        row = next((row for row in reversed(found[-_OPEN_ROWS:]) if row.accepts(box, slack)), None)
        if row is None:
            row = _OpenRow(box.middle, box.height)
            found.append(row)
        row.add(box)
    return [sorted(row.boxes, key=lambda box: box.left) for row in found]
