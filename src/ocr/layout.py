"""Reading order of a page's lines: skew, rows, columns. Pure; called by recognizers.

Columns are split only where both sides look like prose, so that table cells stay in their row. A heuristic; the
thresholds were tuned on rendered pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

Polygon = Sequence[Sequence[float]]

_MAX_SKEW = math.radians(30)
_FULL_WIDTH = 0.62  # of the block: a title or banner
_STRAY_SHARE = 0.06  # lines that may cross the gap between two columns
_TRIM = 0.15  # of a line's height, off both its ends: detectors draw boxes too wide
_MIN_COLUMN_LINES = 5
_MAX_DEPTH = 6
# candidates per block and nested columns: bounds the time for pages of scattered boxes
_MAX_GAPS = 4
_MAX_NESTING = 3


@dataclass(frozen=True)
class Layout:
    """Rows of line indices in reading order, and the angle of the lines, radians clockwise."""

    rows: tuple[tuple[int, ...], ...]
    skew: float

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(index for row in self.rows for index in row)


@dataclass(frozen=True)
class _Box:
    """One line, in coordinates in which the page's lines are level."""

    index: int
    left: float
    right: float
    top: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return max(self.bottom - self.top, 1.0)

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def trimmed_left(self) -> float:
        return self.left + _TRIM * self.height

    @property
    def trimmed_right(self) -> float:
        return self.right - _TRIM * self.height


_Row = list[_Box]


def turn(x: float, y: float, degrees: int, width: int, height: int) -> tuple[float, float]:
    """A point's coordinates after rotating its page, of this size, clockwise."""
    turned = {90: (height - 1 - y, x), 180: (width - 1 - x, height - 1 - y), 270: (y, width - 1 - x)}
    return turned.get(degrees % 360, (x, y))


def arrange(polygons: Sequence[Polygon]) -> Layout:
    """The reading order of lines given by their corners, clockwise from each line's start."""
    if not polygons:
        return Layout((), 0.0)
    skew = _skew(polygons)
    slack = median(_height(polygon) for polygon in polygons)
    rows = _order([_level(index, polygon, skew) for index, polygon in enumerate(polygons)], slack)
    return Layout(tuple(tuple(box.index for box in row) for row in rows), skew)


# ---- skew


def _skew(polygons: Sequence[Polygon]) -> float:
    """The median angle of the long lines, weighted by their length; 0 when they are few or the angle is implausible."""
    long = sorted((_angle(p), _width(p)) for p in polygons if _width(p) > 3 * _height(p))
    if len(long) < 3:
        return 0.0
    half, covered = sum(width for _, width in long) / 2, 0.0
    for angle, width in long:
        covered += width
        if covered >= half:
            return angle if abs(angle) <= _MAX_SKEW else 0.0
    return 0.0


def _width(polygon: Polygon) -> float:
    return math.dist(polygon[0], polygon[1])


def _height(polygon: Polygon) -> float:
    return math.dist(polygon[0], polygon[3])


def _angle(polygon: Polygon) -> float:
    (x0, y0), (x1, y1) = polygon[0], polygon[1]
    return math.atan2(y1 - y0, x1 - x0)


def _level(index: int, polygon: Polygon, skew: float) -> _Box:
    cos, sin = math.cos(skew), math.sin(skew)
    xs = [x * cos + y * sin for x, y in polygon]
    ys = [y * cos - x * sin for x, y in polygon]
    return _Box(index, min(xs), max(xs), min(ys), max(ys))


# ---- rows


@dataclass
class _Growing:
    """A row being filled: its middle follows its boxes."""

    middle: float
    height: float
    boxes: _Row = field(default_factory=list)

    def takes(self, box: _Box, slack: float) -> bool:
        level = abs(self.middle - box.middle) < 0.5 * min(self.height, box.height)
        return level and all(box.left >= b.right - slack or box.right <= b.left + slack for b in self.boxes)

    def add(self, box: _Box) -> None:
        self.boxes.append(box)
        self.middle += (box.middle - self.middle) / len(self.boxes)


