"""Documents in an OCR worker: their interface, their limits, and decoding of image files.

A decoded image is BGR pixels, upright by EXIF, without alpha.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from loguru import logger
from PIL import Image

from src.documents import raster
from src.errors import InvalidImage
from src.ocr.reading import Pixels, Reading
from src.settings import OcrSettings

MAX_SIDE = 32_000  # OpenCV's warps count columns and rows in 16 bits
_PARAM = "file"
_MAX_MEMBER_BYTES = 64 << 20


@dataclass(frozen=True)
class DocumentLimits:
    """`max_member_bytes`: expanded size of one file of a ZIP archive."""

    max_megapixels: float = 40.0
    max_pages: int = 1000
    dpi: int = 150
    max_member_bytes: int = _MAX_MEMBER_BYTES

    @classmethod
    def of(cls, settings: OcrSettings) -> DocumentLimits:
        return cls(settings.ocr_max_megapixels, settings.ocr_max_pages, settings.ocr_dpi)


class Document(Protocol):
    """Pages by number, from 0. `pages`: at most one more than the limit is counted."""

    @property
    def kind(self) -> str: ...
    @property
    def pages(self) -> int: ...
    def pixels(self, number: int, dpi: int) -> Pixels: ...
    def text(self, number: int, dpi: int) -> tuple[Reading, tuple[int, int]] | None: ...
    def dpi(self, number: int, dpi: int) -> int | None: ...
    def close(self) -> None: ...


def decode(data: bytes, *, base64_text: bool, max_megapixels: float, frame: int = 0) -> Pixels:
    """A frame of an image file, given as its bytes or as base64 text (a data URL will do).

    Raises:
        InvalidImage: it is empty, of an unknown format, damaged, or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about damage; errors are handled here
        image = raster.opened(from_base64(data) if base64_text else data, _PARAM)
        if frame:
            _seek(image, frame)
        _check_size(image, max_megapixels)
        with raster.decoding(_PARAM):
            page = raster.upright(image)
        return np.ascontiguousarray(np.asarray(page)[:, :, ::-1])


def from_base64(text: bytes) -> bytes:
    return raster.from_base64(text, _PARAM)


def count_frames(data: bytes, most: int) -> int:
    """Frames of a TIFF, at most one more than `most`: the chain of frames may be circular."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, count = raster.opened(data, _PARAM), 1
        try:
            while count <= most:
                image.seek(count)
                count += 1
        except EOFError:
            pass
        except raster.DAMAGED:
            logger.info("a TIFF is damaged after frame {}", count)
        return count


def _seek(image: Image.Image, frame: int) -> None:
    try:
        image.seek(frame)
    except (EOFError, *raster.DAMAGED) as error:
        raise InvalidImage("The page is damaged or truncated.", param=_PARAM) from error


def _check_size(image: Image.Image, max_megapixels: float) -> None:
    raster.check_size(image, max_megapixels, "OCR_MAX_MEGAPIXELS", _PARAM)
    if max(image.size) > MAX_SIDE:
        size = f"{image.width} × {image.height} pixels"
        raise InvalidImage(f"The image has {size}; no side may exceed {MAX_SIDE}.", param=_PARAM)
