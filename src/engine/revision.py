"""Which files an engine has loaded, under one digest that its health and each admission carry.

Kept answers belong to it, and an answer goes on under no other. Names, sizes and times of all files that make an
answer, where links lead (a hub's cache), and the configuration itself. Engine process, owner thread; no MLX here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from src import catalog
from src.engine import checkpoint
from src.errors import ModelLoadFailed
from src.settings import Settings

# weights, configuration, tokenizer, chat templates: whatever a loader reads
_READ = frozenset((".safetensors", ".gguf", ".json", ".jinja", ".txt", ".model", ".tiktoken"))


class FilesChanged(Exception):
    """A model's files were replaced while they were read: what was loaded may be of two revisions."""


@dataclass(frozen=True)
class Revision:
    """Of the files of a model as they were before they were read. `facts`: what else decides its answers."""

    files: tuple[Path, ...]  # or folders
    facts: tuple[str, ...]
    digest: str

    @classmethod
    def of(cls, files: Iterable[Path], *facts: object) -> Revision:
        found, told = tuple(files), tuple(map(str, facts))
        return cls(found, told, _digest(found, told))

    def check(self) -> None:
        """Raise `FilesChanged` if these are not the files any more."""
        if _digest(self.files, self.facts) != self.digest:
            names = ", ".join(file.name for file in self.files)
            raise FilesChanged(f"The files of {names} were replaced while they were read; they are loaded again.")


def of_checkpoint(folder: Path, settings: Settings, sources: Iterable[Path] = ()) -> Revision:
    """A checkpoint's, with its draft model's, and the GGUF files it was made of."""
    return Revision.of((folder, *_draft(settings), *sources), settings.kv_bits, settings.kv_group_size)


def places(model: str, models_path: Path) -> list[Path]:
    """What lies on this disk under a model's name, in whatever format."""
    folder = catalog.model_folder(model, models_path)
    if folder is not None:
        return [folder]
    return [piece for file in catalog.gguf_files(model, models_path) for piece in catalog.gguf_pieces(file)]


def _draft(settings: Settings) -> Iterable[Path]:
    if settings.speculative_method != "draft_model" or not settings.draft_model:
        return ()
    if found := places(settings.draft_model, settings.models_path):
        return found
    try:
        return (checkpoint.locate(settings.draft_model, settings.models_path),)
    except ModelLoadFailed:
        return ()  # what that means is said when it is loaded


def _digest(files: tuple[Path, ...], facts: tuple[str, ...]) -> str:
    found = [_facts(place) for place in files]
    configs = [_content(place / "config.json") for place in files]
    return hashlib.blake2b(repr((found, configs, facts)).encode(), digest_size=16).hexdigest()


def _facts(place: Path) -> list[tuple[str, str, int, int]]:
    files = [file for file in place.rglob("*") if file.suffix in _READ] if place.is_dir() else [place]
    return sorted(fact for file in files if (fact := _fact(file, place)) is not None)


def _fact(file: Path, place: Path) -> tuple[str, str, int, int] | None:
    try:
        info, target = file.stat(), file.resolve()
    except OSError:
        return None  # it has just gone, or is a link to nothing
    return str(file.relative_to(place)), target.name, info.st_size, info.st_mtime_ns


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
