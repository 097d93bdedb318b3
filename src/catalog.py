"""The catalogue of models that requests may name, and what their folders show without loading them.

Local folders under MODELS_DIR (`NAME` or `OWNER/NAME`), GGUF files there, the models of the settings, and the hub ids
of ALLOWED_MODELS. A request's name is looked up in this table and nowhere else: none is ever taken for a path or a
URL. Web lists them, the supervisor decides with their sizes, the engine loads one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import msgspec

from src import encoders
from src.settings import SHIPPED_MODELS, Settings, home

Capability = Literal["chat", "vision", "embeddings", "rerank"]

_CAPABILITIES: dict[encoders.ModelKind, tuple[Capability, ...]] = {
    "chat": ("chat",),
    "embedding": ("embeddings",),
    "rerank": ("rerank",),
}

# architectures of vision models whose config.json has no `vision_config`
_SEEING = frozenset(
    ("phi3_v", "phi4mm", "molmo", "molmo2", "molmo_point", "moondream1", "moondream2", "moondream3", "falcon_ocr")
)

MAX_NAME = 512  # characters

_INDEX = "model.safetensors.index.json"
_HEADER_BYTES = 8  # a safetensors file begins with the length of its header
_HEADER_MAX = 100 << 20  # what the safetensors library itself allows


class _Tensor(msgspec.Struct):
    data_offsets: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class CatalogEntry:
    """A model that may be requested. `folder`: None if it is not on disk; `size`: bytes of its weights."""

    name: str
    folder: Path | None = None
    size: int = 0
    context_length: int | None = None
    capabilities: tuple[Capability, ...] = ("chat",)

    @property
    def reads_images(self) -> bool | None:
        """By its files; None for a model that is not on disk."""
        if self.folder is None and self.context_length is None:
            return None
        return "vision" in self.capabilities


@dataclass(frozen=True)
class ModelFacts:
    """What a model's files say of it, without its weights: `family` as its configuration calls it."""

    format: str = ""
    family: str = ""
    quantization: str = ""


def facts(entry: CatalogEntry) -> ModelFacts:
    if entry.folder is None:
        return ModelFacts("gguf" if entry.name.lower().endswith(".gguf") else "")
    config = read_config(entry.folder)
    quantized = config.get("quantization")
    bits = quantized.get("bits") if isinstance(quantized, dict) else None
    named = config.get("dtype") or config.get("torch_dtype")
    return ModelFacts("safetensors", str(config.get("model_type") or ""), f"{bits}bit" if bits else str(named or ""))


def entries(settings: Settings) -> dict[str, CatalogEntry]:
    """All models of these settings, the default one first."""
    local = {str(folder.relative_to(settings.models_path)): folder for folder in model_folders(settings.models_path)}
    named = [settings.default_model, *names(settings.pinned_models), *names(settings.allowed_models)]
    hidden = {settings.ocr_model} - set(named)  # the OCR model is not a chat model
    files = dict(gguf_models(settings.models_path))
    wanted = dict.fromkeys([*named, *filter(is_name, sorted(local | files))])
    found = [_entry(name, local.get(name), settings) for name in wanted if name not in hidden]
    return {entry.name: entry for entry in found}


def aliases(setting: str) -> list[tuple[str, str]]:
    """Patterns of MODEL_ALIASES and the models they stand for, in their order."""
    pairs = (part.partition("=") for part in names(setting))
    return [(pattern.strip(), model.strip()) for pattern, _, model in pairs if pattern.strip() and model.strip()]


def resolve(name: str, known: Container[str], setting: str) -> str:
    """The model a name stands for: itself where there is one, else the first alias that fits."""
    if name in known:
        return name
    found = (model for pattern, model in aliases(setting) if fnmatchcase(name, pattern))
    return next(found, name)


