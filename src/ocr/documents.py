"""From the bytes of an image file to a page: BGR pixels, upright by EXIF, without alpha. Runs in an OCR worker only.

What is wrong with a file is said in fixed texts; a decoder's own words never leave the worker.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
from loguru import logger
from PIL import Image, ImageOps, ImageStat

from src.errors import InvalidImage
from src.ipc import images
from src.ocr.reading import Pixels

MAX_SIDE = 32_000  # OpenCV's warps count columns and rows in 16 bits

# Pillow only warns where we refuse, and raises where a setting may allow: `_check_size` decides alone.
Image.MAX_IMAGE_PIXELS = None

# what Pillow's decoders have been seen to raise on damaged input
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error, zlib.error)


def decode(data: bytes, *, base64_text: bool, max_megapixels: float, frame: int = 0) -> Pixels:
    """A frame of an image file, given as its bytes or as base64 text (a data URL will do).

    Raises:
        InvalidImage: when it is empty, no image of ours, damaged, or larger than allowed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's on damage, which is answered here or does not matter
        image = _open(from_base64(data) if base64_text else data)
        if frame:
            _seek(image, frame)
        _check_size(image.width, image.height, max_megapixels)
        return _pixels(image)


def _invalid(text: str) -> InvalidImage:
    return InvalidImage(text, param="file")


def _seek(image: Image.Image, frame: int) -> None:
    try:
        image.seek(frame)
    except (EOFError, *_DAMAGED) as error:
        raise _invalid("The page is damaged or truncated.") from error


def count_frames(data: bytes, most: int) -> int:
    """Frames of a TIFF, at most one more than `most`: their chain may be endless."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, count = _open(data), 1
        try:
            while count <= most:
                image.seek(count)
                count += 1
        except EOFError:
            pass
        except _DAMAGED:
            logger.info("a TIFF is damaged behind frame {}", count)
        return count


def from_base64(text: bytes) -> bytes:
    start = images.base64_start(text)
    try:
        if start >= 0:
            return base64.b64decode(b"".join(text[start:].split()), validate=True)
    except binascii.Error:
        pass
    raise _invalid("The image is not valid base64.")


def _open(data: bytes) -> Image.Image:
    """Read the header only."""
    if not data:
        raise _invalid("The image is empty (0 bytes).")
    kind = images.kind(data[: images.HEAD_BYTES])
    if kind is None or kind in ("pdf", "zip"):
        raise _invalid("The file is not a PNG, JPEG, WebP, TIFF, BMP or GIF image.")
    try:
        return Image.open(io.BytesIO(data), formats=[kind])
    except _DAMAGED as error:
        raise _invalid(f"The file begins like a {kind.upper()} image, but is damaged or truncated.") from error


def _check_size(width: int, height: int, max_megapixels: float) -> None:
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise _invalid(
            f"The image has {width} × {height} pixels ({megapixels:.1f} megapixels); "
            f"OCR_MAX_MEGAPIXELS allows {max_megapixels:g}."
        )
    if max(width, height) > MAX_SIDE:
        raise _invalid(f"The image has {width} × {height} pixels; no side may exceed {MAX_SIDE}.")


def _pixels(image: Image.Image) -> Pixels:
    try:
        image.load()
        _turn_upright(image)
        page = _flat(_eight_bits(image))
    except _DAMAGED as error:
        raise _invalid("The image is damaged or truncated.") from error
    return np.ascontiguousarray(np.asarray(page)[:, :, ::-1])


def _turn_upright(image: Image.Image) -> None:
    """As its EXIF says; broken EXIF is no reason to refuse a good picture."""
    with suppress(*_DAMAGED):
        ImageOps.exif_transpose(image, in_place=True)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow's conversion of 16-bit and floating-point pixels clips instead of scaling."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, dtype=np.float32)
    high = 65535.0 if image.mode.startswith("I") else float(np.nanmax(values, initial=0.0))
    scaled = np.nan_to_num(values * (255.0 / max(high, 1e-6)))
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


def _flat(image: Image.Image) -> Image.Image:
    """RGB. What is transparent becomes white paper, or black when the visible ink is light."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    visible = alpha.point([0] * 128 + [255] * 128)
    ink = ImageStat.Stat(image.convert("L"), mask=visible)
    light = bool(ink.count[0]) and ink.mean[0] > 127
    page = Image.new("RGB", image.size, "black" if light else "white")
    page.paste(image, mask=alpha)
    return page
