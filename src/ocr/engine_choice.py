"""Which recognizer the settings and this machine mean, and why. Pure but for a look at files; no engine is imported.

The worker loads what it says, the broker logs it, `run.py check` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.gpu.machine import gpu_kind
from src.settings import ROOT, Settings


@dataclass(frozen=True)
class RecognizerChoice:
    """An engine, and the reason in words."""

    engine: str
    why: str

    @property
    def shown(self) -> tuple[str, str]:
        return self.engine, self.why

    @property
    def on_gpu(self) -> bool:
        return self.engine == "mlx_vlm" and has_gpu()


def choose(settings: Settings) -> RecognizerChoice:
    """OCR_ENGINE, or what is best here."""
    if settings.ocr_engine != "auto":
        return RecognizerChoice(settings.ocr_engine, "OCR_ENGINE says so")
    if not settings.ocr_model:
        return RecognizerChoice("rapidocr", "no OCR_MODEL is set; the embedded models need nothing")
    if not has_gpu():
        return RecognizerChoice("rapidocr", "OCR_MODEL is set, but a vision model on a CPU takes minutes a page")
    return RecognizerChoice("mlx_vlm", "OCR_MODEL is set, and there is a GPU")


def has_gpu() -> bool:
    """Metal, or an NVIDIA driver."""
    return gpu_kind() != "none"


def model_path(settings: Settings) -> Path:
    """The folder of OCR_MODEL: as given, or under MODELS_DIR. Never a download: that is the operator's to do."""
    given = Path(settings.ocr_model)
    inside = settings.models_path / given
    return inside if inside.is_dir() else ROOT / given


def model_bytes(settings: Settings) -> int:
    """What the weights take on disk, and about as much in memory; 0 for the embedded models."""
    if choose(settings).engine != "mlx_vlm":
        return 0
    return sum(file.stat().st_size for file in model_path(settings).glob("*.safetensors"))
