"""Check boxes of a form, empty or ticked: small squares beside its lines, which the recognizer passes over.

Called by `rapid`, in an OCR worker. They become words of the lines beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from src.ocr.reading import Pixels, Polygon, TextLine, TextWord, bounds

EMPTY, TICKED = "☐", "☒"

_INK = 60  # shades that part it from the paper
_SIZES = (0.45, 1.25)  # of a line's height
_SMALLEST = 12  # pixels
_STROKE, _SHORTEST = 0.28, 8  # of a line's height, pixels: shorter strokes are parts of letters
_SIDE = 0.14  # of its width: where its four sides are
_DRAWN = 0.92  # of each side
_SOLID = 0.9  # inked: a bullet
_TICKED = 0.08  # inked within
_APART = 0.35  # of its width: nearer squares are the cells of something
_BEFORE, _AFTER = 2.0, 1.2  # heights of a line, from a box to its text and from a text to its box
_DRAWN_SIGNS = frozenset("□☐☒☑■")
_SIGNS = _DRAWN_SIGNS | frozenset("口×✓✔回区图凶囚")  # what a box, or a cross in one, is read as
_LETTERS = frozenset("oOD0xXvV")  # or as one of these, alone or before a capital
_CELL = 2  # characters at most that one square holds
_MARGIN = 0.15  # of a box's width, by which a letter in it is seen wider
_NEXT = 1.0  # of its width, at most, between the cells of a field that is filled in letter by letter
_MAX_BOXES = 400
_TEXT = 40.0  # pixels of a line's height: larger pages are reduced
_MAX_PIXELS = 12e6


@dataclass(frozen=True)
class CheckBox:
    """Its place in pixels."""

    left: float
    top: float
    right: float
    bottom: float
    ticked: bool

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def center(self) -> float:
        return (self.left + self.right) / 2

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    def enlarged(self, factor: float) -> CheckBox:
        left, top, right, bottom = (edge * factor for edge in (self.left, self.top, self.right, self.bottom))
        return CheckBox(left, top, right, bottom, self.ticked)

    @property
    def word(self) -> TextWord:
        corners = (self.left, self.top), (self.right, self.top), (self.right, self.bottom), (self.left, self.bottom)
        return TextWord(TICKED if self.ticked else EMPTY, corners)


def marked(pixels: Pixels, lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines with the check boxes beside and in them."""
    found = list(lines)
    if not found:
        return found
    places = [bounds(line.polygon) for line in found]
    for box in _without_cells(find(pixels, median(_height(line.polygon) for line in found)), found):
        level = [at for at, (_, top, _, bottom) in enumerate(places) if top <= box.middle <= bottom]
        alone = [at for at in level if _is_box(found[at], box)]
        best = min((at for at in level if at not in alone), key=lambda at: _distance(found[at], box), default=None)
        if best is not None and _distance(found[best], box) < float("inf"):
            found[best] = _with_box(found[best], box)
            places[best] = bounds(found[best].polygon)
            for at in reversed(alone):
                del found[at], places[at]
        else:
            for at in alone:
                found[at] = replace(found[at], text=box.word.text, words=(box.word,))
    return found


# ---- squares


def find(pixels: Pixels, height: float) -> list[CheckBox]:
    """Squares as high as text of this height, that touch nothing, from left to right; none on a page too large."""
    scale = min(1.0, _TEXT / height)
    if pixels.shape[0] * pixels.shape[1] * scale**2 > _MAX_PIXELS:
        return []
    ink = _ink(pixels, scale)
    squares = [place for place in _drawn_places(ink, scale * height) if _is_square(place, scale * height)]
    found = _once([box for place in squares[: 4 * _MAX_BOXES] if (box := _check_box(ink, *place)) is not None])
    alone = [box for box in found if not any(_is_beside(box, other) for other in found if other is not box)]
    ordered = sorted(alone, key=lambda box: box.left) if len(alone) <= _MAX_BOXES else []
    return [box.enlarged(1 / scale) for box in ordered]


def _ink(pixels: Pixels, scale: float) -> NDArray[np.uint8]:
    gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    paper = np.full_like(gray, int(np.median(gray[::8, ::8])))
    return np.asarray(cv2.absdiff(gray, paper) > _INK, np.uint8)


def _drawn_places(ink: NDArray[np.uint8], height: float) -> list[tuple[int, ...]]:
    """Places of what is drawn, also of level and upright strokes alone: a tick may run over its box's edge."""
    length = max(_SHORTEST, round(_STROKE * height))
    level = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    strokes = level | cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((length, 1), np.uint8))
    found: list[tuple[int, ...]] = []
    for drawn in (ink, strokes):  # the strokes of small boxes that lie askew are short
        places = cv2.connectedComponentsWithStats(drawn)[2][1:, :4]
        sides = places[:, 2:]
        fits = (sides.min(axis=1) >= _SMALLEST) & (sides.max(axis=1) <= _SIZES[1] * height)
        found += [tuple(place) for place in places[fits].tolist()]
    return found


def _is_square(place: Sequence[int], height: float) -> bool:
    _, _, width, tall = place
    fits = max(_SMALLEST, _SIZES[0] * height) <= min(width, tall) and max(width, tall) <= _SIZES[1] * height
    return fits and abs(width - tall) <= 0.12 * max(width, tall) + 1


def _check_box(ink: NDArray[np.uint8], x: int, y: int, width: int, tall: int) -> CheckBox | None:
    inside = ink[y : y + tall, x : x + width]
    side = max(2, round(_SIDE * width))
    strips = inside[:side].any(axis=0), inside[-side:].any(axis=0), inside[:, :side].any(axis=1), inside[:, -side:]
    drawn = [float(strip.mean()) for strip in (*strips[:3], strips[3].any(axis=1))]
    corners = [inside[a, b].any() for a in (slice(side), slice(-side, None)) for b in (slice(side), slice(-side, None))]
    if min(drawn) < _DRAWN or not all(corners) or float(inside.mean()) > _SOLID:
        return None
    edge = round(0.25 * width)
    ticked = float(inside[edge:-edge, edge:-edge].mean()) > _TICKED
    return CheckBox(x, y, x + width, y + tall, ticked)


