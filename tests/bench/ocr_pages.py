"""Pages for measuring OCR, drawn from text of our own with Pillow: what they say is known to the letter."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PROSE = """\
The harbour committee met on Tuesday to hear the report of the engineer. He had walked the whole length of the
north pier and found the lower beams sound, though two of the bolts near the lamp were loose and had been
replaced the same day. The dredging of the inner basin, begun in March, will be finished before the autumn gales
if the weather holds. Mr Calloway asked whether the cost of 4,750 pounds included the hire of the second barge;
it did. The rent of the fish market was raised by six per cent, against the votes of two members who thought the
roof should be mended first. It was agreed to write to the railway about the siding, which has been blocked by
empty wagons for nine days out of the last thirty. The secretary read a letter from the school, whose pupils
wish to paint the sea wall, and the committee approved it with the condition that the signs for depth and tide
stay readable from the water. A new rule was made for pleasure boats: they must leave berths 12 to 47 free
between five and eight in the morning, when the fleet comes in. Questions about moorings may be put at the
office on weekdays from nine to five, or by telephone. The accounts to 30 June show an income of 61,204 pounds
and a balance of 3,918 pounds, which was received with some satisfaction. Meanwhile the drainage of the lower
road was discussed at length, and a culvert of double width will be dug as soon as the permits are signed. The
meeting closed at half past ten with thanks to the chairman, and the next one is called for the second of
October."""
INVOICE = (
    ("Brackwater Supplies Ltd.", "INVOICE 2026-0417"),
    ("Item", "Quantity", "Price", "Total"),
    ("Rope, 12 mm, per metre", "250", "1.40", "350.00"),
    ("Shackle, galvanised", "36", "4.25", "153.00"),
    ("Lamp glass, red", "4", "18.90", "75.60"),
    ("Lamp glass, green", "4", "18.90", "75.60"),
    ("Tar, barrel of 50 litres", "2", "96.00", "192.00"),
    ("Delivery to the north pier", "1", "35.00", "35.00"),
    ("Total before tax", "881.20"),
    ("Tax at 20 %", "176.24"),
    ("Amount due", "1,057.44"),
)
CHINESE = (
    "港务委员会于星期二召开会议，听取工程师的报告。",
    "北码头的下层横梁完好，灯塔附近的两个螺栓已经更换。",
    "内港的疏浚工程将在秋季大风之前完成。",
    "渔市的租金上调百分之六，两名委员表示反对。",
    "游船必须在早上五点到八点之间让出十二号泊位。",
    "下一次会议定于十月二日举行，欢迎居民参加。",
)
RECEIPT = (
    "PIER CAFE",
    "12 Harbour Road",
    "2 Coffee 5.60",
    "1 Fish soup 8.90",
    "1 Bread 1.20",
    "Total 15.70",
    "Paid in cash 20.00",
    "Change 4.30",
    "Thank you, come again",
)
_CJK = ("/usr/share/fonts/**/*CJK*.tt[cf]", "/usr/share/fonts/**/wqy*.tt[cf]", "/System/Library/Fonts/PingFang.ttc")
A4 = (1240, 1754)  # 150 dpi


@dataclass(frozen=True)
class Page:
    """`limit`: the share of characters that may be wrong."""

    name: str
    text: str
    image: Image.Image
    limit: float

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, "png")
        return buffer.getvalue()


def all_pages() -> list[Page]:
    """Those this machine has the fonts for: without a CJK font there is no Chinese page."""
    makers: list[Callable[[], Page | None]] = [invoice, dense, columns, chinese, low_resolution, skewed, receipt, noisy]
    return [page for page in (make() for make in makers) if page is not None]


def invoice() -> Page:
    image, rows = Image.new("RGB", A4, "white"), []
    pen = ImageDraw.Draw(image)
    for at, cells in enumerate(INVOICE):
        places = {2: (100, 800), 4: (100, 640, 840, 1020)}.get(len(cells), (100,))
        for x, cell in zip(places, cells, strict=True):
            pen.text((x, 120 + at * 64), cell, "black", font(28))
        rows.append(" ".join(cells))
    return Page("invoice", "\n".join(rows), image, 0.005)


def dense() -> Page:
    return Page("dense", _flat(PROSE), _paragraph(PROSE.split(), 1040, 24), 0.005)


def columns() -> Page:
    """Two, in order: the left one to its end, then the right."""
    words = PROSE.split()
    half = len(words) // 2
    image = Image.new("RGB", A4, "white")
    for x, part in ((90, words[:half]), (670, words[half:])):
        _write(ImageDraw.Draw(image), part, (x, 120), 480, 22)
    return Page("two columns", _flat(PROSE), image, 0.005)


def chinese() -> Page | None:
    path = next((path for pattern in _CJK for path in sorted(Path("/").glob(pattern[1:]))), None)
    if path is None:
        return None
    image = Image.new("RGB", A4, "white")
    for at, line in enumerate(CHINESE):
        ImageDraw.Draw(image).text((100, 120 + at * 70), line, "black", ImageFont.truetype(str(path), 34))
    return Page("Chinese", "\n".join(CHINESE), image, 0.005)


def low_resolution() -> Page:
    small = dense().image.resize((A4[0] // 2, A4[1] // 2), Image.Resampling.LANCZOS)
    return Page("dense at 75 dpi", _flat(PROSE), small, 0.01)


def skewed() -> Page:
    turned = dense().image.rotate(7, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)
    return Page("skew 7°", _flat(PROSE), turned, 0.005)


def receipt() -> Page:
    """A photo: askew in perspective, grey, noisy, JPEG."""
    paper = Image.new("L", (560, 720), 244)
    for at, line in enumerate(RECEIPT):
        ImageDraw.Draw(paper).text((50, 50 + at * 68), line, 50, font(30))
    scene = Image.new("L", (900, 1000), 110)
    scene.paste(paper, (170, 140))
    corners = (40, 20, -30, 990, 890, 1010, 850, -20)
    bent = scene.transform(scene.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor=110)
    return Page("receipt photo", "\n".join(RECEIPT), _jpeg(_grain(bent, 9), 55), 0.04)


def noisy() -> Page:
    grey = dense().image.convert("L").point([int(70 + value * 0.6) for value in range(256)])
    return Page("noisy scan", _flat(PROSE), _jpeg(_grain(grey, 12), 60), 0.01)


# ---- drawing


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _paragraph(words: list[str], width: int, size: int) -> Image.Image:
    image = Image.new("RGB", A4, "white")
    _write(ImageDraw.Draw(image), words, (100, 120), width, size)
    return image


def _write(pen: ImageDraw.ImageDraw, words: list[str], place: tuple[int, int], width: int, size: int) -> None:
    line, row = "", 0
    for word in [*words, ""]:
        longer = f"{line} {word}".strip()
        if word and font(size).getlength(longer) <= width:
            line = longer
            continue
        pen.text((place[0], place[1] + row * math.ceil(size * 1.6)), line, "black", font(size))
        line, row = word, row + 1


def _grain(image: Image.Image, sigma: float) -> Image.Image:
    noise = np.random.default_rng(7).normal(0, sigma, (image.height, image.width))
    return Image.fromarray((np.asarray(image, np.float32) + noise).clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "jpeg", quality=quality)
    return Image.open(buffer).convert("RGB")


def _flat(text: str) -> str:
    return " ".join(text.split())