def _rows(boxes: Sequence[_Box], slack: float) -> list[_Row]:
    rows: list[_Growing] = []
    for box in sorted(boxes, key=lambda box: box.middle):
        row = next((row for row in reversed(rows[-5:]) if row.takes(box, slack)), None)
        if row is None:
            row = _Growing(box.middle, box.height)
            rows.append(row)
        row.add(box)
    return [sorted(row.boxes, key=lambda box: box.left) for row in rows]


# ---- columns


@dataclass(frozen=True)
class _Split:
    """Two columns, and the few lines that cross the gap between them."""

    left: list[_Box]
    right: list[_Box]
    strays: list[_Box]


def _order(boxes: Sequence[_Box], slack: float, depth: int = 0) -> list[_Row]:
    """The rows of a block in reading order; full-width lines (titles, banners) end a run of columns."""
    if depth > _MAX_DEPTH:
        return _rows(boxes, slack)
    if split := _split(boxes, slack):
        return _in_columns(split, slack, depth)
    block_width = max(box.right for box in boxes) - min(box.left for box in boxes)
    ordered: list[_Row] = []
    run: list[_Row] = []
    for row in _rows(boxes, slack):
        if any(box.width > _FULL_WIDTH * block_width for box in row):
            ordered += [*_order_run(run, slack, depth), row]
            run = []
        else:
            run.append(row)
    # a run that spans the whole block was tried above
    return ordered + (_order_run(run, slack, depth) if ordered else run)


def _order_run(run: list[_Row], slack: float, depth: int) -> list[_Row]:
    split = _split([box for row in run for box in row], slack)
    return _in_columns(split, slack, depth) if split else run


def _in_columns(split: _Split, slack: float, depth: int) -> list[_Row]:
    left, right = _order(split.left, slack, depth + 1), _order(split.right, slack, depth + 1)
    return left + right + _rows(split.strays, slack)


def _split(boxes: Sequence[_Box], slack: float, depth: int = 0) -> _Split | None:
    """Two columns of prose beside each other, if the boxes form them."""
    if len(boxes) < 2 * _MIN_COLUMN_LINES or depth > _MAX_NESTING:
        return None
    most = int(_STRAY_SHARE * len(boxes))
    for gap in _gaps(boxes, most, 0.05 * slack):
        split = _cut(boxes, gap)
        if len(split.strays) <= most and all(
            _is_prose(side, slack) or _split(side, slack, depth + 1) for side in (split.left, split.right)
        ):
            return split
    return None


def _gaps(boxes: Sequence[_Box], most: int, least_width: float) -> list[float]:
    """Middles of the best vertical gaps that at most `most` boxes cross: fewest crossings first, then the widest."""
    edges = sorted([(box.trimmed_left, 1) for box in boxes] + [(box.trimmed_right, -1) for box in boxes])
    found, crossing = [], 0
    for (x, step), (next_x, _) in pairwise(edges):
        crossing += step
        if crossing <= most and next_x - x > least_width:
            found.append((crossing, x - next_x, (x + next_x) / 2))
    return [middle for _, _, middle in sorted(found)[:_MAX_GAPS]]


def _cut(boxes: Sequence[_Box], x: float) -> _Split:
    left = [box for box in boxes if box.trimmed_right <= x]
    right = [box for box in boxes if box.trimmed_right > x and box.trimmed_left >= x]
    strays = [box for box in boxes if box.trimmed_right > x and box.trimmed_left < x]
    return _Split(left, right, strays)


def _is_prose(boxes: Sequence[_Box], slack: float) -> bool:
    """A column of text: several lines, long for their height, about one per row; else it may be a table."""
    return (
        len(boxes) >= _MIN_COLUMN_LINES
        and median(box.width / box.height for box in boxes) >= 5.5
        and len(boxes) <= 1.3 * len(_rows(boxes, slack))
    )
