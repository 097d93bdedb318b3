"""What decoding an image takes: how far it is reduced, and the bytes of its pixels. Pure; only the header is read.

A JPEG is decoded at a half, a quarter or an eighth; any other image as it is, and reduced afterwards.
"""

from __future__ import annotations

import math

from PIL import Image

from src.errors import InvalidImage

_JPEG_REDUCTIONS = (1, 2, 4, 8)
# bytes of a pixel in Pillow, with what its conversion to 8 bits takes
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 5, "PA": 8, "LA": 4, "I": 12, "F": 12}
_WIDE_PIXEL_BYTES = 4


def reduction(image: Image.Image, max_megapixels: float) -> int:
    """How many times each side is reduced for a page within the limit."""
    factor = remaining(image, max_megapixels)
    if image.format in ("JPEG", "MPO"):
        return next((step for step in _JPEG_REDUCTIONS if step >= factor), _JPEG_REDUCTIONS[-1])
    return factor


def remaining(image: Image.Image, max_megapixels: float) -> int:
    """How many times each side of what is decoded exceeds the limit."""
    return max(1, math.ceil(math.sqrt(image.width * image.height / (max_megapixels * 1e6)) - 1e-9))


def check(image: Image.Image, max_megapixels: float, max_mb: int, setting: str, param: str) -> None:
    """Before a pixel is decoded. Raises InvalidImage, naming the setting that allows more."""
    megabytes = _bytes(image, reduction(image, max_megapixels)) / (1 << 20)
    if megabytes > max_mb:
        size = f"{image.width} × {image.height} pixels, which take {megabytes:.0f} MiB of memory"
        raise InvalidImage(f"The image has {size}; {setting} allows {max_mb}.", param=param)


def _bytes(image: Image.Image, factor: int) -> int:
    pixels = image.width * image.height
    size = _PIXEL_BYTES.get(image.mode, 4 if image.mode.startswith("I;16") else _WIDE_PIXEL_BYTES)
    if image.format not in ("JPEG", "MPO"):
        return pixels * size
    return pixels // factor**2 * size + _coefficients(image)


def _coefficients(image: Image.Image) -> int:
    """A progressive JPEG is held whole, two bytes a coefficient, before any of it can be shown."""
    if not image.info.get("progressive"):
        return 0
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    highest = max((across * down for _, across, down, _ in layers), default=1)
    parts = sum(across * down / highest for _, across, down, _ in layers) or 1
    return int(image.width * image.height * 2 * parts)
