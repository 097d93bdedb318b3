"""Pictures for the tests: drawn pages and lines, and images as files."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageDraw, ImageFont

LINES = (
    "The drainage committee met on Tuesday",
    "to discuss the northern culvert again",
    "and agreed that all pumps be inspected",
    "before the floods of the coming spring",
    "No objection was raised by the members",
    "The next meeting is on 14 March 2025",
)


def file(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def line(text: str = "Hello OCR world 42", ink: Any = "black", mode: str = "RGB", paper: Any = "white") -> Image.Image:
    image = Image.new(mode, (420, 64), paper)
    ImageDraw.Draw(image).text((12, 12), text, ink, ImageFont.load_default(34))
    return image


def page() -> Image.Image:
    image = Image.new("RGB", (800, 480), "white")
    for number, text in enumerate(LINES):
        ImageDraw.Draw(image).text((40, 40 + 60 * number), text, "black", ImageFont.load_default(30))
    return image