def _once(boxes: Sequence[CheckBox]) -> list[CheckBox]:
    kept: list[CheckBox] = []
    for box in boxes:
        if not any(other.left < box.center < other.right and other.top < box.middle < other.bottom for other in kept):
            kept.append(box)
    return kept


def _is_beside(box: CheckBox, other: CheckBox) -> bool:
    across = max(box.left, other.left) - min(box.right, other.right)
    down = max(box.top, other.top) - min(box.bottom, other.bottom)
    return max(across, down) < _APART * box.width


def _without_cells(boxes: Sequence[CheckBox], lines: Sequence[TextLine]) -> list[CheckBox]:
    """Squares that hold a letter or a figure, and those in a row with them (which may hold an O or a 0), are cells."""
    words = [(word.text, *bounds(word.polygon)) for line in lines for word in line.words if len(word.text) <= _CELL]
    cells = [box for box in boxes if any(_holds(box, *word) for word in words)]
    for cell in cells:  # which grow
        cells += [box for box in boxes if box not in cells and _is_next(box, cell)]
    return [box for box in boxes if box not in cells]


def _holds(box: CheckBox, text: str, left: float, top: float, right: float, bottom: float) -> bool:
    margin = _MARGIN * box.width
    within = box.left - margin <= left and right <= box.right + margin and top <= box.middle <= bottom
    return within and text not in _SIGNS | _LETTERS


def _is_next(box: CheckBox, other: CheckBox) -> bool:
    apart = max(box.left, other.left) - min(box.right, other.right)
    level = abs(box.middle - other.middle) < 0.5 * box.width
    return level and apart <= _NEXT * box.width


# ---- lines


def _height(polygon: Polygon) -> float:
    left, top, right, bottom = bounds(polygon)
    return min(bottom - top, right - left)


def _is_box(line: TextLine, box: CheckBox) -> bool:
    """Whether a line is nothing but the box, read as a letter."""
    left, top, right, bottom = bounds(line.polygon)
    holds = left <= box.center <= right and top <= box.middle <= bottom
    text = line.text.strip()
    return holds and len(text) <= 2 and set(text) <= _SIGNS | _LETTERS and right - left < 2.2 * box.width


def _distance(line: TextLine, box: CheckBox) -> float:
    """From a box to the line that it belongs to: one that it is in, or before, or behind."""
    left, top, right, bottom = bounds(line.polygon)
    height = bottom - top
    if not top <= box.middle <= bottom or bottom - top > 3 * box.width:
        return float("inf")
    if box.center < left:
        return left - box.right if left - box.right <= _BEFORE * height else float("inf")
    if box.center > right:
        return box.left - right + _BEFORE * height if box.left - right <= _AFTER * height else float("inf")
    return -1.0


def _with_box(line: TextLine, box: CheckBox) -> TextLine:
    """What was read in the box's place is replaced, unless it is what somebody wrote into the box."""
    at = next((at for at, word in enumerate(line.words) if _covers(word, box)), None)
    if at is None:
        at = sum(bounds(word.polygon)[0] < box.center for word in line.words)
        return _joined(line, [*line.words[:at], box.word, *line.words[at:]], box)
    ideographs = any(map(_is_ideograph, line.text))  # which may be squares themselves, as in 出口
    parts = _around(line.words[at], box, _DRAWN_SIGNS if ideographs else _SIGNS)
    return line if parts is None else _joined(line, [*line.words[:at], *parts, *line.words[at + 1 :]], box)


def _around(word: TextWord, box: CheckBox, signs: frozenset[str]) -> list[TextWord] | None:
    """The box and what is left of a word in its place, as words; None for a letter that stands in the box."""
    left, _, right, _ = bounds(word.polygon)
    text, margin = word.text, _MARGIN * box.width
    if left >= box.left - margin and right <= box.right + margin:
        return [box.word] if text in (signs | _LETTERS) else None
    before = right - box.center < box.center - left
    if before:
        text = text[:-1] if text[-1] in signs else text
    elif text[0] in signs or (text[0] in _LETTERS and text[1:2].isupper()):
        text = text[1:]
    if text == word.text and signs is _DRAWN_SIGNS:
        return None
    rest = [replace(word, text=text)] if text else []
    return [*rest, box.word] if before else [box.word, *rest]


def _is_ideograph(symbol: str) -> bool:
    return "\u3400" <= symbol <= "\u9fff" and symbol not in _SIGNS


def _covers(word: TextWord, box: CheckBox) -> bool:
    left, _, right, _ = bounds(word.polygon)
    return left <= box.center <= right


def _joined(line: TextLine, words: Sequence[TextWord], box: CheckBox) -> TextLine:
    first, second, third, last = line.polygon
    left = min(0.0, box.left - min(first[0], last[0]))
    right = max(0.0, box.right - max(second[0], third[0]))
    polygon = (
        (first[0] + left, first[1]),
        (second[0] + right, second[1]),
        (third[0] + right, third[1]),
        (last[0] + left, last[1]),
    )
    if len(words) == 1:  # of a line without words of its own
        text = (
            f"{words[0].text} {line.text}" if box.center < bounds(line.polygon)[0] else f"{line.text} {words[0].text}"
        )
        return replace(line, text=text, polygon=polygon)
    return replace(line, text=" ".join(word.text for word in words), polygon=polygon, words=tuple(words))
