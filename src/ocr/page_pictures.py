"""Pictures on a PDF page: what they cover, and which may hold text that the text layer lacks. Called by `pdf`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pypdfium2
from pypdfium2 import raw

from src.errors import InvalidDocument
from src.ocr.reading import Reading, Rectangle, Size, bounds
from src.ocr.text_layer import to_pixels

_MAX_OBJECTS = 20_000
_MIN_SHARE = 0.015  # of the page: smaller ones are logos and rules
_MIN_SIDE = 0.04  # of the page's shorter side
_MAX_COVERED = 0.03  # of a picture, by lines of the text layer: more is a picture's text
_SCANNED_SHARE = 0.5
_MAX_AREAS = 8
_SAMPLE = 40
_INVISIBLE = 3  # PDF's text rendering mode


class PageAreas(NamedTuple):
    """`unread`: pictures without text of the layer; `scanned`: whether pictures cover most of the page."""

    unread: tuple[Rectangle, ...]
    scanned: bool


def areas(page: pypdfium2.PdfPage, size: Size, reading: Reading) -> PageAreas:
    """The largest pictures, in pixels of the rendered page."""
    lines = [bounds(line.polygon) for line in reading.lines]
    found = _joined([_clipped(page, picture, size) for picture in pictures(page)])
    large = [box for box in found if _is_large(box, size)]
    unread = [box for box in large if _covered(box, lines) <= _MAX_COVERED * _area(box)]
    scanned = sum(map(_area, large)) > _SCANNED_SHARE * size[0] * size[1]
    return PageAreas(tuple(sorted(unread, key=_area, reverse=True)[:_MAX_AREAS]), scanned)


def pictures(page: pypdfium2.PdfPage) -> Iterator[pypdfium2.PdfImage]:
    """Every picture of the page. Raises InvalidDocument for too many."""
    for count, found in enumerate(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4)):
        if count > _MAX_OBJECTS:
            raise InvalidDocument("The page contains too many images.", param="file")
        yield found


def is_hidden(text: pypdfium2.PdfTextPage) -> bool:
    """Whether most characters are drawn invisibly, as OCR programs write them over a scan."""
    count = int(text.count_chars())
    sample = range(0, count, max(1, count // _SAMPLE))
    objects = [raw.FPDFText_GetTextObject(text, index) for index in sample]
    hidden = sum(raw.FPDFTextObj_GetTextRenderMode(found) == _INVISIBLE for found in objects if found)
    return bool(hidden > len(sample) / 2)


def _clipped(page: pypdfium2.PdfPage, picture: pypdfium2.PdfImage, size: Size) -> Rectangle:
    left, bottom, right, top = picture.getbounds()
    corners = [to_pixels(page, x, y, size) for x, y in ((left, top), (right, bottom))]
    xs, ys = sorted(x for x, _ in corners), sorted(y for _, y in corners)
    return max(0.0, xs[0]), max(0.0, ys[0]), min(float(size[0]), xs[1]), min(float(size[1]), ys[1])


def _joined(boxes: Sequence[Rectangle]) -> list[Rectangle]:
    """Strips of one picture are one."""
    found: list[Rectangle] = []
    for box in sorted(boxes, key=lambda box: (box[1], box[0])):
        last = found[-1] if found else None
        if last and abs(box[0] - last[0]) < 3 and abs(box[2] - last[2]) < 3 and box[1] - last[3] < 3:
            found[-1] = last[0], last[1], last[2], max(last[3], box[3])
        else:
            found.append(box)
    return found


def _is_large(box: Rectangle, size: Size) -> bool:
    sides = min(box[2] - box[0], box[3] - box[1])
    return sides >= _MIN_SIDE * min(size) and _area(box) >= _MIN_SHARE * size[0] * size[1]


def _area(box: Rectangle) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _covered(box: Rectangle, lines: Sequence[Rectangle]) -> float:
    return sum(
        _area((max(box[0], line[0]), max(box[1], line[1]), min(box[2], line[2]), min(box[3], line[3])))
        for line in lines
    )
