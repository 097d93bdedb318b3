"""Words with their boxes, and rows of them: what tables and blocks are found in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

_LEVEL = 0.5  # of the lower word's height: how far middles may differ within a row


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle, in pixels of the upright page."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def center(self) -> float:
        return (self.left + self.right) / 2

    def holds(self, other: Area, slack: float = 0.0) -> bool:
        """Whether the other's middle is inside."""
        across = self.left - slack <= other.center <= self.right + slack
        return across and self.top - slack <= other.middle <= self.bottom + slack

    def shared(self, other: Area) -> float:
        """The area of both, as a share of the smaller one."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        least = min(self.width * self.height, other.width * other.height)
        return max(width, 0.0) * max(height, 0.0) / least if least > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Word(Area):
    """A word; `line`: the index of its line in reading order. `bold`: where that is known."""

    text: str = ""
    line: int = -1
    bold: bool = False


def around(areas: Iterable[Area]) -> Area:
    """The smallest area that holds all of them; there must be one."""
    edges = [(area.left, area.top, area.right, area.bottom) for area in areas]
    lefts, tops, rights, bottoms = zip(*edges, strict=True)
    return Area(min(lefts), min(tops), max(rights), max(bottoms))


def text_height(words: Sequence[Area]) -> float:
    """The usual height of a word, weighted by nothing; 1 at least."""
    return max(1.0, median([word.height for word in words])) if words else 1.0


def rows(words: Sequence[Word]) -> list[list[Word]]:
    """Words that stand beside each other, from top to bottom, each row from left to right."""
    found: list[list[Word]] = []
    for word in sorted(words, key=lambda word: word.middle):
        row = next((row for row in reversed(found[-4:]) if _beside(row, word)), None)
        if row is None:
            found.append([word])
        else:
            row.append(word)
    return [sorted(row, key=lambda word: word.left) for row in found]


def _beside(row: Sequence[Word], word: Word) -> bool:
    """Level with the row's words, and over none of them."""
    middle = sum(other.middle for other in row) / len(row)
    low = min(word.height, *(other.height for other in row))
    slack = 0.3 * low
    free = all(word.left >= other.right - slack or word.right <= other.left + slack for other in row)
    return abs(middle - word.middle) < _LEVEL * low and free


def text_of(words: Sequence[Word]) -> str:
    """Words as lines of text."""
    return "\n".join(joined(row) for row in rows(words))


def joined(row: Sequence[Word]) -> str:
    """A row's words; a space between them unless they touch, as Chinese characters do."""
    text = ""
    for before, word in zip([None, *row], row, strict=False):
        gap = 0.0 if before is None else word.left - before.right
        text += (" " if before is not None and (gap > 0.08 * word.height or before.text.isascii()) else "") + word.text
    return text
