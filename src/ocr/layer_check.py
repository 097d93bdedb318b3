"""A PDF page's text layer beside what the page shows: some lines compared, pictures read. Called by `reader`.

Only the bundled recognizers compare: they are quick, and read a line alone as well as in its page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from src.errors import ServiceError
from src.ipc.messages.ocr import OcrWarning
from src.ocr import layer_quality, layout
from src.ocr.reading import Pixels, Polygon, Reading, Recognizer, Rectangle, TextLayer, TextLine, bounds

_COMPARERS = ("rapidocr", "tesseract")
_LINES = 3
_LINE_LENGTH = 60  # characters of the lines preferred
_SIMILAR = 0.8
_SURE = 0.6  # confidence of text in a picture: lower is texture
_UNREAD = OcrWarning("pictures_not_read", "The page could not be rendered; text in its pictures is not in the text.")


def objection(layer: TextLayer, pixels: Callable[[], Pixels], recognizer: Recognizer) -> str:
    """Why a layer is not to be used, or "". It is looked at only where it is doubted."""
    if not layer.doubt or not layer_quality.can_be_compared(layer.reading.text):
        return ""
    if recognizer.name not in _COMPARERS:
        return layer.doubt if "its" in layer.doubt else ""
    try:
        alike = _agreement(layer, pixels(), recognizer)
    except ServiceError:  # the page cannot be rendered: the layer is all there is
        return ""
    return "" if alike >= _SIMILAR else f"{layer.doubt}, and {alike:.0%} of it is what the page shows"


def with_pictures(layer: TextLayer, pixels: Callable[[], Pixels], recognizer: Recognizer) -> tuple[Reading, int]:
    """The layer with the text of pictures in it, in reading order; and how many lines they have."""
    if not layer.pictures or recognizer.name not in _COMPARERS:
        return layer.reading, 0
    try:
        page = pixels()
    except ServiceError:
        return replace(layer.reading, warnings=(*layer.reading.warnings, _UNREAD)), 0
    found = [line for area in layer.pictures for line in _in_picture(area, page, recognizer)]
    new = [line for line in found if not _is_known(line, layer.reading.lines)]
    return (_merged(layer.reading, new), len(new)) if new else (layer.reading, 0)


def _agreement(layer: TextLayer, page: Pixels, recognizer: Recognizer) -> float:
    """How alike some lines and what is read in their places are, 0 to 1."""
    lines = sorted(layer.reading.lines, key=lambda line: abs(len(line.text) - _LINE_LENGTH))[:_LINES]
    quarters = layer.reading.rotation // 90
    crops = [np.ascontiguousarray(np.rot90(_crop(page, line.polygon), -quarters)) for line in lines]
    return fmean(
        layer_quality.similarity(line.text, recognizer.read(crop).text) for line, crop in zip(lines, crops, strict=True)
    )


def _crop(page: Pixels, polygon: Polygon) -> Pixels:
    left, top, right, bottom = bounds(polygon)
    margin = 0.3 * min(right - left, bottom - top) + 2
    rows = slice(max(0, int(top - margin)), int(bottom + margin) + 1)
    return page[rows, max(0, int(left - margin)) : int(right + margin) + 1]


def _in_picture(area: Rectangle, page: Pixels, recognizer: Recognizer) -> list[TextLine]:
    left, top, right, bottom = (round(side) for side in area)
    crop = np.ascontiguousarray(page[top:bottom, left:right])
    if not crop.size or int(crop.max()) - int(crop.min()) < 30:
        return []
    lines = recognizer.read(crop).lines
    return [_moved(line, left, top) for line in lines if line.polygon and (line.confidence or 1.0) >= _SURE]


def _moved(line: TextLine, x: float, y: float) -> TextLine:
    words = tuple(replace(word, polygon=_shifted(word.polygon, x, y)) for word in line.words)
    return replace(line, polygon=_shifted(line.polygon, x, y), words=words)


def _shifted(polygon: Polygon, x: float, y: float) -> Polygon:
    return tuple((across + x, down + y) for across, down in polygon)


def _is_known(line: TextLine, lines: Sequence[TextLine]) -> bool:
    """Whether a line of the layer covers the middle of this one."""
    left, top, right, bottom = bounds(line.polygon)
    x, y = (left + right) / 2, (top + bottom) / 2
    spans = (bounds(other.polygon) for other in lines)
    return any(a <= x <= c and b <= y <= d for a, b, c, d in spans)


def _merged(reading: Reading, more: Sequence[TextLine]) -> Reading:
    lines = [*reading.lines, *more]
    rows = [(index,) for index in range(len(lines))] if reading.rotation else _rows(lines)
    ordered = [[lines[index] for index in row] for row in rows]
    text = "\n".join(" ".join(line.text for line in row) for row in ordered)
    return replace(reading, text=text, lines=tuple(line for row in ordered for line in row))


def _rows(lines: Sequence[TextLine]) -> list[tuple[int, ...]]:
    return list(layout.arrange([line.polygon for line in lines]).rows)
