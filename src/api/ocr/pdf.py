"""Writes a searchable PDF of images: each page's picture, and over it its text, invisible. Nothing is decoded.

What was sent as a PDF stays as it is: its text is written by a worker (`src/ocr/searchable.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from src.documents import invisible_text
from src.ipc.messages.ocr import OcrResult

_UNEVEN = 0.1  # more than a reduced picture's sides are rounded by
_DPI = 150  # of pictures that do not say
_PAGES, _CATALOG, _FONT, _CID_FONT, _DESCRIPTOR, _TO_UNICODE = 2, 1, 3, 4, 5, 6
_FIRST_PAGE = 7
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's markers that hold its size


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
    ascent = round(1000 * invisible_text.ASCENT)
    descriptor = (
        f"/Type /FontDescriptor /FontName /Invisible /Flags 5 /FontBBox [0 {ascent - 1000} 500 {ascent}] /ItalicAngle 0"
    )
    return [
        _dictionary(f"/Type /Catalog /Pages {_PAGES} 0 R"),
        _dictionary(f"/Type /Pages /Count {count} /Kids [{kids}]"),
        _dictionary(f"{font} /ToUnicode {_TO_UNICODE} 0 R"),
        _dictionary(f"{cid} {system} /FontDescriptor {_DESCRIPTOR} 0 R /DW {1000 * invisible_text.WIDTH:.0f}"),
        _dictionary(f"{descriptor} /Ascent {ascent} /Descent {ascent - 1000} /CapHeight {ascent} /StemV 80"),
        _stream("", invisible_text.to_unicode()),
    ]


def _page(page: OcrResult, number: int) -> list[bytes]:
    """The page, its picture, and what is drawn."""
    across, down = _jpeg_size(page.picture)
    scale = 72 / (page.dpi or _DPI)
    stretch = down * page.width / max(1, across * page.height)  # of pixels that are not square
    width, height = page.width * scale, page.height * scale * (stretch if abs(stretch - 1) > _UNEVEN else 1)
    resources = f"/XObject << /P {number + 1} 0 R >> /Font << /F {_FONT} 0 R >>"
    box = f"/MediaBox [0 0 {width:.4f} {height:.4f}]"
    picture = f"/Type /XObject /Subtype /Image /Width {across} /Height {down} /ColorSpace /DeviceRGB"
    drawn = f"q {width:.4f} 0 0 {height:.4f} 0 0 cm /P Do Q\n".encode("ascii")
    drawn += invisible_text.drawn(page.lines, (scale, height / max(1, page.height)), height, "F")
    return [
        _dictionary(f"/Type /Page /Parent {_PAGES} 0 R {box} /Resources << {resources} >> /Contents {number + 2} 0 R"),
        _raw_stream(f"{picture} /BitsPerComponent 8 /Filter /DCTDecode", page.picture),
        _stream("", drawn),
    ]


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of our own JPEG, which may be a reduction of the page."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF and data[at + 1] not in _FRAMES:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")


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
