"""A ZIP of a checkpoint as a model in MODELS_DIR: files that a model needs are taken, by checked names."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from src.errors import ExitCode
from src.hub import inventory
from src.hub.place import ModelFolder
from src.hub.snapshot import PullError, wanted
from src.settings import Settings

_MAX_BYTES = 8 << 30  # of all files together, unpacked


def import_file(file: Path, name: str, settings: Settings) -> str:
    """Unpack a file to MODELS_DIR/`name`; returns the message for the user.

    Raises:
        PullError: it is no checkpoint; OSError: the folder cannot be written.
    """
    place = ModelFolder(settings.models_path, name)
    with place.exclusive():
        shutil.rmtree(place.next, ignore_errors=True)
        place.next.mkdir()
        try:
            _unpack(file, place.next)
            if lacking := inventory.missing(place.next):
                raise PullError(f"{file.name} has no whole checkpoint: {', '.join(lacking)}.", ExitCode.MODEL)
            place.activate()
        finally:
            shutil.rmtree(place.next, ignore_errors=True)
    return f"{name} is in {place.folder}. A request names it as its model."


def _unpack(file: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(file) as packed:
            members = [member for member in packed.infolist() if wanted(member.filename)]
            if sum(member.file_size for member in members) > _MAX_BYTES:
                raise PullError(f"{file.name} has more than {_MAX_BYTES >> 30} GB.", ExitCode.MODEL)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(exist_ok=True)
                with packed.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except zipfile.BadZipFile as error:
        raise PullError(f"{file.name} is damaged: {error}", ExitCode.MODEL) from None
