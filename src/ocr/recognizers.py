"""Loads the recognizer that OCR_ENGINE selects. Runs in an OCR worker only; imports the chosen library alone."""

from __future__ import annotations

from collections.abc import Callable

from src.gpu import device_lock
from src.ocr import engine_choice
from src.ocr.reading import Recognizer
from src.settings import Settings


def load(settings: Settings) -> Recognizer:
    """Import, load and warm up the engine that the settings mean; raises whatever its library does."""
    engine = engine_choice.choose(settings).engine
    if engine == "fake":
        from src.ocr.fake import FakeRecognizer

        return FakeRecognizer()
    if engine == "mlx_vlm":
        from src.ocr.vlm import VlmRecognizer

        turns = device_lock.turns(settings, "gpu" if engine_choice.has_gpu() else "cpu")
        return VlmRecognizer(
            engine_choice.model_path(settings),
            settings.ocr_max_tokens,
            settings.blas_library,
            turns,
            settings.ocr_batch,
        )
    if engine == "tesseract":
        from src.ocr.tesseract import TesseractRecognizer

        return TesseractRecognizer(settings.ocr_language, settings.ocr_page_timeout)
    return _embedded()


def fallback(settings: Settings) -> Callable[[], Recognizer] | None:
    """How to load the embedded engine beside a model that may loop."""
    return _embedded if settings.ocr_fallback and engine_choice.choose(settings).engine == "mlx_vlm" else None


def _embedded() -> Recognizer:
    from src.ocr.rapid import RapidRecognizer

    return RapidRecognizer()
