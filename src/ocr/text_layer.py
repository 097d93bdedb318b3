"""The text layer of a PDF page as lines in reading order. Called by `pdf`, in an OCR worker.

PDFium gives characters with boxes. They are put together to runs here: its own line breaks span the gap between columns
that were drawn row by row, and fall anywhere in text that is turned in the page's content.
"""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median

import numpy as np
import pypdfium2
from pypdfium2 import raw

from src.ocr import layout, symbol_fonts
from src.ocr.reading import Polygon, Reading, Rectangle, Size, TextLine

HYPHEN = "\x02"  # PDFium's for one at a line's end
_BREAKS = ("\r", "\n", HYPHEN)
_NAME_BYTES = 128
_SAMPLE = 100  # characters whose angle is looked at
_GAP = 1.7  # of a character's height (two ems): ends a run
_RISE = 0.6  # of a character's height, up or down: ends one, where notes and indices do not
_UNEVEN, _OTHER_SIZE = 0.2, 1.3  # of a height, times a size: text of another line or font beyond a gap
_ALIGNED_GAP = 0.7  # ends one where gaps in other lines stand above or below it
_ALIGNED_GAPS = 3
_SPACED_SHARE = 0.5  # of words that are single letters: the letters stand apart
_WORD_GAP = 0.1  # of a character's height: by which gaps between words are wider than those between letters


@dataclass
class _Run:
    """Characters in a row, with their boxes as they run: left, top, right, bottom with their line level."""

    turned: int  # quarter turns clockwise
    symbols: list[str] = field(default_factory=list)
    boxes: list[Rectangle | None] = field(default_factory=list)  # None for white space

    @property
    def placed(self) -> list[Rectangle]:
        return [box for box in self.boxes if box is not None]

    @property
    def text(self) -> str:
        return _clean("".join(self.symbols))


def read(page: pypdfium2.PdfPage, text: pypdfium2.PdfTextPage, size: Size) -> tuple[Reading, bool] | None:
    """The page's lines, and whether letters that stood apart were joined; None without any."""
    runs = [run for run in _at_gutters(list(_runs(text, page.get_bbox()))) if run.placed and run.text]
    if not runs:
        return None
    apart = _stand_apart([run.text for run in runs])
    lines = [(_joined(run) if apart else run.text, _level_box(run), run.turned) for run in runs]
    turned = Counter[int]()
    for words, _, quarters in lines:
        turned[quarters] += len(words)
    main = turned.most_common(1)[0][0]
    rotation = -90 * (main + page.get_rotation() // 90) % 360
    found = [(words, _on_page(page, box, quarters, size), quarters) for words, box, quarters in lines]
    return _arranged(found, main, rotation, size), apart


def _arranged(found: Sequence[tuple[str, Polygon, int]], main: int, rotation: int, size: Size) -> Reading:
    upright = [_turned(polygon, rotation, size) for _, polygon, _ in found]
    others = [index for index, (_, _, quarters) in enumerate(found) if quarters != main]
    arranged = layout.arrange(upright, last=others)
    height, width = size if rotation % 180 else size[::-1]
    lines = tuple(
        TextLine(
            " ".join(found[index][0] for index in row),
            None,
            _turned(_around([upright[index] for index in row]), -rotation, (width, height), box=False),
        )
        for row in arranged.rows
    )
    return Reading("\n".join(line.text for line in lines), lines, rotation)


def _turned(polygon: Polygon, degrees: int, size: Size, *, box: bool = True) -> Polygon:
    corners = [layout.turn(x, y, degrees, *size) for x, y in polygon]
    return _around([tuple(corners)]) if box else tuple(corners)


# ---- characters


def _runs(text: pypdfium2.PdfTextPage, shown: Rectangle) -> Iterator[_Run]:
    """Characters as they follow each other, up to PDFium's line breaks, gaps of two ems, and changes of direction.

    `shown`: the visible part of the page; characters beyond it are cropped.
    """
    count = int(text.count_chars())
    angle = _quarters if _has_turned(text, count) else _upright
    run = _Run(0)
    for index in range(count):
        symbol = symbol_at(text, index)
        if symbol in _BREAKS:
            run.symbols += ["-"] if symbol == HYPHEN else []
            run.boxes += [None] if symbol == HYPHEN else []
            yield run
            run = _Run(run.turned)
        elif symbol.isspace():
            run.symbols.append(" ")
            run.boxes.append(None)
        else:
            quarters = angle(text, index)
            box = _box(text, index, quarters)
            if not _is_within(_back(box, quarters), shown):
                continue
            if quarters != run.turned or _ends(run, box):
                yield run
                run = _Run(quarters)
            run.symbols.append(symbol)
            run.boxes.append(box)
    yield run


def _ends(run: _Run, box: Rectangle) -> bool:
    """Whether a character begins another run: far off, back, or on another line (of a form's next field)."""
    last = next((known for known in reversed(run.boxes) if known is not None), None)
    if last is None:
        return False
    height, other = max(last[3] - last[1], 0.1), max(box[3] - box[1], 0.1)
    gap, rise = box[0] - last[2], abs(box[1] + box[3] - last[1] - last[3]) / 2
    if gap > _GAP * height or gap < -4 * height or rise > _RISE * max(height, other):
        return True
    unlike = rise > _UNEVEN * height or max(height, other) > _OTHER_SIZE * min(height, other)
    return unlike and gap > _ALIGNED_GAP * height


def symbol_at(text: pypdfium2.PdfTextPage, index: int) -> str:
    """A character; of a symbol font what it shows."""
    symbol = chr(raw.FPDFText_GetUnicode(text, index))
    return symbol_fonts.shown(symbol, font_name(text, index)) if symbol_fonts.is_private(symbol) else symbol


def font_name(text: pypdfium2.PdfTextPage, index: int) -> str:
    name, flags = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text, index, name, _NAME_BYTES, flags)
    return name.value.decode("utf-8", "replace")


