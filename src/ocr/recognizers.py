"""What reads a page: the protocol, and the choice by OCR_ENGINE. Runs in an OCR worker only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from src.gpu import lease
from src.ocr import engine_choice
from src.ocr.reading import Pixels, Reading
from src.settings import Settings


class Recognizer(Protocol):
    """One loaded engine. It serves one page at a time, on the thread that loaded it."""

    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> frozenset[str] | None:
        """ISO 639-1 codes it was trained on; None when nobody can tell, and any is taken."""
        ...

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        """Read BGR pixels; any exception means that this page could not be read. `language`: one of `languages`."""
        ...


@runtime_checkable
class BatchRecognizer(Recognizer, Protocol):
    """One that may read several pages at once: `at_once`, if that is more than 1."""

    @property
    def at_once(self) -> int: ...

    def read_many(self, pages: Sequence[Pixels]) -> list[Reading]: ...


def load(settings: Settings) -> Recognizer:
    """Import, load and warm up the engine that the settings mean; raises whatever its library does."""
    engine = engine_choice.choose(settings).engine
    if engine == "fake":
        from src.ocr.fake import FakeRecognizer  # noqa: PLC0415  # only the chosen engine is imported

        return FakeRecognizer()
    if engine == "mlx_vlm":
        from src.ocr.vlm import VlmRecognizer  # noqa: PLC0415  # as above

        turns = lease.turns(settings, "gpu" if engine_choice.has_gpu() else "cpu")
        return VlmRecognizer(
            engine_choice.model_path(settings),
            settings.ocr_max_tokens,
            settings.blas_library,
            turns,
            settings.ocr_batch,
        )
    if engine == "tesseract":
        from src.ocr.tesseract import TesseractRecognizer  # noqa: PLC0415  # as above

        return TesseractRecognizer(settings.ocr_language, settings.ocr_page_timeout)
    return _embedded()


def fallback(settings: Settings) -> Callable[[], Recognizer] | None:
    """How to load the embedded engine beside a model that may loop."""
    return _embedded if settings.ocr_fallback and engine_choice.choose(settings).engine == "mlx_vlm" else None


def _embedded() -> Recognizer:
    from src.ocr.rapid import RapidRecognizer  # noqa: PLC0415  # as above

    return RapidRecognizer()
