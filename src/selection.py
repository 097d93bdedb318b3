"""Which engine serves a model here, and why: INFERENCE_ENGINE, or for `auto` the model's format and the machine.

Asked by the engine process, by `run.py check`, and by web, whose metrics carry the engine's name. Nothing is loaded to
find out: a few looks at the disk and at PATH; `decide` itself is pure. Of a GGUF file that both engines can serve, what
`run.py bench --engines` measured decides.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from src import encoders, engine_record
from src.catalog import gguf_files, model_folder, read_config
from src.encoders import ModelKind
from src.engine_record import EngineRecord
from src.errors import ModelLoadFailed
from src.settings import Settings

Engine = Literal["mlx", "vllm", "llama.cpp", "fake"]
Format = Literal["gguf", "mlx", "safetensors", "unknown"]

# served by a server of their own, which this one stands before (src/engine/upstream)
UPSTREAM: tuple[Engine, ...] = ("vllm", "llama.cpp")
# wishes that the engine mlx alone can meet
_OF_MLX = ("kv_bits", "speculative_method", "prefix_cache_dir")


@dataclass(frozen=True)
class EngineSelection:
    """An engine, and the reason in words."""

    engine: Engine
    why: str


@dataclass(frozen=True)
class Machine:
    """What of this machine matters: an NVIDIA GPU, vLLM on PATH, an MLX that computes on CUDA, a llama.cpp server."""

    nvidia: bool = False
    vllm: bool = False
    mlx_cuda: bool = False
    llama_cpp: bool = False


def select(model: str, settings: Settings) -> EngineSelection:
    """The engine for a model under these settings, on this machine."""
    if settings.inference_engine != "auto":
        return EngineSelection(settings.inference_engine, "INFERENCE_ENGINE names it")
    if settings.upstream_url and model == settings.default_model:
        return EngineSelection("vllm", "UPSTREAM_URL names a server for DEFAULT_MODEL")
    if model_kind(model, settings.models_path) != "chat":
        return EngineSelection("mlx", "an embedding model or a reranker")
    machine = replace(this_machine(), llama_cpp=has_llama_cpp(settings))
    form = model_format(model, settings.models_path)
    record = _record(model, settings) if form == "gguf" and machine.llama_cpp else None
    return decide(form, machine) if record is None else EngineSelection(record.fastest, record.why)


def _record(model: str, settings: Settings) -> EngineRecord | None:
    try:
        return engine_record.read(gguf_file(model, settings.models_path), settings)
    except ModelLoadFailed:  # it is said when the model is loaded
        return None


def unmet(engine: Engine, settings: Settings) -> tuple[str, ...]:
    """Settings that ask for what this engine cannot do; it serves without."""
    fields = type(settings).model_fields
    wished = tuple(name.upper() for name in _OF_MLX if getattr(settings, name) != fields[name].default)
    return () if engine == "mlx" else wished


def decide(form: Format, machine: Machine) -> EngineSelection:
    """What `auto` means."""
    if form == "gguf" and machine.llama_cpp:
        return EngineSelection(
            "llama.cpp",
            "the model is in GGUF format, and a llama.cpp server is installed"
            " (`run.py bench --engines` measures which is faster)",
        )
    if form == "gguf":
        return EngineSelection("mlx", "the model is in GGUF format, and no llama.cpp server is installed: MLX reads it")
    if form == "mlx":
        return EngineSelection("mlx", "the weights are quantised in MLX's own format")
    if machine.nvidia and machine.vllm and not machine.mlx_cuda:
        return EngineSelection("vllm", "an NVIDIA GPU and vLLM are here, and MLX is without CUDA")
    return EngineSelection("mlx", "the engine for safetensors on this machine")


def has_llama_cpp(settings: Settings) -> bool:
    return bool(settings.llama_cpp_command or shutil.which("llama-server") or find_spec("llama_cpp"))


def this_machine() -> Machine:
    nvidia = Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists()
    if not nvidia:
        return Machine()
    return Machine(nvidia, shutil.which("vllm") is not None, _has_mlx_cuda())


@lru_cache(1)
def _has_mlx_cuda() -> bool:
    """Looked up once: reading what is installed takes tens of milliseconds, and does not change while we run."""
    return any(found.name.lower().startswith("mlx-cuda") for found in distributions())


def model_kind(model: str, models_path: Path) -> ModelKind:
    """What a model in Hugging Face's layout was made for; `chat` when nothing says otherwise."""
    folder = model_folder(model, models_path)
    return "chat" if folder is None else encoders.kind(folder, read_config(folder))


def model_format(model: str, models_path: Path) -> Format:
    """By what lies at the model's place; `unknown` when nothing does."""
    if gguf_files(model, models_path):
        return "gguf"
    folder = model_folder(model, models_path)
    if folder is None:
        return "unknown"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "unknown"
    return "mlx" if isinstance(config, dict) and "quantization" in config else "safetensors"


def gguf_file(model: str, models_path: Path) -> Path:
    """The one GGUF file of a model.

    Raises:
        ModelLoadFailed: when there is none, or several to choose from.
    """
    files = gguf_files(model, models_path)
    if not files:
        raise ModelLoadFailed(f"No .gguf file at {models_path / model}. Set DEFAULT_MODEL to one, or to its folder.")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ModelLoadFailed(f"{files[0].parent} has several models ({names}). Set DEFAULT_MODEL to one of the files.")
    return files[0]
