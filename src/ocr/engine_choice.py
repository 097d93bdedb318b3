"""Selects the recognizer from the settings and the machine. Reads files only; imports no engine.

The worker loads it, the broker logs it, `run.py check` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.gpu.machine import gpu_kind
from src.settings import SHIPPED_MODELS, Settings, home


@dataclass(frozen=True)
class RecognizerChoice:
    """An engine, and the reason as text."""

    engine: str
    why: str

    @property
    def shown(self) -> tuple[str, str]:
        return self.engine, self.why

    @property
    def on_gpu(self) -> bool:
        return self.engine == "mlx_vlm" and has_gpu()


def choose(settings: Settings) -> RecognizerChoice:
    """OCR_ENGINE, or for `auto` the best engine on this machine."""
    if settings.ocr_engine != "auto":
        return RecognizerChoice(settings.ocr_engine, "set by OCR_ENGINE")
    if not settings.ocr_model:
        return RecognizerChoice("rapidocr", "OCR_MODEL is not set; its models are bundled")
    if not has_gpu():
        return RecognizerChoice("rapidocr", "OCR_MODEL is set, but a vision model on a CPU takes minutes per page")
    return RecognizerChoice("mlx_vlm", "OCR_MODEL is set, and a GPU is available")


def has_gpu() -> bool:
    """Metal, or an NVIDIA driver."""
    return gpu_kind() != "none"


def model_path(settings: Settings) -> Path:
    """The folder of OCR_MODEL: as given, or under MODELS_DIR. Never downloaded."""
    given = Path(settings.ocr_model)
    inside = (settings.models_path / given, SHIPPED_MODELS / given)
    return next((folder for folder in inside if folder.is_dir()), home() / given)


def model_bytes(settings: Settings) -> int:
    """Size of the weights on disk, about the same in memory; 0 for the bundled models."""
    if choose(settings).engine != "mlx_vlm":
        return 0
    return sum(file.stat().st_size for file in model_path(settings).glob("*.safetensors"))
