"""Text that is found and copied, but not seen: a font without glyphs, and lines drawn with it. Pure.

Characters are UTF-16 units, as Tesseract's are: any script can be searched and copied. Coordinates are points, upwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from src.ipc.messages.ocr import OcrLine

WIDTH = 0.5  # of a character, in heights
ASCENT = 0.8  # of the font, above its baseline
FONT_NAME = "StokerInvisible"
_CMAP = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
%s
endcmap CMapName currentdict /CMap defineresource pop end end
"""

Polygon = Sequence[tuple[float, float]]


def to_unicode() -> bytes:
    """Every unit is itself; a range may not leave its high byte, and a block holds a hundred."""
    ranges = [f"<{high:02x}00> <{high:02x}ff> <{high:02x}00>" for high in range(256)]
    blocks = [ranges[start : start + 100] for start in range(0, 256, 100)]
    text = "\n".join(f"{len(block)} beginbfrange\n" + "\n".join(block) + "\nendbfrange" for block in blocks)
    return _CMAP % text.encode("ascii")


def drawn(lines: Sequence[OcrLine], scale: tuple[float, float], page_height: float, font: str) -> bytes:
    """The operators that write lines. `scale`: points per pixel, across and down; `font`: its name on the page."""
    pieces = [piece for line in lines for piece in _pieces(line, scale, page_height, font)]
    return f"BT 3 Tr\n{chr(10).join(pieces)}\nET\n".encode("ascii")


def _pieces(line: OcrLine, scale: tuple[float, float], page_height: float, font: str) -> Iterator[str]:
    """Word by word where their places are known, with the space that follows each, so that they stay words."""
    words = [(word.text, word.polygon) for word in line.words] or [(line.text, line.polygon)]
    for at, (text, polygon) in enumerate(words):
        if len(polygon) == 4 and text.strip():
            corners = [(x * scale[0], page_height - y * scale[1]) for x, y in polygon]
            yield _placed(text, corners, font, space=at < len(words) - 1)


def _placed(text: str, corners: Polygon, font: str, *, space: bool) -> str:
    """A text stretched along the lower edge of its polygon, whichever way that runs."""
    (top_x, top_y), _, (end_x, end_y), (x, y) = corners
    size = max(0.5, math.dist((top_x, top_y), (x, y)))
    length = max(0.5, math.dist((x, y), (end_x, end_y)))
    angle = math.atan2(end_y - y, end_x - x)
    units = text.encode("utf-16-be", "replace")
    stretch = 100 * length / (len(units) / 2 * WIDTH * size)
    cos, sin = math.cos(angle), math.sin(angle)
    rise = (1 - ASCENT) * size  # the font's own box is the polygon's
    place = f"{cos:.5f} {sin:.5f} {-sin:.5f} {cos:.5f} {x - sin * rise:.2f} {y + cos * rise:.2f}"
    shown = f"{units.hex()}{'0020' if space else ''}"
    return f"/{font} {size:.2f} Tf {stretch:.2f} Tz {place} Tm <{shown}> Tj"
