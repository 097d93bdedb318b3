"""Lines drawn on a page, found in its pixels: rules of tables, edges of shaded cells, frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCK = 25  # pixels around one that it is compared with
_DARKER = 8  # than those around it, of 255
_LONG_ACROSS = 2.5  # times a word's height: longer than a dash
_LONG_DOWN = 1.6  # longer than a letter's stem
_THICK = 0.5  # of a word's height: a thicker one is a picture
_MAX_PARTS = 3000  # of lines: more are a picture
_JOINED = 0.6  # of a word's height: gaps in a line

Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Ruling:
    """A horizontal or vertical line: its place across its direction, and from where to where it runs."""

    at: float
    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Rulings:
    horizontal: tuple[Ruling, ...]
    vertical: tuple[Ruling, ...]


def find(gray: Gray, height: float) -> Rulings:
    """The lines on a page whose words have this height."""
    size = _BLOCK | 1
    dark = cv2.adaptiveThreshold(255 - gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, size, -_DARKER)
    across = _lines(np.asarray(dark, np.uint8), round(_LONG_ACROSS * height), height)
    down = _lines(np.ascontiguousarray(np.asarray(dark, np.uint8).T), round(_LONG_DOWN * height), height)
    return Rulings(_join(across, _JOINED * height), _join(down, _JOINED * height))


def _lines(dark: Gray, length: int, height: float) -> list[Ruling]:
    """Horizontal runs of dark pixels, also of lines that climb by a pixel now and then."""
    thick = cv2.dilate(dark, np.ones((2, 1), np.uint8))
    runs = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, max(length, 8)), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
    found = [tuple(int(value) for value in stats[index][:4]) for index in range(1, count)]
    return [Ruling(y + (h - 1) / 2, x, x + w) for x, y, w, h in found if h <= max(_THICK * height, 6) and w >= 3 * h]


def _join(lines: Sequence[Ruling], gap: float) -> tuple[Ruling, ...]:
    """Parts of one line as one."""
    joined: list[Ruling] = []
    if len(lines) > _MAX_PARTS:
        return ()
    for line in sorted(lines, key=lambda line: (line.start, line.at)):
        before = next((at for at, one in enumerate(joined) if _continues(one, line, gap)), None)
        if before is None:
            joined.append(line)
        else:
            one = joined[before]
            weight = one.length / max(one.length + line.length, 1e-6)
            joined[before] = Ruling(one.at * weight + line.at * (1 - weight), one.start, max(one.end, line.end))
    return tuple(sorted(joined, key=lambda line: (line.at, line.start)))


def _continues(one: Ruling, line: Ruling, gap: float) -> bool:
    return abs(one.at - line.at) <= 3 and line.start <= one.end + gap
