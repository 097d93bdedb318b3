"""Unruled tables: rows of words whose gaps lie above each other. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from src.ocr.structure.words import Area, Word, around

# how wide a gap must be, in heights of a word, when it is in few rows and when in many
_WIDE_GAP, _NARROW_GAP = 1.0, 0.45
_FEW_ROWS, _MANY_ROWS = 3, 9
_CROSSED = 0.12  # of the rows: titles and the like may cross a gap
_SPACE = 0.42  # of a word's height: nearer words belong together
_APART = 1.0  # heights: farther words are in two columns

Rows = Sequence[Sequence[Word]]


@dataclass(frozen=True)
class Cell:
    """Words in a row, and the columns that they are in, without the last."""

    row: int
    column: int
    column_end: int
    words: tuple[Word, ...]
    row_span: int = 1


def gaps(rows: Rows, height: float, within: Area | None = None) -> list[tuple[float, float]]:
    """Vertical gaps that hardly a row crosses, from left to right, none at the sides."""
    words = [word for row in rows for word in row]
    if len(rows) < 2 or not words:
        return []
    area = within or around(words)
    most = int(_CROSSED * len(rows))
    share = min(1.0, max(0.0, (len(rows) - _FEW_ROWS) / (_MANY_ROWS - _FEW_ROWS)))
    least = (_WIDE_GAP + (_NARROW_GAP - _WIDE_GAP) * share) * height
    found = [gap for gap in _uncovered(rows, most) if gap[1] - gap[0] >= least]
    return [(a, b) for a, b in found if a > area.left and b < area.right]


def _uncovered(rows: Rows, most: int) -> list[tuple[float, float]]:
    """Stretches that at most so many rows cover."""
    edges = sorted(
        [edge for row in rows for left, right in _covered(row) for edge in ((left, 1), (right, -1))],
        key=lambda edge: (edge[0], -edge[1]),
    )
    found: list[tuple[float, float]] = []
    crossing = 0
    for (x, step), (next_x, _) in pairwise(edges):
        crossing += step
        if crossing <= most and next_x > x:
            if found and found[-1][1] == x:
                found[-1] = (found[-1][0], next_x)
            else:
                found.append((x, next_x))
    return found


def _covered(row: Sequence[Word]) -> list[tuple[float, float]]:
    """What a row's words cover; words with a mere space between them cover that, too."""
    found: list[tuple[float, float]] = []
    for word in row:
        if found and word.left - found[-1][1] <= _SPACE * word.height:
            found[-1] = (found[-1][0], max(found[-1][1], word.right))
        else:
            found.append((word.left, word.right))
    return found


def segments(row: Sequence[Word], apart: float = _APART) -> list[list[Word]]:
    """A row's words in groups that stand apart."""
    found: list[list[Word]] = []
    for word in row:
        if found and word.left - found[-1][-1].right <= apart * word.height:
            found[-1].append(word)
        else:
            found.append([word])
    return found


def cells(rows: Rows, cuts: Sequence[float]) -> list[Cell]:
    """The rows' words in the columns between the cuts; neighbours that stand close together are one cell."""
    found: list[Cell] = []
    for number, row in enumerate(rows):
        found += [_cell(number, group, cuts) for group in _groups(row, cuts)]
    return found


def _groups(row: Sequence[Word], cuts: Sequence[float]) -> list[list[Word]]:
    groups: list[list[Word]] = []
    for word in row:
        before = groups[-1][-1] if groups else None
        near = before is not None and word.left - before.right <= _SPACE * word.height
        if before is not None and (near or _column(before, cuts) == _column(word, cuts)):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _cell(number: int, group: Sequence[Word], cuts: Sequence[float]) -> Cell:
    """A group's columns: those of its words, and those that a word reaches into by more than a margin."""
    margin = 0.5 * group[0].height
    first = sum(cut <= min(group[0].center, group[0].left + margin) for cut in cuts)
    last = sum(cut <= max(group[-1].center, group[-1].right - margin) for cut in cuts)
    return Cell(number, first, last + 1, tuple(group))


def _column(word: Word, cuts: Sequence[float]) -> int:
    return sum(cut <= word.center for cut in cuts)


def pitch(rows: Rows) -> float:
    """The usual distance from one row to the next."""
    middles = [median(word.middle for word in row) for row in rows]
    return median([after - before for before, after in pairwise(middles)]) if len(middles) > 1 else 0.0
