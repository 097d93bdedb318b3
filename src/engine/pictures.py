"""Pictures of a conversation, decoded for a vision model. Tokenizer thread of an engine; never in the web process.

Only what `ipc.images` knows by its first bytes is given to a decoder, and only to that one; its size is bounded before
a pixel is decoded. PIL is not MLX, but it is only needed where vision models are.
"""

from __future__ import annotations

import binascii
import io

from PIL import Image, ImageOps

from src.errors import InvalidImage
from src.ipc import images
from src.ipc.messages import ImagePart

_KINDS = ("png", "jpeg", "webp", "bmp", "gif", "tiff")
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, ZeroDivisionError, Image.DecompressionBombError)


def decode(data: bytes, param: str, *, max_megapixels: float, max_side: int) -> Image.Image:
    """The picture of an image file, its base64 text, or a data URL: upright, on white, RGB, no longer than `max_side`.

    Raises:
        InvalidImage: no picture, a damaged one, or one that is too large.
    """
    raw = _bytes(data, param)
    kind = images.kind(raw[: images.HEAD_BYTES])
    if kind not in _KINDS:
        raise InvalidImage("The image is none of PNG, JPEG, WebP, GIF, BMP, TIFF.", param=param)
    try:
        with Image.open(io.BytesIO(raw), formats=[kind.upper()]) as opened:
            if opened.width * opened.height > max_megapixels * 1e6:
                raise InvalidImage(f"The image has more than {max_megapixels:g} megapixels.", param=param)
            opened.draft("RGB", (max_side, max_side))  # a JPEG is decoded small at once
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((max_side, max_side))
            return _on_white(upright)
    except _UNREADABLE:
        raise InvalidImage("The image is damaged.", param=param) from None


def _bytes(data: bytes, param: str) -> bytes:
    if images.kind(data[: images.HEAD_BYTES]) is not None:
        return data  # text that begins as a file does is no base64 of an image
    start = images.base64_start(data)
    try:
        if start < 0:
            raise ValueError
        return binascii.a2b_base64(data[start:])
    except ValueError:
        raise InvalidImage("The image is no valid base64.", param=param) from None


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def encode(picture: Image.Image) -> ImagePart:
    """As it would come from a client."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return ImagePart(binascii.b2a_base64(buffer.getvalue(), newline=False))
