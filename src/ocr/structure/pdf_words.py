"""The words of a PDF page's text layer, with their boxes on the rendered page. Runs in an OCR worker only."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field

import pypdfium2
from pypdfium2 import raw

from src.ocr import layout
from src.ocr.structure.words import Word
from src.ocr.text_layer import font_name, symbol_at

_BREAKS = ("\r", "\n", "\x02")
_GAP = 0.28  # of a character's height: as wide as a space
_GUESSED_GAP = 0.165  # where PDFium writes a space; narrower ones are between the letters of a word
_BOLD = 600

_Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


@dataclass
class _Growing:
    """The characters of a word, and the index of the first."""

    first: int = 0
    symbols: list[str] = field(default_factory=list)
    boxes: list[_Box] = field(default_factory=list)


def words(page: pypdfium2.PdfPage, text: pypdfium2.PdfTextPage, size: tuple[int, int], rotation: int = 0) -> list[Word]:
    """Every word, in the order of the file. `size`: of the rendered page, pixels; `rotation`: that makes it upright."""
    upright = _Upright(page, size, rotation)
    return [_word(grown, text) for grown in _grown(text, upright) if grown.boxes]


def _grown(text: pypdfium2.PdfTextPage, upright: _Upright) -> Iterator[_Growing]:
    grown = _Growing()
    spaced = False
    for index in range(text.count_chars()):
        symbol = symbol_at(text, index)
        if symbol in _BREAKS or (symbol.isspace() and not raw.FPDFText_IsGenerated(text, index)):
            yield grown
            grown, spaced = _Growing(), False
            continue
        if symbol.isspace():
            spaced = True
            continue
        box = upright.box(text, index)
        if not upright.shows(box):
            continue
        if grown.boxes and _apart(grown.boxes[-1], box, _GUESSED_GAP if spaced else _GAP):
            yield grown
            grown = _Growing()
        spaced = False
        if not grown.symbols:
            grown.first = index
        grown.symbols.append(symbol)
        grown.boxes.append(box)
    yield grown


def _apart(before: _Box, box: _Box, most: float) -> bool:
    """Too far for two letters of a word, or on another line."""
    height = max(min(before[3] - before[1], box[3] - box[1]), 0.1)
    gap, rise = box[0] - before[2], abs((box[1] + box[3]) - (before[1] + before[3])) / 2
    return gap > most * height or gap < -2 * height or rise > 0.6 * height


def _word(grown: _Growing, text: pypdfium2.PdfTextPage) -> Word:
    lefts, tops, rights, bottoms = zip(*grown.boxes, strict=True)
    symbols = "".join(grown.symbols).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Word(min(lefts), min(tops), max(rights), max(bottoms), symbols, bold=_is_bold(text, grown.first))


class _Upright:
    """From points to pixels of the upright page; PDFium applies the page's own rotation and crop box."""

    def __init__(self, page: pypdfium2.PdfPage, size: tuple[int, int], rotation: int) -> None:
        self._size = size
        self._rotation = rotation
        origin, across, up = (_pixel(page, size, x, y) for x, y in ((0, 0), (1000, 0), (0, 1000)))
        self._origin = origin
        self._across = ((across[0] - origin[0]) / 1000, (across[1] - origin[1]) / 1000)
        self._up = ((up[0] - origin[0]) / 1000, (up[1] - origin[1]) / 1000)

    def box(self, text: pypdfium2.PdfTextPage, index: int) -> _Box:
        found = raw.FS_RECTF()
        raw.FPDFText_GetLooseCharBox(text, index, found)
        (x0, y0), (x1, y1) = self._point(found.left, found.top), self._point(found.right, found.bottom)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def shows(self, box: _Box) -> bool:
        """Whether its middle is on the page: what lies beyond is cropped."""
        width, height = self._size if self._rotation % 180 == 0 else self._size[::-1]
        return 0 <= box[0] + box[2] <= 2 * width and 0 <= box[1] + box[3] <= 2 * height

    def _point(self, x: float, y: float) -> tuple[float, float]:
        across = self._origin[0] + x * self._across[0] + y * self._up[0]
        down = self._origin[1] + x * self._across[1] + y * self._up[1]
        return layout.turn(across, down, self._rotation, *self._size)


def _pixel(page: pypdfium2.PdfPage, size: tuple[int, int], x: float, y: float) -> tuple[float, float]:
    across, down = ctypes.c_int(), ctypes.c_int()
    # in tenths of a pixel, as PDFium gives whole numbers
    raw.FPDF_PageToDevice(page, 0, 0, size[0] * 10, size[1] * 10, 0, x, y, across, down)
    return across.value / 10, down.value / 10


def _is_bold(text: pypdfium2.PdfTextPage, index: int) -> bool:
    if raw.FPDFText_GetFontWeight(text, index) >= _BOLD:
        return True
    name = font_name(text, index).lower()
    return any(word in name for word in ("bold", "black", "heavy", "demi"))
