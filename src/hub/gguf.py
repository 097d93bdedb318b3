"""`run.py import FILE.gguf`: a GGUF file as a model in MODELS_DIR, converted for MLX in a separate process."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from src import catalog
from src.errors import ExitCode
from src.hub.place import ModelFolder
from src.hub.quantize import run_converter
from src.hub.snapshot import PullError
from src.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def run(file: Path, name: str | None, settings: Settings) -> ExitCode:
    """Run the command."""
    try:
        message = import_file(file, name or file.stem, settings)
    except PullError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except OSError as error:
        sys.stderr.write(f"{error.filename or settings.models_path}: {error.strerror or error}\n")
        return ExitCode.FAILURE
    sys.stdout.write(f"{message}\n")
    return ExitCode.OK


def import_file(file: Path, name: str, settings: Settings, sampling: Mapping[str, float] | None = None) -> str:
    """Convert a file to MODELS_DIR/`name`; returns the message for the user. `sampling`: its makers' parameters.

    Raises:
        PullError: it cannot be converted, with the reason; OSError: the folder cannot be written.
    """
    if not file.is_file():
        raise PullError(f"There is no file {file}.", ExitCode.MODEL)
    if not _NAME.fullmatch(name):
        raise PullError(f"{name!r} is no name for a model: NAME or OWNER/NAME. Choose one with --name.", ExitCode.MODEL)
    place = ModelFolder(settings.models_path, name)
    with place.exclusive():
        shutil.rmtree(place.next, ignore_errors=True)
        place.next.mkdir()
        try:
            summary = _convert(catalog.gguf_pieces(file), place.next)
            if sampling is not None:
                (place.next / "generation_config.json").write_text(json.dumps(dict(sampling)), encoding="utf-8")
            place.activate()
        finally:
            shutil.rmtree(place.next, ignore_errors=True)
    return f"{name} is in {place.folder}: {summary}. A request names it as its model."


def _convert(files: list[Path], folder: Path) -> str:
    argv = [sys.executable, "-m", "src.engine.mlx.gguf.checkpoint", *map(str, files), str(folder)]
    done = run_converter(argv)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"the converter ended with {done.returncode}"])[-1]
        raise PullError(last, ExitCode.MODEL)
    return done.stdout.strip().splitlines()[-1]