def _is_within(box: Rectangle, shown: Rectangle) -> bool:
    """Whether the middle of a character is in the visible part of the page."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return shown[0] <= x <= shown[2] and shown[1] <= y <= shown[3]


def _has_turned(text: pypdfium2.PdfTextPage, count: int) -> bool:
    return any(_quarters(text, index) for index in range(0, count, max(1, count // _SAMPLE)))


def _quarters(text: pypdfium2.PdfTextPage, index: int) -> int:
    return round(float(raw.FPDFText_GetCharAngle(text, index)) / (math.pi / 2)) % 4


def _upright(_text: pypdfium2.PdfTextPage, _index: int) -> int:
    return 0


def _box(text: pypdfium2.PdfTextPage, index: int, quarters: int) -> Rectangle:
    """As high as the font (tight boxes would put dots in rows of their own), along the text's direction."""
    found = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text, index, found)
    left, bottom, right, top = found.left, found.bottom, found.right, found.top
    if quarters == 0:
        return left, -top, right, -bottom
    return {1: (-top, -right, -bottom, -left), 2: (-right, bottom, -left, top), 3: (bottom, left, top, right)}[quarters]


def _back(box: Rectangle, quarters: int) -> Rectangle:
    """Left, bottom, right, top in the page's points."""
    left, top, right, bottom = box
    return {
        0: (left, -bottom, right, -top),
        1: (-bottom, -right, -top, -left),
        2: (-right, top, -left, bottom),
        3: (top, left, bottom, right),
    }[quarters]


# ---- gaps


def _at_gutters(runs: Sequence[_Run]) -> list[_Run]:
    """Runs cut at gaps that stand over each other in several lines: between columns, or cells."""
    gaps = [(number, at, left, right) for number, run in enumerate(runs) for at, (left, right) in _wide_gaps(run)]
    within = [(runs[number].turned, left, right) for number, _, left, right in gaps]
    turned, lefts, rights = np.array([*within, *_gaps_between(runs)], np.float64).reshape(-1, 3).T
    cuts: dict[int, list[int]] = {}
    for number, at, left, right in gaps:
        common = np.minimum(rights, right) - np.maximum(lefts, left)
        aligned = (turned == runs[number].turned) & (common > 0.6 * (right - left))
        if np.count_nonzero(aligned) > _ALIGNED_GAPS:  # itself too
            cuts.setdefault(number, []).append(at)
    return [part for number, run in enumerate(runs) for part in _cut(run, cuts.get(number, []))]


