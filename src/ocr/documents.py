"""From the bytes of an image file to a page: BGR pixels, upright by EXIF, without alpha. Runs in an OCR worker only."""

from __future__ import annotations

import warnings

import numpy as np
from loguru import logger
from PIL import Image

from src.documents import raster
from src.errors import InvalidImage
from src.ocr.reading import Pixels

MAX_SIDE = 32_000  # OpenCV's warps count columns and rows in 16 bits
_PARAM = "file"


def decode(data: bytes, *, base64_text: bool, max_megapixels: float, frame: int = 0) -> Pixels:
    """A frame of an image file, given as its bytes or as base64 text (a data URL will do).

    Raises:
        InvalidImage: when it is empty, no image of ours, damaged, or larger than allowed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's on damage, which is answered here or does not matter
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
    """Frames of a TIFF, at most one more than `most`: their chain may be endless."""
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
            logger.info("a TIFF is damaged behind frame {}", count)
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
