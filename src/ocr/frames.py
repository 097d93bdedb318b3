"""Image files as documents: one page, or the frames of a TIFF. In an OCR worker only."""

from __future__ import annotations

from typing_extensions import override

from src.ipc.messages.ocr import OcrWarning
from src.ocr import documents
from src.ocr.documents import Document, DocumentLimits, ImageHeader
from src.ocr.reading import Pixels
from src.ocr.structure.words import Word

_MOVING = ("gif", "png", "webp", "avif", "heif")
_FIRST_ALONE = OcrWarning("frames_not_read", "The file holds several pictures; the first one alone was read.")


class ImageFile(Document):
    """One image: one page, or, of a TIFF, as many as it has frames. Of an animation, the first frame."""

    kind = ""
    pages = 0

    def __init__(self, kind: str, data: bytes, limits: DocumentLimits) -> None:
        self.kind = kind
        self._data = data
        self._limits = limits
        self.pages = documents.count_frames(data, limits.max_pages) if kind == "tiff" else 1

    def close(self) -> None:
        self._data = b""

    @override
    def pixels(self, number: int, dpi: int) -> Pixels:
        return documents.decode(self._data, self._limits, frame=number)

    @override
    def text(self, number: int, dpi: int) -> None:
        return None

    @override
    def dpi(self, number: int, dpi: int) -> int | None:
        return self._header(number).dpi

    @override
    def given_size(self, number: int) -> tuple[int, int]:
        return self._header(number).size

    @override
    def words(self, number: int, dpi: int, rotation: int) -> list[Word]:
        return []

    @override
    def warnings(self, number: int) -> tuple[OcrWarning, ...]:
        return (_FIRST_ALONE,) if self.kind in _MOVING and self._header(number).more else ()

    def _header(self, number: int) -> ImageHeader:
        return documents.header(self._data, number)
