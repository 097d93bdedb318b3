"""What reading a page gives: lines with their places, in reading order. Used by the worker and its recognizers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # rows x columns x BGR
Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Line:
    """One line of text. `polygon`: four corners in the page's pixels, clockwise from the line's start."""

    text: str
    confidence: float | None
    polygon: Polygon


@dataclass(frozen=True)
class Reading:
    """A page that was read, lines in reading order. `rotation`: degrees clockwise that turn the page upright."""

    text: str
    lines: tuple[Line, ...]
    rotation: int = 0
    skew_degrees: float = 0.0
