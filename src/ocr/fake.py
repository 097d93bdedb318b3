"""A recognizer without a model, for tests and dry runs: the page's first row of pixels encodes a script.

`draw("delay=0.5; text=hello")` makes such a page as a PNG file. Words, separated by `;`: `text=…`, `delay=seconds`,
`error` (raise), `crash` (end the process), `hang`. Any other image reads as its size. Needs numpy only,
`draw` not even that.
"""

from __future__ import annotations

import os
import struct
import time
import zlib

from typing_extensions import override

from src.ocr.reading import Pixels, Reading, Recognizer, TextLine

_PREFIX = "fake: "
_HEIGHT = 8
_HOUR_S = 3600.0


class FakeRecognizer(Recognizer):
    """Deterministic; delays and failures are part of the page."""

    name = "fake"
    languages = frozenset({"en"})

    @override
    def read(self, page: Pixels, language: str | None = None) -> Reading:
        height, width = page.shape[:2]
        script = _script(page)
        _act(script)
        text = script.get("text", f"a page of {width} × {height} pixels")
        box = ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))
        return Reading(text, (TextLine(text, 1.0, box),))


def _script(page: Pixels) -> dict[str, str]:
    text = page[0, :, 0].tobytes().decode("ascii", "replace")
    if not text.startswith(_PREFIX):
        return {}
    words = (word.strip().partition("=") for word in text[len(_PREFIX) :].split(";"))
    return {name: value for name, _, value in words}


def _act(script: dict[str, str]) -> None:
    time.sleep(float(script.get("delay", 0)))
    if "crash" in script:
        os._exit(1)
    if "error" in script:
        raise RuntimeError("the page requested an error")
    while "hang" in script:
        time.sleep(_HOUR_S)


def draw(script: str) -> bytes:
    """A PNG file whose first row of grey pixels encodes the script."""
    row = (_PREFIX + script).encode("ascii")
    header = struct.pack(">IIBBBBB", len(row), _HEIGHT, 8, 0, 0, 0, 0)
    pixels = b"\0" + row + (b"\0" + b"\xff" * len(row)) * (_HEIGHT - 1)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(pixels)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
