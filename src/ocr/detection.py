"""Where the lines of a page are: RapidOCR's detector at the scale that the page's text needs. Called by `rapid`.

A page is looked at once, reduced to about a megapixel. Where the text found is small it is looked at again, larger, in
bands that bound the memory; where there is little text, the ink that was not found is looked at by itself.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from src.ocr.reading import Pixels

Boxes = NDArray[np.float32]  # n x 4 corners x (x, y), clockwise from the line's start

_SIDE = 1280  # pixels of the first look, of the longer side
_AREA = 1280 * 905  # or of the whole, for pages that are long and narrow
_SMALL_TEXT = 11.0  # pixels high where the detector loses digits
_GOOD_TEXT = 15.0
_MAX_AREA = 8e6  # of a second look: bounds the time
_BAND_AREA = 1.6e6
_OVERLAP = 96  # pixels of neighbouring bands, at the detector's scale
_FEW_BOXES = 3
_MAX_INK = 0.08  # share of the page: more is a picture
_MAX_SPOTS = 24
_NO_BOXES: Boxes = np.zeros((0, 4, 2), np.float32)


class Detector:
    """The detector, called at a chosen scale."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def find(self, pixels: Pixels) -> Boxes:
        """The boxes of a page's lines."""
        height, width = pixels.shape[:2]
        scale = min(1.0, max(_SIDE / max(width, height), math.sqrt(_AREA / (width * height))))
        boxes = self._look(pixels, scale)
        larger = _needed_scale(boxes, scale, width * height)
        if larger > 1.1 * scale:
            boxes = _joined(self._look(pixels, larger), boxes)
        return boxes if len(boxes) > _FEW_BOXES else _joined(boxes, self._in_spots(pixels, boxes))

    def _look(self, pixels: Pixels, scale: float) -> Boxes:
        """In bands, if the page is too large at this scale."""
        height, width = pixels.shape[:2]
        rows = max(4 * _OVERLAP, int(_BAND_AREA / max(1.0, width * scale)))
        if height * scale <= 1.3 * rows:
            return self._call(pixels, scale)
        band, overlap, found = math.ceil(rows / scale), math.ceil(_OVERLAP / scale), _NO_BOXES
        for top in range(0, height - overlap, band - overlap):
            boxes: Boxes = self._call(pixels[top : top + band], scale) + np.array([0, top], np.float32)
            found = _joined(found, _whole(boxes, top, min(top + band, height), height))
        return found

    def _call(self, pixels: Pixels, scale: float) -> Boxes:
        self._model.limit_side_len = max(32, round(scale * max(pixels.shape[:2])))
        boxes = self._model(pixels).boxes
        return _NO_BOXES if boxes is None else np.asarray(boxes, np.float32)

    def _in_spots(self, pixels: Pixels, found: Boxes) -> Boxes:
        """Lines in the ink outside the boxes: a lone word on a large page is not found by looking at all of it."""
        boxes = _NO_BOXES
        for left, top, right, bottom in _spots(pixels, found):
            margin = max(bottom - top, 12)
            x, y = max(0, left - margin), max(0, top - margin)
            spot = _enlarged(pixels[y : bottom + margin, x : right + margin], bottom - top)
            factor = spot.shape[0] / (min(bottom + margin, pixels.shape[0]) - y)
            inside = self._call(spot, min(1.0, _SIDE / max(spot.shape[:2]))) / factor + np.array([x, y], np.float32)
            boxes = np.concatenate([boxes, inside if len(inside) else _rectangle(left, top, right, bottom)])
        return boxes


def heights(boxes: Boxes) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(boxes[:, 3] - boxes[:, 0], axis=1), np.float32)


def widths(boxes: Boxes) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1), np.float32)


def _needed_scale(boxes: Boxes, scale: float, area: int) -> float:
    """The scale at which the smallest text found is large enough for the detector."""
    if not len(boxes):
        return scale
    smallest = scale * float(np.quantile(np.minimum(widths(boxes), heights(boxes)), 0.1))
    if smallest >= _SMALL_TEXT:
        return scale
    return min(1.0, scale * _GOOD_TEXT / max(smallest, 5.0), math.sqrt(_MAX_AREA / area))


def _whole(boxes: Boxes, top: int, bottom: int, height: int) -> Boxes:
    """Those of a band's boxes that its edges do not cut; the neighbouring band has the others."""
    upper, lower = boxes[:, :, 1].min(axis=1), boxes[:, :, 1].max(axis=1)
    kept: Boxes = boxes[((upper > top + 2) | (top == 0)) & ((lower < bottom - 3) | (bottom == height))]
    return kept


def _joined(boxes: Boxes, more: Boxes) -> Boxes:
    """The first boxes, and those others whose middle lies in none of them, and in which none of theirs lies."""
    if not len(boxes) or not len(more):
        return np.concatenate([boxes, more])
    return np.concatenate([boxes, more[~(_holds(boxes, more).any(axis=0) | _holds(more, boxes).any(axis=1))]])


def _holds(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """Whether the middle of another box lies in a box's upright bounds: rows are boxes, columns others."""
    low, high, middles = boxes.min(axis=1)[:, None], boxes.max(axis=1)[:, None], others.mean(axis=1)[None]
    return np.asarray(((low <= middles) & (middles <= high)).all(axis=2), np.bool_)


# ---- ink


def _spots(pixels: Pixels, found: Boxes) -> list[tuple[int, int, int, int]]:
    """Places of ink on an almost empty page, the largest first: left, top, right, bottom."""
    ink = _ink(pixels)
    for box in found:
        cv2.fillPoly(ink, [box.astype(np.int32)], 0)
    if not 0 < np.count_nonzero(ink) <= _MAX_INK * ink.size:
        return []
    reach = max(5, min(pixels.shape[:2]) // 80)
    joined = cv2.dilate(ink, np.ones((3, reach), np.uint8))
    _, _, places, _ = cv2.connectedComponentsWithStats(joined)
    text = [(x, y, w, h) for x, y, w, h, area in places[1:].tolist() if 7 <= h <= 400 and w >= 5 and area >= 40]
    if len(text) > _MAX_SPOTS:
        return []
    return [(x, y, x + w, y + h) for x, y, w, h in sorted(text, key=lambda place: -place[2] * place[3])]


def _ink(pixels: Pixels) -> NDArray[np.uint8]:
    """What differs from the paper, in white on black."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    paper = float(np.median(grey[::8, ::8]))
    return np.asarray((np.abs(grey.astype(np.int16) - int(paper)) > 60) * 255, np.uint8)


def _enlarged(spot: Pixels, height: int) -> Pixels:
    """Text below the detector's best size, enlarged."""
    factor = min(3.0, 32 / height)
    if factor <= 1:
        return spot
    return np.asarray(cv2.resize(spot, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)


def _rectangle(left: int, top: int, right: int, bottom: int) -> Boxes:
    pad = (bottom - top) // 6 + 1
    x, y, r, b = left - pad, top - pad, right + pad, bottom + pad
    return np.array([[(x, y), (r, y), (r, b), (x, b)]], np.float32)