def _gaps_between(runs: Sequence[_Run]) -> Iterator[tuple[int, float, float]]:
    """Gaps between runs beside each other: the direction of their text, and from where to where they reach."""
    level: list[tuple[int, Rectangle]] = []
    for turned, box in sorted(((run.turned, _level_box(run)) for run in runs if run.placed), key=_by_height):
        if level and (turned != level[0][0] or box[1] > level[0][1][1] + 0.4 * (box[3] - box[1])):
            yield from _gaps_along(level)
            level = []
        level.append((turned, box))
    yield from _gaps_along(level)


def _gaps_along(level: Sequence[tuple[int, Rectangle]]) -> Iterator[tuple[int, float, float]]:
    for (turned, box), (_, after) in pairwise(sorted(level)):
        if after[0] > box[2]:
            yield turned, box[2], after[0]


def _by_height(placed: tuple[int, Rectangle]) -> tuple[int, float]:
    return placed[0], placed[1][1]


def _wide_gaps(run: _Run) -> Iterator[tuple[int, tuple[float, float]]]:
    """Where a run could be cut, and from where to where the gap reaches."""
    last: Rectangle | None = None
    for at, box in enumerate(run.boxes):
        if box is None:
            continue
        if last is not None and box[0] - last[2] > _ALIGNED_GAP * (box[3] - box[1]):
            yield at, (last[2], box[0])
        last = box


def _cut(run: _Run, places: Sequence[int]) -> list[_Run]:
    ends = [0, *places, len(run.symbols)]
    return [_Run(run.turned, run.symbols[a:b], run.boxes[a:b]) for a, b in pairwise(ends)]


def _stand_apart(texts: Sequence[str]) -> bool:
    """Whether a page's letters are spaced, so that each came as a word."""
    words = [word for text in texts for word in text.split()]
    single = sum(len(word) == 1 and word.isalpha() for word in words)
    return len(words) >= 6 and single > _SPACED_SHARE * len(words)


def _joined(run: _Run) -> str:
    """Words by the gaps between letters: those of white space in the file are everywhere."""
    placed = [(symbol, box) for symbol, box in zip(run.symbols, run.boxes, strict=True) if box is not None]
    gaps = [after[0] - before[2] for (_, before), (_, after) in pairwise(placed)]
    if not gaps:
        return run.text
    most = _word_gap(gaps, _WORD_GAP * median(box[3] - box[1] for _, box in placed))
    spaced = [(" " if gap > most else "") + symbol for gap, (symbol, _) in zip(gaps, placed[1:], strict=True)]
    return _clean(placed[0][0] + "".join(spaced))


def _word_gap(gaps: Sequence[float], least: float) -> float:
    """What parts the gaps between letters from those between words best; at least so far apart."""
    ordered = sorted(gaps)

    def spread(at: int) -> float:
        low, high = ordered[:at], ordered[at:]
        return len(low) * len(high) * (fmean(high) - fmean(low)) ** 2

    best = max(range(1, len(ordered)), key=spread, default=0)
    if not best or fmean(ordered[best:]) - fmean(ordered[:best]) < least:
        return ordered[-1]
    return (ordered[best - 1] + ordered[best]) / 2


def _clean(text: str) -> str:
    """Single spaces; PDFium gives surrogates one by one."""
    return " ".join(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").split())


# ---- places on the rendered page


def _level_box(run: _Run) -> Rectangle:
    lefts, tops, rights, bottoms = zip(*run.placed, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _on_page(page: pypdfium2.PdfPage, box: Rectangle, quarters: int, size: Size) -> Polygon:
    left, bottom, right, top = _back(box, quarters)
    return _around([tuple(to_pixels(page, x, y, size) for x, y in ((left, top), (right, bottom)))])


def to_pixels(page: pypdfium2.PdfPage, x: float, y: float, size: Size) -> tuple[float, float]:
    """PDFium applies rotation and crop box."""
    across, down = ctypes.c_int(), ctypes.c_int()
    # in tenths of a pixel, as PDFium gives whole numbers
    raw.FPDF_PageToDevice(page, 0, 0, size[0] * 10, size[1] * 10, 0, x, y, across, down)
    return across.value / 10, down.value / 10


def _around(polygons: Sequence[Polygon]) -> Polygon:
    xs = [x for polygon in polygons for x, _ in polygon]
    ys = [y for polygon in polygons for _, y in polygon]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return (left, top), (right, top), (right, bottom), (left, bottom)
