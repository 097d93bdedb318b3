"""`run.py pull MODEL`: brings a model to MODELS_DIR/OWNER/NAME, so that its id on the hub is its name here too.

The one that is served stays until the new one is complete; what was broken off is gone on with by the same command.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from src.engine import checkpoint
from src.errors import ExitCode, ModelLoadFailed
from src.hub import download, inventory, quantize, snapshot
from src.hub.modelscope import ModelScope
from src.hub.place import ModelFolder
from src.hub.progress import PullProgress
from src.hub.snapshot import Hub, PullError, Snapshot, Source
from src.settings import Settings
from src.supervisor.table import size

_SPARE_BYTES = 256 << 20  # a disk is never filled to the brim: logs are written, too


@dataclass(frozen=True)
class PullOptions:
    """What was asked for. `source` None: where it came from before, else Hugging Face."""

    model: str
    source: Source | None = None
    bits: int | None = None
    update: bool = False

    @property
    def name(self) -> str:
        """Of the model that will be here."""
        return self.model if self.bits is None else f"{self.model}-{self.bits}bit"


def run(wish: PullOptions, settings: Settings) -> ExitCode:
    """The command."""
    try:
        told = pull(wish, settings)
    except PullError as error:
        return _sorry(str(error), error.code)
    except ModelLoadFailed as error:
        return _sorry(error.message, ExitCode.MODEL)
    except OSError as error:
        return _sorry(f"{error.filename or settings.models_path}: {error.strerror or error}", ExitCode.FAILURE)
    except KeyboardInterrupt:
        return _sorry("Stopped; run this again to go on.", ExitCode.FAILURE)
    sys.stdout.write(f"{told}\n")
    return ExitCode.OK


def _sorry(text: str, code: ExitCode) -> ExitCode:
    sys.stderr.write(f"{text}\n")
    return code


def pull(wish: PullOptions, settings: Settings) -> str:
    """Bring it, and say what became of it.

    Raises:
        PullError: it cannot be had; ModelLoadFailed: what is here cannot be read; OSError: the disk says no.
    """
    full, final = ModelFolder(settings.models_path, wish.model), ModelFolder(settings.models_path, wish.name)
    on_hub = snapshot.is_hub_id(wish.model)
    bits = wish.bits if _is_whole(full.folder) else None
    if not on_hub and bits is None:
        raise PullError(f"{wish.model!r} is no id OWNER/NAME, as the hubs have them.", ExitCode.MODEL)
    if _is_whole(final.folder) and not wish.update:
        return f"{wish.name} is here already; --update asks for a newer revision."
    if bits is not None and not (wish.update and on_hub):
        with final.alone():
            return _quantized(wish, bits, full.folder, final)
    return _fetched(wish, full, final, settings)


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and not inventory.missing(folder)


def _fetched(wish: PullOptions, full: ModelFolder, final: ModelFolder, settings: Settings) -> str:
    here = snapshot.read(final.folder)
    hub = _hub(wish.source or (here.source if here is not None else "huggingface"), settings)
    found = snapshot.checked(hub.snapshot(wish.model))
    if here is not None and here.revision == found.revision and _is_whole(final.folder):
        return f"{wish.name} is up to date: revision {found.revision[:12]}."
    with full.alone():
        if wish.bits is None:
            _bring(hub, found, full, bits=None)
            full.take()
            return _done(wish, full.folder)
        keep = full.folder.is_dir()
        _bring(hub, found, full, wish.bits)
        if keep:
            full.take()
        with final.alone():
            told = _quantized(wish, wish.bits, full.folder if keep else full.next, final)
        if not keep:
            shutil.rmtree(full.next)
        return told


def _hub(source: Source, settings: Settings) -> Hub:
    if source == "modelscope":
        return ModelScope(settings.modelscope_endpoint)
    from src.hub.huggingface import HuggingFace  # noqa: PLC0415  # it reads the environment when it is imported

    return HuggingFace()


def _bring(hub: Hub, found: Snapshot, place: ModelFolder, bits: int | None) -> None:
    """All files into the place's next folder: configuration first, so that what it forbids costs no weights."""
    place.next.mkdir(exist_ok=True)
    _prepare(found, place)
    total, left = sum(file.size for file in found.files), download.left(found.files, place.next)
    _require_room(place.next, left + (total * (bits + 1) // 16 if bits is not None else 0))
    sys.stderr.write(f"{found.model}, revision {found.revision[:12]}: {size(total)}, {size(left)} to fetch\n")
    progress = PullProgress(total, total - left, sys.stderr)
    weights = tuple(file for file in found.files if snapshot.is_weights(file.name))
    others = tuple(file for file in found.files if file not in weights)
    with closing(progress):
        download.fetch(hub, found, others, place.next, progress.add)
        if bits is not None:
            _refuse_quantized(found.model, place.next)
        download.fetch(hub, found, weights, place.next, progress.add)
    if lacking := inventory.missing(place.next):
        raise PullError(f"{found.model} is not complete on the hub: {', '.join(lacking)}.", ExitCode.MODEL)


def _prepare(found: Snapshot, place: ModelFolder) -> None:
    """Keep what earlier tries and the revision that is served have in common with this one; nothing else."""
    files = {file.name: file for file in found.files}
    begun = snapshot.read(place.next)
    keep = {download.part(file, place.next).name for file in found.files}
    keep |= {file.name for file in (begun.files if begun else ()) if file.digest and files.get(file.name) == file}
    for path in place.next.iterdir():
        if path.name not in keep:
            path.unlink()
    snapshot.write(place.next, found)
    served = snapshot.read(place.folder)
    for file in served.files if served and _is_whole(place.folder) else ():
        target = place.next / file.name
        if file.digest and files.get(file.name) == file and not target.exists():
            os.link(place.folder / file.name, target)


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed and needed + _SPARE_BYTES > free:
        raise PullError(f"It needs {size(needed + _SPARE_BYTES)} of disk, {size(free)} are free in {folder.parent}.")


def _refuse_quantized(model: str, folder: Path) -> None:
    if has := inventory.quantization(checkpoint.read_config(folder)):
        raise PullError(f"{model} is quantised already ({has}): pull it without --quantize.", ExitCode.MODEL)


def _quantized(wish: PullOptions, bits: int, source: Path, final: ModelFolder) -> str:
    _refuse_quantized(wish.model, source)
    _require_room(source, inventory.describe(wish.model, source).size_bytes * (bits + 1) // 16)
    shutil.rmtree(final.next, ignore_errors=True)
    sys.stderr.write(f"quantising to {bits} bits\n")
    quantize.convert(source, final.next, bits, checkpoint.read_config(source))
    if (record := snapshot.read(source)) is not None:
        snapshot.write(final.next, Snapshot(wish.model, record.source, record.revision, quantized=bits))
    final.take()
    return _done(wish, final.folder)


def _done(wish: PullOptions, folder: Path) -> str:
    return (
        f"{wish.name} is in {folder}. A request names it as its model; "
        f"to make it the default, set DEFAULT_MODEL={wish.name} in .env, then restart."
    )
