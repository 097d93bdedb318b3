"""Pages and pictures for OCR tests, drawn with Pillow's own font: no files, no downloads."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageDraw, ImageFilter, ImageFont

PAGE_LINES = (
    "HARBOUR OFFICE",
    "Notice to all boats",
    "The north pier is closed from Monday",
    "until Thursday for repair work.",
    "Please use berths 12 to 47 instead.",
    "Questions: office hours 9 to 17",
)


def line(text: str) -> bytes:
    """One line of black text on white, PNG."""
    image = Image.new("RGB", (420, 64), "white")
    ImageDraw.Draw(image).text((16, 14), text, fill="black", font=ImageFont.load_default(size=30))
    return png(image)


def scanned_page() -> bytes:
    """A page of text as a scanner gives it: grey, slightly turned, noisy, JPEG."""
    image = Image.new("L", (1240, 900), 235)
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(PAGE_LINES):
        draw.text((120, 100 + row * 110), text, fill=40, font=ImageFont.load_default(size=44))
    noise = Image.effect_noise(image.size, 22)
    image = Image.blend(image.rotate(0.8, fillcolor=235, resample=Image.Resampling.BICUBIC), noise, 0.12)
    buffer = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(0.6)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of some kilobytes that declares `side` × `side` one-bit pixels."""
    row = b"\0" * (1 + (side + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
