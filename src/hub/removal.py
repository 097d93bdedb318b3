"""`run.py models rm NAME`: deletes a local model, with what was begun of its next revision."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from src import catalog
from src.errors import ExitCode
from src.hub.place import ModelFolder
from src.hub.snapshot import PullError
from src.ipc import client, runtime
from src.ipc.messages.control import StatusRequest
from src.ipc.messages.status import SystemStatus
from src.settings import Settings
from src.supervisor.table import size

_STATUS_S = 5.0
_FREE = ("unloaded", "failed")  # nothing holds its files


def run(name: str, settings: Settings) -> ExitCode:
    """Run the command."""
    try:
        message = remove(name, settings)
    except PullError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except OSError as error:
        sys.stderr.write(f"{error.filename or settings.models_path}: {error.strerror or error}\n")
        return ExitCode.FAILURE
    sys.stdout.write(f"{message}\n")
    return ExitCode.OK


def remove(name: str, settings: Settings) -> str:
    """Delete it; returns the message for the user.

    Raises:
        PullError: there is no such model in MODELS_DIR, or the running service has it loaded; OSError.
    """
    places = _places(name, settings.models_path)
    if not places:
        raise PullError(f"There is no model {name!r} in {settings.models_path}.", ExitCode.MODEL)
    if (location := _loaded(name, settings)) is not None:
        text = f"The running service has {name} loaded ({location}). Unload it first: POST /v1/models/unload."
        raise PullError(text)
    freed = sum(file.stat().st_size for place in places for file in (place, *place.rglob("*")) if file.is_file())
    with ModelFolder(settings.models_path, name).exclusive():
        for place in places:
            _delete(place)
    _remove_empty(settings.models_path, name)
    default = " It is DEFAULT_MODEL: set another one." if name == settings.default_model else ""
    return f"{name} is deleted; {size(freed)} are free again.{default}"


def _places(name: str, models_path: Path) -> list[Path]:
    """Its folders and files in MODELS_DIR, the served ones and those of an interrupted download; never outside it."""
    if Path(name).is_absolute() or ".." in Path(name).parts or not catalog.is_name(name) or name.startswith("."):
        return []
    folder = ModelFolder(models_path, name)
    files = catalog.gguf_files(name, models_path) if not (folder.folder / "config.json").is_file() else []
    inside = [file for file in files if file.is_relative_to(models_path)]
    found = [folder.folder] if (folder.folder / "config.json").is_file() else []
    found += [piece for file in inside for piece in catalog.gguf_pieces(file)]
    return found + ([folder.next] if folder.next.is_dir() else [])


def _delete(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()


def _remove_empty(models_path: Path, name: str) -> None:
    """The owner's folder, if this was its last model."""
    for folder in (models_path / name, (models_path / name).parent):
        if folder != models_path and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _loaded(name: str, settings: Settings) -> str | None:
    """Where the running service has it; None when it does not, or none runs."""
    try:
        answer = client.ask(runtime.control_socket(settings.runtime_path), StatusRequest(), _STATUS_S)
    except client.Unanswered:
        return None
    entries = answer.models if isinstance(answer, SystemStatus) else ()
    return next((model.state for model in entries if model.name == name and model.state not in _FREE), None)
