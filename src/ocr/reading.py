"""What reading a page gives: lines with their places, in reading order. Used by the worker and its recognizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # rows x columns x BGR
Polygon = tuple[tuple[float, float], ...]
StopReason = Literal["length", "repetition"]


@dataclass(frozen=True)
class TextLine:
    """One line of text. `polygon`: four corners in the page's pixels, clockwise from its start; none if unknown."""

    text: str
    confidence: float | None
    polygon: Polygon


@dataclass(frozen=True)
class Reading:
    """A page that was read, lines in reading order. `rotation`: degrees clockwise that turn the page upright.

    `stopped`: why the recognizer was stopped before the page's end; what it had read is there.
    """

    text: str
    lines: tuple[TextLine, ...]
    rotation: int = 0
    skew_degrees: float = 0.0
    markdown: str | None = None
    stopped: StopReason | None = None
