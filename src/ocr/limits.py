"""How much of a document a worker opens: taken from the settings, passed to all that decodes."""

from __future__ import annotations

from dataclasses import dataclass

from src.settings import OcrSettings

_MAX_MEMBER_BYTES = 64 << 20


@dataclass(frozen=True)
class DocumentLimits:
    """`max_member_bytes`: what one file of a ZIP may expand to."""

    max_megapixels: float = 40.0
    max_pages: int = 1000
    dpi: int = 150
    max_member_bytes: int = _MAX_MEMBER_BYTES

    @classmethod
    def of(cls, settings: OcrSettings) -> DocumentLimits:
        return cls(settings.ocr_max_megapixels, settings.ocr_max_pages, settings.ocr_dpi)
