"""GGUF files that the engine mlx serves: each converted once into STATE_DIR/gguf, and again when it has changed.

Owner thread of an engine. Two engines of one model (a standby, a successor) wait for each other's conversion.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from src import catalog, logs, selection
from src.engine import checkpoint
from src.engine.mlx.gguf import checkpoint as converter
from src.engine.progress import LoadMeter
from src.errors import ModelLoadFailed
from src.settings import Settings

# changed whenever a conversion gives other files
_FORMAT = 1
_RECORD = "gguf.json"


class _Source(msgspec.Struct, frozen=True):
    """A file as it was when it was converted."""

    path: str
    size: int
    changed_ns: int


class _Record(msgspec.Struct, frozen=True):
    """Written last into a converted folder: it is whole."""

    sources: tuple[_Source, ...]
    format: int = _FORMAT


def sources(model: str, settings: Settings) -> list[Path]:
    """The GGUF files of a model; none for one in another format.

    Raises:
        ModelLoadFailed: when there are several models in its folder.
    """
    if selection.model_format(model, settings.models_path) != "gguf":
        return []
    return catalog.gguf_pieces(selection.gguf_file(model, settings.models_path))


def located(model: str, settings: Settings, progress: LoadMeter) -> Path:
    """The checkpoint's folder of any model; a GGUF file is converted first.

    Raises:
        ModelLoadFailed: when it is not here, or cannot be converted.
    """
    files = sources(model, settings)
    if not files:
        return checkpoint.locate(model, settings.models_path)
    try:
        return _converted(files, settings.state_path / "gguf", progress)
    except OSError as error:
        raise ModelLoadFailed(f"{files[0].name} cannot be converted for MLX: {error}") from None


def _converted(files: Sequence[Path], store: Path, progress: LoadMeter) -> Path:
    wanted = _Record(tuple(map(_source, files)))
    folder = store / f"{files[0].stem[:80]}-{hashlib.sha256(wanted.sources[0].path.encode()).hexdigest()[:8]}"
    with _alone(store):
        if _record(folder) != wanted:
            _sweep(store)
            _convert(files, wanted, folder, progress)
    return folder


def _convert(files: Sequence[Path], wanted: _Record, folder: Path, progress: LoadMeter) -> None:
    for old in (fresh := folder.with_name(f".{folder.name}"), folder):
        shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir()
    try:
        summary = converter.write(files, fresh, progress.begin, progress.add)
        (fresh / _RECORD).write_bytes(msgspec.json.encode(wanted))
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    logs.model.info("{} was converted for MLX: {}", files[0].name, summary)


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(store: Path) -> None:
    """Remove what was made of files that are gone, and what was not finished."""
    for folder in store.iterdir():
        record = _record(folder)
        if record is None or not all(Path(source.path).is_file() for source in record.sources):
            shutil.rmtree(folder, ignore_errors=True)


def _source(file: Path) -> _Source:
    info = file.stat()
    return _Source(str(file.resolve()), info.st_size, info.st_mtime_ns)


def _record(folder: Path) -> _Record | None:
    try:
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=_Record)
    except (OSError, msgspec.DecodeError):
        return None
