"""Writes a searchable PDF: each page's picture, and over it its text, invisible. Nothing is decoded.

Characters are UTF-16 units of a font without glyphs, as Tesseract's are: any script can be searched and copied.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from src.ipc.messages.ocr import OcrLine, OcrResult

_DPI = 150  # of pictures that do not say
_WIDTH = 0.5  # of a character, in heights
_PAGES, _CATALOG, _FONT, _CID_FONT, _DESCRIPTOR, _TO_UNICODE = 2, 1, 3, 4, 5, 6
_FIRST_PAGE = 7
_CMAP = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
%s
endcmap CMapName currentdict /CMap defineresource pop end end
"""


def write(pages: Sequence[OcrResult]) -> bytes:
    """One PDF of all pages, which carry their pictures."""
    objects = _shared(len(pages))
    for at, page in enumerate(pages):
        objects += _page(page, _FIRST_PAGE + 3 * at)
    return _file(objects)


def _shared(count: int) -> list[bytes]:
    kids = " ".join(f"{_FIRST_PAGE + 3 * at} 0 R" for at in range(count))
    font = f"/Type /Font /Subtype /Type0 /BaseFont /Invisible /Encoding /Identity-H /DescendantFonts [{_CID_FONT} 0 R]"
    cid = "/Type /Font /Subtype /CIDFontType2 /BaseFont /Invisible /CIDToGIDMap /Identity"
    system = "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
    descriptor = "/Type /FontDescriptor /FontName /Invisible /Flags 5 /FontBBox [0 0 500 1000] /ItalicAngle 0"
    return [
        _dictionary(f"/Type /Catalog /Pages {_PAGES} 0 R"),
        _dictionary(f"/Type /Pages /Count {count} /Kids [{kids}]"),
        _dictionary(f"{font} /ToUnicode {_TO_UNICODE} 0 R"),
        _dictionary(f"{cid} {system} /FontDescriptor {_DESCRIPTOR} 0 R /DW {1000 * _WIDTH:.0f}"),
        _dictionary(f"{descriptor} /Ascent 1000 /Descent 0 /CapHeight 1000 /StemV 80"),
        _stream("", _to_unicode()),
    ]


def _page(page: OcrResult, number: int) -> list[bytes]:
    """The page, its picture, and what is drawn."""
    scale = 72 / (page.dpi or _DPI)
    width, height = page.width * scale, page.height * scale
    resources = f"/XObject << /P {number + 1} 0 R >> /Font << /F {_FONT} 0 R >>"
    box = f"/MediaBox [0 0 {width:.2f} {height:.2f}]"
    picture = f"/Type /XObject /Subtype /Image /Width {page.width} /Height {page.height} /ColorSpace /DeviceRGB"
    texts = "\n".join(_text(line, scale, height) for line in page.lines if len(line.polygon) == 4 and line.text)
    drawn = f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /P Do Q\nBT 3 Tr\n{texts}\nET"
    return [
        _dictionary(f"/Type /Page /Parent {_PAGES} 0 R {box} /Resources << {resources} >> /Contents {number + 2} 0 R"),
        _raw_stream(f"{picture} /BitsPerComponent 8 /Filter /DCTDecode", page.picture),
        _stream("", drawn.encode("ascii")),
    ]


def _text(line: OcrLine, scale: float, page_height: float) -> str:
    """A line stretched along the lower edge of its polygon, whichever way that runs."""
    (top_x, top_y), _, (end_x, end_y), (x, y) = line.polygon
    size = max(1.0, math.dist((top_x, top_y), (x, y))) * scale
    length = max(1.0, math.dist((x, y), (end_x, end_y))) * scale
    angle = -math.atan2(end_y - y, end_x - x)
    units = line.text.encode("utf-16-be", "replace")
    stretch = 100 * length / (len(units) / 2 * _WIDTH * size)
    cos, sin = math.cos(angle), math.sin(angle)
    place = f"{cos:.5f} {sin:.5f} {-sin:.5f} {cos:.5f} {x * scale:.2f} {page_height - y * scale:.2f}"
    return f"/F {size:.2f} Tf {stretch:.2f} Tz {place} Tm <{units.hex()}> Tj"


def _to_unicode() -> bytes:
    """Every unit is itself; a range may not leave its high byte, and a block holds a hundred."""
    ranges = [f"<{high:02x}00> <{high:02x}ff> <{high:02x}00>" for high in range(256)]
    blocks = [ranges[start : start + 100] for start in range(0, 256, 100)]
    text = "\n".join(f"{len(block)} beginbfrange\n" + "\n".join(block) + "\nendbfrange" for block in blocks)
    return _CMAP % text.encode("ascii")


# ---- the file


def _dictionary(entries: str) -> bytes:
    return f"<< {entries} >>".encode("ascii")


def _stream(entries: str, data: bytes) -> bytes:
    return _raw_stream(f"{entries} /Filter /FlateDecode", zlib.compress(data))


def _raw_stream(entries: str, data: bytes) -> bytes:
    return _dictionary(f"{entries} /Length {len(data)}") + b"\nstream\n" + data + b"\nendstream"


def _file(objects: Sequence[bytes]) -> bytes:
    parts, places, at = [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"], [], 15
    for number, body in enumerate(objects, 1):
        part = b"%d 0 obj\n%s\nendobj\n" % (number, body)
        places.append(at)
        parts.append(part)
        at += len(part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table))
    parts.append(b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, _CATALOG, at))
    return b"".join(parts)
