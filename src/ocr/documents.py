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

from src.documents import memory, raster
from src.errors import InvalidImage
from src.ipc.messages.ocr import OcrWarning
from src.ocr.reading import Pixels, TextLayer
from src.ocr.structure.words import Word
from src.settings import OcrSettings

MAX_SIDE = 32_000  # OpenCV's warps count columns and rows in 16 bits
_PARAM = "file"
_MAX_MEMBER_BYTES = 64 << 20
_UNEVEN = (1.2, 2.6)  # times: pixels that are not square; beyond, the file is wrong
_DPI = (50, 2400)  # 1 and 72 are what files say that know nothing


@dataclass(frozen=True)
class DocumentLimits:
    """`max_image_mb`: memory of a decoded image; `max_member_bytes`: expanded size of one file of a ZIP archive."""

    max_megapixels: float = 40.0
    max_image_mb: int = 256
    max_pages: int = 1000
    dpi: int = 150
    max_member_bytes: int = _MAX_MEMBER_BYTES

    @classmethod
    def of(cls, settings: OcrSettings) -> DocumentLimits:
        return cls(settings.ocr_max_megapixels, settings.ocr_max_image_mb, settings.ocr_max_pages, settings.ocr_dpi)


class Document(Protocol):
    """Pages by number, from 0. `pages`: at most one more than the limit is counted.

    `given_size`: of an image, upright, whose pixels may be fewer; None where the pixels are the page.
    `words`: of a text layer, on the page turned clockwise by `rotation`. `warnings`: of what is not read of it.
    """

    @property
    def kind(self) -> str: ...
    @property
    def pages(self) -> int: ...
    def pixels(self, number: int, dpi: int) -> Pixels: ...
    def text(self, number: int, dpi: int) -> TextLayer | None: ...
    def dpi(self, number: int, dpi: int) -> int | None: ...
    def given_size(self, number: int) -> tuple[int, int] | None: ...
    def words(self, number: int, dpi: int, rotation: int) -> list[Word]: ...
    def warnings(self, number: int) -> tuple[OcrWarning, ...]: ...
    def close(self) -> None: ...


def decode(data: bytes, limits: DocumentLimits, *, base64_text: bool = False, frame: int = 0) -> Pixels:
    """A frame of an image file, given as its bytes or as base64 text (a data URL will do); reduced, if it is large.

    Raises:
        InvalidImage: it is empty, of an unknown format, damaged, or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about damage; errors are handled here
        image = _opened(from_base64(data) if base64_text else data, frame)
        _check_size(image, limits)
        with raster.decoding(_PARAM):
            stretch = _stretch(image)  # before its EXIF is used up
            page = _stretched(_page(image, limits.max_megapixels), stretch, limits.max_megapixels)
        return np.ascontiguousarray(np.asarray(page)[:, :, ::-1])


@dataclass(frozen=True)
class ImageHeader:
    """`size`: width and height as given, upright. `dpi`: what the file says, if it is plausible.

    `more`: further pictures follow the first, as in an animation.
    """

    size: tuple[int, int]
    dpi: int | None
    more: bool = False


def header(data: bytes, frame: int = 0) -> ImageHeader:
    """Nothing is decoded. Raises InvalidImage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _opened(data, frame)
        with raster.decoding(_PARAM):
            return ImageHeader(raster.upright_size(image), _dpi(image), bool(getattr(image, "is_animated", False)))


def _opened(data: bytes, frame: int) -> Image.Image:
    image = raster.opened(data, _PARAM)
    if frame:
        _seek(image, frame)
    return image


def _page(image: Image.Image, max_megapixels: float) -> Image.Image:
    """Of a JPEG, the decoder itself makes a smaller image."""
    factor = memory.reduction(image, max_megapixels)
    if factor > 1:
        image.draft(image.mode, (image.width // factor, image.height // factor))
    return raster.upright(image, memory.remaining(image, max_megapixels))


def _stretch(image: Image.Image) -> tuple[float, float]:
    """By what its upright page's sides are multiplied for square pixels: a fax has half as many lines as columns."""
    across, down = (_resolution(image, axis) for axis in (0, 1))
    if not (across and down) or not _UNEVEN[0] <= max(across, down) / min(across, down) <= _UNEVEN[1]:
        return 1.0, 1.0
    factors = max(1.0, down / across), max(1.0, across / down)
    return factors if raster.upright_size(image) == image.size else factors[::-1]


def _stretched(page: Image.Image, factors: tuple[float, float], max_megapixels: float) -> Image.Image:
    """As it is, where it would be too large."""
    width, height = round(page.width * factors[0]), round(page.height * factors[1])
    fits = (width, height) != page.size and width * height <= max_megapixels * 1e6
    return page.resize((width, height)) if fits else page


def _dpi(image: Image.Image) -> int | None:
    return round(_resolution(image, 0)) or None


def _resolution(image: Image.Image, axis: int) -> float:
    """Pixels to an inch, across or down; 0 where the file does not say, or says nothing plausible."""
    found = image.info.get("dpi")
    value = float(found[axis]) if isinstance(found, tuple) and len(found) > axis else 0.0
    return value if _DPI[0] <= value <= _DPI[1] else 0.0


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


def image_kind(data: bytes) -> str:
    """Raises InvalidImage for what is no image."""
    return raster.image_kind(data, _PARAM)


def _seek(image: Image.Image, frame: int) -> None:
    try:
        image.seek(frame)
    except raster.DAMAGED as error:
        raise InvalidImage("The page is damaged or truncated.", param=_PARAM) from error


def _check_size(image: Image.Image, limits: DocumentLimits) -> None:
    memory.check(image, limits.max_megapixels, limits.max_image_mb, "OCR_MAX_IMAGE_MB", _PARAM)
    if max(image.size) > MAX_SIDE:
        size = f"{image.width} × {image.height} pixels"
        raise InvalidImage(f"The image has {size}; no side may exceed {MAX_SIDE}.", param=_PARAM)
