"""Local models and their completeness, from configurations and headers of weight files; nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from src import catalog
from src.engine import checkpoint
from src.errors import ModelLoadFailed
from src.hub import place, snapshot
from src.supervisor.table import align, size

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "*.tiktoken", "vocab.json", "vocab.txt", "tekken.json")


class LocalModel(msgspec.Struct, frozen=True):
    """A model in MODELS_DIR. `missing`: missing or truncated files; unknown fields are null."""

    name: str
    size_bytes: int
    architecture: str | None
    quantization: str | None
    context_length: int | None
    missing: tuple[str, ...]
    source: str | None
    revision: str | None


def models(models_path: Path) -> Iterator[LocalModel]:
    """All local models by name, partial downloads included; a model that is being updated is listed once."""
    found = dict(place.unfinished(models_path))
    folders = catalog.model_folders(models_path)
    found |= {folder.relative_to(models_path).as_posix(): folder for folder in folders}
    files = {name: file for name, file in catalog.gguf_models(models_path) if name not in found}
    for name in sorted([*found, *files]):
        yield describe(name, found[name]) if name in found else _gguf(name, files[name])


def _gguf(name: str, file: Path) -> LocalModel:
    """A GGUF file, or a folder with one; its header is read when it is loaded."""
    size_bytes = sum(piece.stat().st_size for piece in catalog.gguf_pieces(file))
    return LocalModel(name, size_bytes, None, "GGUF", None, (), None, None)


def render(found: list[LocalModel]) -> str:
    """The table of `run.py models`."""
    head = ("MODEL", "SIZE", "ARCHITECTURE", "WEIGHTS", "CONTEXT", "REVISION", "STATE")
    return align([head, *map(_row, found)])


def _row(model: LocalModel) -> tuple[str, ...]:
    return (
        model.name,
        size(model.size_bytes),
        model.architecture or "-",
        model.quantization or "not quantised",
        "-" if model.context_length is None else str(model.context_length),
        "-" if model.revision is None else f"{model.source} {model.revision[:12]}",
        f"incomplete: {', '.join(model.missing)}" if model.missing else "complete",
    )


def describe(name: str, folder: Path) -> LocalModel:
    try:
        config = checkpoint.read_config(folder)
    except ModelLoadFailed:
        config = {}
    record = snapshot.read(folder)
    return LocalModel(
        name=name,
        size_bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        architecture=config.get("model_type"),
        quantization=quantization(config),
        context_length=catalog.context_of(folder, config, 0) if config else None,
        missing=missing(folder),
        source=record.source if record is not None else None,
        revision=record.revision if record is not None else None,
    )


def missing(folder: Path) -> tuple[str, ...]:
    """Files that are missing or truncated, so that the model cannot be served."""
    names = {"config.json", *catalog.shards(folder)}
    record = snapshot.read(folder)
    if record is not None and record.quantized is None:
        names |= {file.name for file in record.files}
    gone = {name for name in names if not (folder / name).is_file()}
    cut = {f"{file.name} (truncated)" for file in folder.glob("model*.safetensors") if not catalog.is_whole(file)}
    if not any(True for pattern in _TOKENIZERS for _ in folder.glob(pattern)):
        gone.add("tokenizer.json")
    return tuple(sorted(gone | cut))


def quantization(config: dict[str, Any]) -> str | None:
    """Such as `4-bit`, or the name of the method."""
    for entry in (config.get("quantization"), config.get("quantization_config")):
        if isinstance(entry, dict):
            bits = entry.get("bits")
            return f"{bits}-bit" if bits else str(entry.get("quant_method", "yes"))
    return None
