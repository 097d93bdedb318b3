"""Where the words of a recognized line are, by the columns at which the recognizer saw its characters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from src.ocr.reading import TextWord

_APART = 2.2  # times the usual step between characters: a gap, though no space was read
_FAINTEST = 24  # shades that part ink from paper
_INK = 0.35  # of the line's strongest contrast
_SPECK = 0.004  # of a row's length: less ink is none
_LOWEST = 0.3  # of the picture's height: letters
_DESCENDERS, _ASCENDERS = frozenset("gjpqyQ()[]{}|_@$"), frozenset("bdfhklt()[]{}|!?/\\'\"$%&")
_DESCENT, _ASCENT = 0.28, 0.37  # what is added where a line has none, in heights of its ink
_OFF = 1.6  # columns: a piece of ink so far from its character is another one's
_STEP = 2.0  # columns, of lines of one character


@dataclass(frozen=True)
class LineInk:
    """`blanks`: parts of a line without ink, as shares of its length; `rows`: its ink's, as shares of its height."""

    blanks: tuple[tuple[float, float], ...] = ()
    rows: tuple[float, float] = (0.0, 1.0)


def words(
    text: str,
    columns: Sequence[int],
    width: float,
    polygon: Sequence[Sequence[float]],
    ink: LineInk | None = None,
) -> tuple[TextWord, ...]:
    """The words of a line. `columns`: of each character but white space; `width`: columns of the whole line.

    `ink`: where words really end: columns are coarse, and detectors draw boxes too high.
    """
    parts = _split(text, columns)
    if not parts or width <= 0:
        return ()
    half = _step(parts) / 2
    spans = [[found[0] + 0.5 - half, found[-1] + 0.5 + half] for _, found in parts]
    for before, after in pairwise(spans):
        if before[1] > after[0]:
            before[1] = after[0] = (before[1] + after[0]) / 2
    shares = [[max(0.0, left / width), min(1.0, right / width)] for left, right in spans]
    _snap(shares, ink.blanks if ink else (), half / width)
    rows = ink.rows if ink else (0.0, 1.0)
    return tuple(
        TextWord(word, _part(polygon, left, right, rows))
        for (word, _), (left, right) in zip(parts, shares, strict=True)
    )


def _snap(spans: list[list[float]], blanks: Sequence[tuple[float, float]], reach: float) -> None:
    """Move the ends of words to the widest blank within `reach` of the gap between them, if there is one."""
    for before, after in pairwise([[0.0, 0.0], *spans, [1.0, 1.0]]):
        near = [blank for blank in blanks if blank[0] <= after[0] + reach and blank[1] >= before[1] - reach]
        if near:
            before[1], after[0] = max(near, key=lambda blank: blank[1] - blank[0])


def line_ink(line: NDArray[np.uint8], text: str) -> LineInk:
    """Where a line's picture has ink. Rows reach from the ascenders to the descenders, also where it has none."""
    shades = line.min(axis=2).astype(np.int16) if line.ndim == 3 else line.astype(np.int16)
    contrast = np.abs(shades - np.median(shades))
    inked = contrast > max(_FAINTEST, _INK * contrast.max())
    height, width = inked.shape
    marks = np.flatnonzero(np.concatenate(([True], inked.any(axis=0), [True])))
    blanks = tuple((int(a) / width, int(b - 1) / width) for a, b in pairwise(marks) if b - a > 1)
    rows = np.flatnonzero(inked.mean(axis=1) > _SPECK)
    if not len(rows) or rows[-1] + 1 - rows[0] < _LOWEST * height:
        return LineInk(blanks)
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    tall = bottom - top
    if text.isascii():
        bottom += 0.0 if _DESCENDERS & set(text) else _DESCENT * tall
        top -= 0.0 if _is_tall(text) else _ASCENT * tall
    return LineInk(blanks, (max(0.0, top / height), min(1.0, bottom / height)))


def blank_between(columns: Sequence[int], at: int, width: float, ink: LineInk) -> float:
    """The widest blank between the middles of a character and the one before it, as a share of the line."""
    start, end = (columns[at - 1] + 0.5) / width, (columns[at] + 0.5) / width
    return max((right - left for left, right in ink.blanks if start <= (left + right) / 2 <= end), default=0.0)


def exact_blanks(columns: Sequence[int], width: float, ink: LineInk) -> list[float] | None:
    """The blanks between neighbouring characters, as shares of the line, where each character is one piece of ink.

    Columns are coarse: beside thin letters a blank may lie on the wrong side of a character's middle. None where
    letters touch or fall apart.
    """
    inner = [blank for blank in ink.blanks if blank[0] > 0 and blank[1] < 1]
    if len(inner) != len(columns) - 1 or not inner:
        return None
    first = next((right for left, right in ink.blanks if left == 0), 0.0)
    last = next((left for left, right in ink.blanks if right == 1), 1.0)
    starts, ends = [first, *(right for _, right in inner)], [*(left for left, _ in inner), last]
    off = [(start + end) / 2 * width - column - 0.5 for start, end, column in zip(starts, ends, columns, strict=True)]
    usual = median(off)
    if any(abs(one - usual) > _OFF for one in off):
        return None
    return [right - left for left, right in inner]


def _is_tall(text: str) -> bool:
    return any(symbol.isupper() or symbol.isdigit() or symbol in _ASCENDERS for symbol in text)


def _split(text: str, columns: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Words with their characters' columns; nothing when their number is another."""
    written = text.split()
    if sum(map(len, written)) != len(columns):
        return []
    ahead = iter(columns)
    parts = [(word, [next(ahead) for _ in word]) for word in written]
    most = _APART * _step(parts) + 1
    return [piece for word, found in parts for piece in _at_gaps(word, found, most)]


def _at_gaps(word: str, columns: list[int], most: float) -> list[tuple[str, list[int]]]:
    cuts = [at for at in range(1, len(word)) if columns[at] - columns[at - 1] > most]
    return [(word[a:b], columns[a:b]) for a, b in pairwise([0, *cuts, len(word)])]


def _step(parts: Sequence[tuple[str, list[int]]]) -> float:
    """Columns from one character of a word to the next, mostly."""
    steps = [after - before for _, found in parts for before, after in pairwise(found)]
    return float(median(steps)) if steps else _STEP


def _part(
    polygon: Sequence[Sequence[float]], start: float, end: float, rows: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    """The part of a line between two shares of its length and of its height."""
    left, right = (polygon[0], polygon[3]), (polygon[1], polygon[2])
    upper, lower = ((_between(*left, row), _between(*right, row)) for row in rows)
    return (_between(*upper, start), _between(*upper, end), _between(*lower, end), _between(*lower, start))


def _between(start: Sequence[float], end: Sequence[float], share: float) -> tuple[float, float]:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
