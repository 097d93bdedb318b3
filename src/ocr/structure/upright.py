"""A page turned upright and level, and the way back to the pixels it was given in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from src.ipc.messages.blocks import BlockBox
from src.ocr import layout
from src.ocr.reading import Pixels, Polygon
from src.ocr.structure.words import Area

_LEVEL_DEGREES = 0.25  # less is left as it is


@dataclass(frozen=True)
class Upright:
    """`size`: width and height as given. `matrix`: levels the page after it was rotated."""

    pixels: Pixels
    rotation: int
    size: tuple[int, int]
    matrix: NDArray[np.float64]

    @classmethod
    def of(cls, pixels: Pixels, rotation: int, skew_degrees: float) -> Upright:
        size = pixels.shape[1], pixels.shape[0]
        turned = np.ascontiguousarray(np.rot90(pixels, -rotation // 90)) if rotation % 360 else pixels
        height, width = turned.shape[:2]
        matrix = np.eye(2, 3)
        if abs(skew_degrees) >= _LEVEL_DEGREES:
            matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), skew_degrees, 1.0), np.float64)
            white = (255, 255, 255)
            turned = np.asarray(cv2.warpAffine(turned, matrix, (width, height), borderValue=white), np.uint8)
        return cls(turned, rotation, size, matrix)

    @property
    def page(self) -> Area:
        return Area(0, 0, self.pixels.shape[1], self.pixels.shape[0])

    def area(self, polygon: Polygon) -> Area:
        """Where corners on the given page are."""
        turned = [layout.turn(x, y, self.rotation, *self.size) for x, y in polygon]
        points = np.asarray(turned) @ self.matrix[:, :2].T + self.matrix[:, 2]
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return Area(float(left), float(top), float(right), float(bottom))

    def box(self, area: Area) -> BlockBox:
        """Where an area is on the given page: the box around its corners."""
        corners = [(x, y) for x in (area.left, area.right) for y in (area.top, area.bottom)]
        back = np.asarray(cv2.invertAffineTransform(self.matrix), np.float64)
        level = np.asarray(corners) @ back[:, :2].T + back[:, 2]
        width, height = self.pixels.shape[1], self.pixels.shape[0]
        given = [layout.turn(float(x), float(y), -self.rotation, width, height) for x, y in level]
        xs, ys = zip(*given, strict=True)
        return (_within(min(xs), self.size[0]), _within(min(ys), self.size[1]),
                _within(max(xs), self.size[0]), _within(max(ys), self.size[1]))  # fmt: skip


def _within(at: float, most: int) -> float:
    return round(min(max(at, 0.0), float(most)), 1)
