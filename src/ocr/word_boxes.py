"""Where the words of a recognized line are, by the columns at which the recognizer saw its characters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from src.ocr.reading import TextWord

_APART = 2.2  # times the usual step between characters: a gap, though no space was read
_STEP = 2.0  # columns, of lines of one character


def words(text: str, columns: Sequence[int], width: float, polygon: Sequence[Sequence[float]]) -> tuple[TextWord, ...]:
    """The words of a line. `columns`: of each character but white space; `width`: columns of the whole line."""
    parts = _split(text, columns)
    if not parts or width <= 0:
        return ()
    half = _step(parts) / 2
    spans = [[found[0] + 0.5 - half, found[-1] + 0.5 + half] for _, found in parts]
    for before, after in pairwise(spans):
        if before[1] > after[0]:
            before[1] = after[0] = (before[1] + after[0]) / 2
    return tuple(
        TextWord(word, _part(polygon, max(0.0, left / width), min(1.0, right / width)))
        for (word, _), (left, right) in zip(parts, spans, strict=True)
    )


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


def _part(polygon: Sequence[Sequence[float]], start: float, end: float) -> tuple[tuple[float, float], ...]:
    """The part of a line between two shares of its length."""
    upper, lower = (polygon[0], polygon[1]), (polygon[3], polygon[2])
    return (_between(*upper, start), _between(*upper, end), _between(*lower, end), _between(*lower, start))


def _between(start: Sequence[float], end: Sequence[float], share: float) -> tuple[float, float]:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