def is_name(text: str) -> bool:
    """Whether it is a valid name: short enough, without line breaks or control characters."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()


def names(setting: str) -> list[str]:
    """A comma-separated setting as a list."""
    return [name for part in setting.split(",") if (name := part.strip())]


def model_folders(models: Path) -> Iterator[Path]:
    """Folders with a model: directly in MODELS_DIR, or one deeper, under their owner's name.

    What lies inside a model is part of it (an embedding model's pooling has a config.json, too).
    """
    for folder in _visible_entries(models):
        if _has_config(folder):
            yield folder
        else:
            yield from filter(_has_config, _visible_entries(folder))


def _has_config(folder: Path) -> bool:
    return any(file.name == "config.json" for file in _visible_entries(folder))


def _visible_entries(folder: Path) -> list[Path]:
    """Entries without hidden ones (partial downloads); empty if the folder is missing or unreadable."""
    try:
        return [place for place in folder.iterdir() if not place.name.startswith(".")]
    except OSError:
        return []


def _entry(name: str, folder: Path | None, settings: Settings) -> CatalogEntry:
    folder = folder or model_folder(name, settings.models_path)
    if folder is None:
        return CatalogEntry(name, size=_gguf_bytes(gguf_files(name, settings.models_path)))
    config = read_config(folder)
    return CatalogEntry(
        name,
        folder,
        sum(map(_bytes, folder.glob("*.safetensors"))),
        context_of(folder, config, settings.max_model_len),
        ("chat", "vision") if reads_images(config) else _CAPABILITIES[encoders.kind(folder, config)],
    )


def context_of(folder: Path, config: dict[str, Any], limit: int) -> int:
    """Tokens that a model of any kind takes, as its files say; at most the limit, if there is one."""
    if encoders.kind(folder, config) == "chat":
        return context_length(config, limit)
    return encoders.context_length(config, encoders.limits(folder), (limit,))


def _bytes(file: Path) -> int:
    """Its size; 0 for a file that was removed or a broken link."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _expanded(name: str) -> tuple[Path, ...]:
    """The expanded path; empty if its `~user` does not exist."""
    try:
        return (home() / Path(name).expanduser(),)
    except RuntimeError:
        return ()


def _is_file(place: Path) -> bool:
    """False also for a path that is too long or not accessible."""
    return os.path.isfile(place)  # noqa: PTH113  # Path.is_file raises for some of these


def _is_folder(place: Path) -> bool:
    return os.path.isdir(place)  # noqa: PTH112  # as above


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder; empty for one that is missing or no JSON object."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def reads_images(config: dict[str, Any]) -> bool:
    """Whether a model accepts images, by its config.json."""
    if isinstance(config.get("vision_config"), dict):
        return True
    return isinstance(config.get("mm_vision_tower"), str) or config.get("model_type") in _SEEING


def context_length(config: dict[str, Any], limit: int) -> int:
    """The context length in config.json, limited by MAX_MODEL_LEN if set."""
    text = config.get("text_config")
    places = (config, text if isinstance(text, dict) else {})
    said = [place.get("max_position_embeddings") for place in places]
    own = next((count for count in said if isinstance(count, int) and count > 0), 4096)
    return min(own, limit) if limit else own


def damage(folder: Path) -> str | None:
    """What is missing or truncated in a checkpoint's files, detected without loading it; None if complete."""
    if not isinstance(read_config(folder).get("model_type"), str):
        return "config.json is damaged, or names no model_type"
    files = {file.name: file for file in folder.glob("*.safetensors")}
    missing = sorted(shards(folder) - set(files))
    if missing:
        return f"{len(missing)} file(s) of its weights are missing: {', '.join(missing[:3])}"
    cut = sorted(name for name, file in files.items() if not is_whole(file))
    return f"{cut[0]} is cut short or damaged" if cut else None


def shards(folder: Path) -> set[str]:
    """The required weight files: those in the index, else at least one."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        return {str(name) for name in index["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set() if any(folder.glob("*.safetensors")) else {"model.safetensors"}


def is_whole(file: Path) -> bool:
    """Whether a safetensors file has the length in its header."""
    try:
        with file.open("rb") as data:
            length = int.from_bytes(data.read(_HEADER_BYTES), "little")
            head = data.read(length) if length <= _HEADER_MAX else b""
        tensors = msgspec.json.decode(head, type=dict[str, _Tensor])
    except (OSError, msgspec.DecodeError):
        return False
    end = max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    return _bytes(file) == _HEADER_BYTES + length + end


# ---- GGUF


def model_folder(model: str, models_path: Path) -> Path | None:
    """The model's folder in Hugging Face's layout, if there is one."""
    return next((place for place in _places(model, models_path) if _is_file(place / "config.json")), None)


def gguf_files(model: str, models_path: Path) -> list[Path]:
    """The GGUF files of a model's name: a file, or those in a folder without config.json.

    Of a split model only the first file is listed; projectors of vision models are skipped.
    """
    for place in _places(model, models_path):
        for file in (place, Path(f"{place}.gguf")):
            if file.suffix == ".gguf" and _is_file(file):
                return [file]
        if _is_folder(place) and not _is_file(place / "config.json"):
            return sorted(file for file in place.glob("*.gguf") if _is_model(file.name))
    return []


def gguf_pieces(file: Path) -> list[Path]:
    """All files of a split GGUF model."""
    stem, piece, count = file.name.partition("-00001-of-")
    return sorted(file.parent.glob(f"{stem}-*-of-{count}")) if piece else [file]


def gguf_models(models: Path) -> Iterator[tuple[str, Path]]:
    """Files in MODELS_DIR, and folders with one of them, directly or under their owner's name."""
    for pattern in ("*.gguf", "*/*.gguf", "*/*/*.gguf"):
        for file in filter(lambda file: _is_model(file.name), models.glob(pattern)):
            alone = file.parent != models and gguf_files(str(file.parent), models) == [file]
            if alone or not (file.parent / "config.json").is_file():
                yield str((file.parent if alone else file).relative_to(models)), file


def _gguf_bytes(files: list[Path]) -> int:
    """Size of the first of these models."""
    return sum(map(_bytes, gguf_pieces(files[0]))) if files else 0


def _is_model(name: str) -> bool:
    later_piece = "-of-" in name and "-00001-of-" not in name
    return not later_piece and not name.startswith("mmproj")


def _places(model: str, models_path: Path) -> tuple[Path, ...]:
    return (models_path / model, SHIPPED_MODELS / model, *_expanded(model))
