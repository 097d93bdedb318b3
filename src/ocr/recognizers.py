"""Loads the recognizer that OCR_ENGINE selects. Runs in an OCR worker only; imports the chosen library alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from src.errors import ServiceError
from src.gpu import device_lock
from src.ocr import engine_choice
from src.ocr.reading import Recognizer
from src.settings import Settings

if TYPE_CHECKING:
    from src.ocr.scripts import OtherScripts


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
    if engine == "vision":
        from src.ocr.apple_vision import VisionRecognizer

        return VisionRecognizer()
    return _embedded()


def fallback(settings: Settings) -> Callable[[], Recognizer] | None:
    """How to load the embedded engine beside a model that may loop."""
    return _embedded if settings.ocr_fallback and engine_choice.choose(settings).engine == "mlx_vlm" else None


def other_scripts(settings: Settings) -> OtherScripts | None:
    """Tesseract for scripts that the embedded engine does not read, where it is installed."""
    if not settings.ocr_other_scripts or engine_choice.choose(settings).engine != "rapidocr":
        return None
    from src.ocr.scripts import OtherScripts
    from src.ocr.tesseract import TesseractRecognizer

    try:
        return OtherScripts(TesseractRecognizer(None, settings.ocr_page_timeout / 2))
    except (ServiceError, RuntimeError, OSError):
        return None


def _embedded() -> Recognizer:
    from src.ocr.rapid import RapidRecognizer

    return RapidRecognizer()
