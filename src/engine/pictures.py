"""Pictures of a conversation, decoded for a vision model. Tokenizer thread of an engine; never in the web process.

PIL is not MLX, but it is only needed where vision models are.
"""

from __future__ import annotations

import binascii
import io

from PIL import Image

from src.documents import kinds, raster
from src.ipc.messages.chat import ImagePart


def decode(data: bytes, param: str, *, max_megapixels: float, max_side: int) -> Image.Image:
    """The picture of an image file, its base64 text, or a data URL: upright, RGB, no longer than `max_side`.

    Raises:
        InvalidImage: no picture, a damaged one, or one that is too large.
    """
    is_file = kinds.kind(data[: kinds.HEAD_BYTES]) is not None  # what begins as a file does is no base64 of one
    image = raster.opened(data if is_file else raster.from_base64(data, param), param)
    raster.check_size(image, max_megapixels, "IMAGE_MAX_MEGAPIXELS", param)
    with raster.decoding(param):
        image.draft("RGB", (max_side, max_side))  # a JPEG is decoded small at once
        picture = raster.upright(image)
        picture.thumbnail((max_side, max_side))
        return picture


def encode(picture: Image.Image) -> ImagePart:
    """As it would come from a client."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return ImagePart(binascii.b2a_base64(buffer.getvalue(), newline=False))
