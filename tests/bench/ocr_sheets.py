"""Pages of placed lines, drawn as pictures and as PDF text layers, and a measure of reading order."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from tests.bench.ocr_pages import A4, font
from tests.unit.ocr.files import assemble

_WORDS = [
    "harbour",
    "boats",
    "river",
    "lamp",
    "market",
    "school",
    "garden",
    "winter",
    "engine",
    "captain",
    "letter",
    "silver",
    "bridge",
    "morning",
    "council",
    "farmer",
    "window",
    "paper",
    "stone",
    "ladder",
    "copper",
    "wire",
    "kettle",
    "barrel",
    "rope",
    "anchor",
    "signal",
    "valley",
    "meadow",
    "orchard",
    "baker",
    "miller",
    "tailor",
    "weaver",
    "painter",
    "sailor",
    "pilot",
    "doctor",
    "teacher",
    "clerk",
    "porter",
    "station",
    "platform",
    "ticket",
    "wagon",
    "siding",
    "tunnel",
    "culvert",
]
LEFT, RIGHT, TOP = 90, 1150, 110
_POINTS = 72 / 150


@dataclass(frozen=True)
class Placed:
    """One line of text: its left end, the top of its letters' room, and the size of its font, in pixels at 150 dpi."""

    text: str
    x: float
    y: float
    size: int

    @property
    def width(self) -> float:
        return float(font(self.size).getlength(self.text))


@dataclass(frozen=True)
class Sheet:
    """A page's lines in the order in which a person reads them."""

    name: str
    lines: tuple[Placed, ...]

    def png(self) -> bytes:
        image = Image.new("RGB", A4, "white")
        for line in self.lines:
            ImageDraw.Draw(image).text((line.x, line.y), line.text, "black", font(line.size))
        buffer = io.BytesIO()
        image.save(buffer, "png")
        return buffer.getvalue()

    def pdf(self, *, by_row: bool = False) -> bytes:
        """Its text in Helvetica, each line stretched to its width. `by_row`: drawn across the columns."""
        lines = sorted(self.lines, key=lambda line: (round(line.y), line.x)) if by_row else self.lines
        drawn = "".join(_show(line) for line in lines).encode("latin-1", "replace")
        return assemble(
            [
                b"<< /Type /Catalog /Pages 2 0 R >>",
                b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
                b" /Resources << /Font << /F 5 0 R >> >> >>",
                b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
                b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            ]
        )

    def polygons(self) -> list[tuple[tuple[float, float], ...]]:
        """Boxes as a detector draws them."""
        return [_box(line) for line in self.lines]


def _show(line: Placed) -> str:
    narrow, wide = sum(c in "ijl.,:;'|!ft r" for c in line.text), sum(c in "mwMW" for c in line.text)
    ems = max(0.3, 0.54 * len(line.text) - 0.25 * narrow + 0.25 * wide)  # about Helvetica's
    place = f"1 0 0 1 {line.x * _POINTS:.2f} {842 - (line.y + line.size) * _POINTS:.2f}"
    stretch = 100 * line.width / (ems * line.size)
    return f"BT /F {line.size * _POINTS:.2f} Tf {stretch:.1f} Tz {place} Tm ({line.text}) Tj ET\n"


def _box(line: Placed) -> tuple[tuple[float, float], ...]:
    margin = 0.15 * line.size
    left, right = line.x - margin, line.x + line.width + margin
    top, bottom = line.y + 0.1 * line.size, line.y + 1.3 * line.size
    return (left, top), (right, top), (right, bottom), (left, bottom)


class SheetWriter:
    """Fills areas of a page with lines of random words."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.lines: list[Placed] = []

    def text(self, count: int) -> str:
        return " ".join(self.dice.choice(_WORDS) for _ in range(count)).capitalize()

    def line(self, text: str, x: float, y: float, size: int = 22, *, align: str = "left") -> float:
        width = float(font(size).getlength(text))
        self.lines.append(Placed(text, x - {"left": 0, "centre": width / 2, "right": width}[align], y, size))
        return y + 1.5 * size

    def title(self, words: int, y: float, size: int = 44, *, x: float = 620, align: str = "centre") -> float:
        return self.line(self.text(words), x, y, size, align=align) + 14

    def prose(self, x: float, y: float, width: float, count: int, size: int = 22, *, paragraph: int = 0) -> float:
        """Lines that fill a width, the last one of a paragraph shorter; returns the next free height."""
        for row in range(count):
            last = row == count - 1 or bool(paragraph and row % paragraph == paragraph - 1)
            self.line(self._filled(width * (self.dice.uniform(0.3, 0.8) if last else 1), size), x, y, size)
            y += 1.5 * size + (0.8 * size if paragraph and last else 0)
        return y

    def _filled(self, width: float, size: int) -> str:
        words = [self.dice.choice(_WORDS)]
        while font(size).getlength(" ".join([*words, word := self.dice.choice(_WORDS)])) <= width:
            words.append(word)
        return " ".join(words)

    def table(self, xs: list[float], y: float, count: int, size: int = 22, leading: float = 1.8) -> float:
        for row in range(count):
            for at, x in enumerate(xs):
                number = f"{self.dice.uniform(0, 999):.2f}"
                self.line(self.text(self.dice.randint(1, 2)) if at == 0 or row == 0 else number, x, y, size)
            y += leading * size
        return y

    def bullets(self, x: float, y: float, width: float, items: int, size: int = 22) -> float:
        for _ in range(items):
            count = self.dice.randint(1, 3)
            for row in range(count):
                share = 1 if row < count - 1 else self.dice.uniform(0.5, 1)
                self.line(("- " if row == 0 else "") + self._filled(width * share, size), x, y, size)
                y += 1.55 * size
            y += 0.3 * size
        return y

    def columns(
        self, count: int, y: float, length: int, *, gap: float = 46, uneven: bool = False, paragraph: int = 0
    ) -> float:
        """Columns over the whole width; `uneven`: the last one is shorter."""
        width, bottoms = (RIGHT - LEFT - gap * (count - 1)) / count, []
        for at in range(count):
            less = self.dice.randint(1, max(1, length // 3)) if uneven and at == count - 1 else 0
            bottoms.append(self.prose(LEFT + at * (width + gap), y, width, length - less, paragraph=paragraph))
        return max(bottoms)


# ---- the measure


def kendall_tau(order: list[int]) -> float:
    """Of an order of 0, 1, 2 …: 1 is right, -1 backwards."""
    pairs = len(order) * (len(order) - 1) / 2
    wrong = sum(a > b for at, a in enumerate(order) for b in order[at + 1 :])
    return 1 - 2 * wrong / max(1.0, pairs)


def order_in(text: str, lines: Iterable[str]) -> list[int]:
    """The order in which a text has these lines; lines that it lacks, or has twice, are left out."""
    squeezed, wanted = _squeezed(text), [_squeezed(line) for line in lines]
    once = [number for number, line in enumerate(wanted) if squeezed.count(line) == 1 and len(line) > 3]
    return sorted(once, key=lambda number: squeezed.index(wanted[number]))


def _squeezed(text: str) -> str:
    return "".join(text.split()).lower()
