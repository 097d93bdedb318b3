"""The words the tiny OCR model learns to read, drawn with Pillow's own font: one glyph in each cell of 16 pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HEIGHT = 16
CELL = 16
MAX_LENGTH = 8
WIDTH = CELL * MAX_LENGTH
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Look:
    """How a word is printed and scanned."""

    size: int = 14
    x: int = 1
    y: int = 0
    ink: int = 0
    paper: int = 255
    noise: float = 0.0

    @classmethod
    def any(cls, dice: np.random.Generator) -> Look:
        return cls(
            int(dice.integers(13, 16)),
            int(dice.integers(0, 3)),
            int(dice.integers(-1, 2)),
            int(dice.integers(0, 60)),
            int(dice.integers(230, 256)),
            float(dice.uniform(0, 6)),
        )


def sample(dice: np.random.Generator) -> tuple[str, Image.Image]:
    """A word and its picture."""
    word = "".join(dice.choice(list(ALPHABET), int(dice.integers(1, MAX_LENGTH + 1))))
    return word, draw(word, Look.any(dice), dice)


def draw(word: str, look: Look, dice: np.random.Generator) -> Image.Image:
    image = Image.new("L", (WIDTH, HEIGHT), look.paper)
    pen = ImageDraw.Draw(image)
    for number, glyph in enumerate(word):
        pen.text((number * CELL + 7 + look.x, 13 + look.y), glyph, look.ink, _font(look.size), "ms")
    if not look.noise:
        return image
    grains = dice.normal(0, look.noise, (HEIGHT, WIDTH))
    return Image.fromarray((np.asarray(image, np.float32) + grains).clip(0, 255).astype(np.uint8))


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
