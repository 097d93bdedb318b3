"""Decodes image files, in OCR workers and vision engines only, never in the web process.

A file is decoded by the one decoder of its detected kind. Errors have fixed texts: a decoder's message never leaves the
process.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pi_heif
from PIL import AvifImagePlugin, Image, ImageOps, ImageStat

from src.documents import kinds
from src.errors import InvalidImage

# `check_size` alone decides: Pillow's own limit is off
Image.MAX_IMAGE_PIXELS = None
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_EXIF_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)  # orientations that exchange width and height

# exceptions of Pillow's decoders on damaged input
DAMAGED = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@contextmanager
def decoding(param: str) -> Iterator[None]:
    """Convert decoder errors to `InvalidImage`."""
    try:
        yield
    except DAMAGED as error:
        raise InvalidImage("The image is damaged or truncated.", param=param) from error


def from_base64(text: bytes, param: str) -> bytes:
    """The bytes that base64 text or a data URL stands for. Raises InvalidImage."""
    start = kinds.base64_start(text)
    try:
        if start >= 0:
            return base64.b64decode(b"".join(text[start:].split()), validate=True)
    except binascii.Error:
        pass
    raise InvalidImage("The image is not valid base64.", param=param)


def opened(data: bytes, param: str) -> Image.Image:
    """An image file of which only the header is read. Raises InvalidImage."""
    kind = image_kind(data, param)
    try:
        if kind == "heif":
            _register_heif()
        return Image.open(io.BytesIO(data), formats=[kind])
    except DAMAGED as error:
        text = f"The file begins like {kind.upper()}, but is damaged or truncated."
        raise InvalidImage(text, param=param) from error


def image_kind(data: bytes, param: str) -> str:
    """Raises InvalidImage for what is no image."""
    if not data:
        raise InvalidImage("The image is empty (0 bytes).", param=param)
    kind = kinds.kind(data[: kinds.HEAD_BYTES])
    if kind is None or kind in ("pdf", "zip"):
        raise InvalidImage("The file is not a PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC or AVIF image.", param=param)
    return kind


def _register_heif() -> None:
    pi_heif.register_heif_opener(thumbnails=False, decode_threads=1)


def check_size(image: Image.Image, max_megapixels: float, setting: str, param: str) -> None:
    """Before a pixel is decoded. Raises InvalidImage, naming the setting that allows more."""
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        size = f"{image.width} × {image.height} pixels ({megapixels:.1f} megapixels)"
        raise InvalidImage(f"The image has {size}; {setting} allows {max_megapixels:g}.", param=param)


def upright(image: Image.Image, reduction: int = 1) -> Image.Image:
    """8-bit RGB, rotated by EXIF, on a background where transparent, reduced `reduction` times. Raises `DAMAGED`."""
    image.load()
    if reduction > 1:
        image = _reduced(image, reduction)
    with suppress(*DAMAGED):  # invalid EXIF is ignored
        ImageOps.exif_transpose(image, in_place=True)
    return _flat(_eight_bits(image))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after the rotation that EXIF asks for."""
    turned = False
    with suppress(*DAMAGED):  # invalid EXIF is ignored
        turned = image.getexif().get(_EXIF_ORIENTATION) in _LYING
    return (image.height, image.width) if turned else image.size


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Averaged; its EXIF is kept. Modes of indices and of single bits are grey or RGB first."""
    exif = image.getexif()
    grey = {"1": "L", "P": "RGBA" if image.has_transparency_data else "RGB", "PA": "RGBA"}
    page = _eight_bits(image.convert(grey.get(image.mode, image.mode))).reduce(factor)
    page.info["exif"] = exif.tobytes()
    return page


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow's conversion of 16-bit and floating-point pixels clips instead of scaling."""
    if not image.mode.startswith(("I", "F")):
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    values = np.asarray(image, dtype=np.float32)
    high = 65535.0 if image.mode.startswith("I") else float(np.nanmax(values, initial=0.0))
    scaled = np.nan_to_num(values * (255.0 / max(high, 1e-6)))
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


def _flat(image: Image.Image) -> Image.Image:
    """Transparent pixels become white, or black if the visible ones are light."""
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
