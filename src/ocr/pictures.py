"""Pictures in a page's result: the page, its figures, and boxes drawn on request. In an OCR worker only."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import msgspec
import numpy as np

from src.ipc.messages.blocks import BlockBox
from src.ipc.messages.ocr import OcrOptions, OcrResult
from src.ocr.reading import Pixels, Polygon

_JPEG_QUALITY = 80
_STROKE = 700  # of the longer side of a page, one pixel of a line's width
# BGR by type; lines have a colour of their own
_COLOURS = {
    "heading": (40, 40, 220),
    "text": (200, 110, 30),
    "list": (170, 140, 0),
    "table": (40, 140, 40),
    "figure": (180, 40, 170),
    "caption": (180, 100, 180),
    "header": (120, 120, 120),
    "footer": (120, 120, 120),
}
_LINE_COLOUR = (0, 140, 255)


def with_pictures(result: OcrResult, options: OcrOptions, pixels: Callable[[], Pixels]) -> OcrResult:
    """The result with the pictures that were requested; the page is decoded for them alone."""
    boxes = [block.box for block in result.blocks if block.type == "figure"] if options.figures else []
    if not boxes and not options.picture:
        return result
    page = pixels()
    scale = page.shape[1] / max(1, result.width)
    figures = tuple(jpeg(_cut(page, box, scale, result.rotation)) for box in boxes)
    if options.picture and options.overlay:
        page = _drawn(page, result, scale)
    return msgspec.structs.replace(result, figures=figures, picture=jpeg(page) if options.picture else b"")


def jpeg(pixels: Pixels) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


def _cut(page: Pixels, box: BlockBox, scale: float, rotation: int) -> Pixels:
    """A part of the page, upright; one pixel at least."""
    left, top, right, bottom = (round(edge * scale) for edge in box)
    left, top = min(max(left, 0), page.shape[1] - 1), min(max(top, 0), page.shape[0] - 1)
    part = page[top : max(bottom, top + 1), left : max(right, left + 1)]
    return np.ascontiguousarray(np.rot90(part, -rotation // 90))


def _drawn(page: Pixels, result: OcrResult, scale: float) -> Pixels:
    """Boxes of lines, and of blocks around them."""
    page, width = page.copy(), max(1, max(page.shape) // _STROKE)
    for line in result.lines:
        _outline(page, line.polygon, scale, _LINE_COLOUR, width)
    for block in result.blocks:
        left, top, right, bottom = block.box
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        _outline(page, corners, scale, _COLOURS[block.type], 2 * width)
    return page


def _outline(page: Pixels, polygon: Polygon, scale: float, colour: tuple[int, int, int], width: int) -> None:
    if polygon:
        corners = np.rint(np.asarray(polygon, np.float64) * scale).astype(np.int32)
        cv2.polylines(page, [corners], isClosed=True, color=colour, thickness=width, lineType=cv2.LINE_AA)
