"""Reading order of a page's lines: skew, then rows and columns. Pure; called by recognizers and for text layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from src.ocr import columns
from src.ocr.rows import Box

Polygon = Sequence[Sequence[float]]

_MAX_SKEW = math.radians(30)


@dataclass(frozen=True)
class Layout:
    """Rows of line indices in reading order, and the angle of the lines, radians clockwise."""

    rows: tuple[tuple[int, ...], ...]
    skew: float

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(index for row in self.rows for index in row)


def turn(x: float, y: float, degrees: int, width: int, height: int) -> tuple[float, float]:
    """A point's coordinates after rotating its page, of this size, clockwise."""
    turned = {90: (height - 1 - y, x), 180: (width - 1 - x, height - 1 - y), 270: (y, width - 1 - x)}
    return turned.get(degrees % 360, (x, y))


def arrange(polygons: Sequence[Polygon], last: Sequence[int] = ()) -> Layout:
    """The reading order of lines given by their corners, clockwise from each line's start.

    `last`: lines outside the page's order, such as turned ones in a margin.
    """
    if not polygons:
        return Layout((), 0.0)
    skew = _skew(polygons)
    slack = median(_height(polygon) for polygon in polygons)
    boxes = [_level(index, polygon, skew) for index, polygon in enumerate(polygons) if index not in last]
    rows = [tuple(box.index for box in row) for row in columns.order(boxes, slack)]
    return Layout((*rows, *((index,) for index in last)), skew)


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


def _level(index: int, polygon: Polygon, skew: float) -> Box:
    cos, sin = math.cos(skew), math.sin(skew)
    xs = [x * cos + y * sin for x, y in polygon]
    ys = [y * cos - x * sin for x, y in polygon]
    return Box(index, min(xs), max(xs), min(ys), max(ys))
