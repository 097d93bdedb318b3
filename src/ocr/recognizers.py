"""What reads a page: the protocol, and the choice by OCR_ENGINE. Runs in an OCR worker only."""

from __future__ import annotations

from typing import Protocol

from src.ocr.reading import Pixels, Reading
from src.settings import OcrSettings


class Recognizer(Protocol):
    """One loaded engine. It serves one page at a time, on the thread that loaded it."""

    @property
    def name(self) -> str: ...

    def read(self, page: Pixels) -> Reading:
        """Read BGR pixels; any exception means that this page could not be read."""
        ...


def load(settings: OcrSettings) -> Recognizer:
    """Import, load and warm up the engine that OCR_ENGINE names; raises whatever its library does."""
    if settings.ocr_engine == "fake":
        from src.ocr.fake import FakeRecognizer  # noqa: PLC0415  # only the chosen engine is imported

        return FakeRecognizer()
    from src.ocr.rapid import RapidRecognizer  # noqa: PLC0415  # only the chosen engine is imported

    return RapidRecognizer()
