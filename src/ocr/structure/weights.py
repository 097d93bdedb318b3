"""How bold lines are beside the page's others: by their fonts where those are known, else by the width of strokes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from src.ocr.structure.words import Area, Word, around

_BOLD = 1.4


def weights(gray: NDArray[np.uint8], rows: Sequence[Sequence[Word]], *, fonts_are_known: bool) -> list[float]:
    """For each row 1 when it is as bold as most, more when it is bolder."""
    found = [_of_fonts(row) if fonts_are_known else _stroke(gray, around(row)) for row in rows]
    usual = median(found) if found else 1.0
    return [one / usual if usual > 0 else 1.0 for one in found]


def _of_fonts(row: Sequence[Word]) -> float:
    return _BOLD if 2 * sum(word.bold for word in row) > len(row) else 1.0


def _stroke(gray: NDArray[np.uint8], area: Area) -> float:
    """The usual width of its ink along a row of pixels, in shares of its height."""
    crop = gray[max(0, int(area.top)) : int(area.bottom) + 1, max(0, int(area.left)) : int(area.right) + 1]
    if crop.size < 16:
        return 0.0
    middle = (int(crop.min()) + int(crop.max())) / 2
    ink = crop < middle
    if ink.mean() > 0.5:  # light on dark
        ink = ~ink
    edges = np.count_nonzero(ink[:, 1:] != ink[:, :-1]) / 2
    return float(np.count_nonzero(ink) / edges / max(area.height, 1.0)) if edges else 0.0
