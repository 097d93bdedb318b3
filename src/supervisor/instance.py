"""The instance file: which service runs in a runtime directory, and where it keeps its data.

The supervisor writes it; the command line reads it, as a shell knows neither a unit's environment nor another's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from src.settings import ROOT, VERSION, Settings

FILE = "instance.json"
_PATHS = ("runtime_dir", "state_dir", "log_dir", "models_dir", "api_keys_file")


class Instance(msgspec.Struct, frozen=True):
    """A running service. Folders are absolute."""

    pid: int
    version: str
    root: str
    host: str
    port: int
    runtime_dir: str
    state_dir: str
    log_dir: str
    models_dir: str
    api_keys_file: str | None

    def applied_to(self, settings: Settings) -> Settings:
        """The settings of a command that is meant for this service."""
        paths = {name: getattr(self, name) for name in _PATHS}
        places = {name: Path(path) if path is not None else None for name, path in paths.items()}
        return settings.model_copy(update={"host": self.host, "port": self.port} | places)


def describe(settings: Settings) -> Instance:
    return Instance(
        pid=os.getpid(),
        version=VERSION,
        root=str(ROOT),
        host=settings.host,
        port=settings.port,
        runtime_dir=str(settings.runtime_path),
        state_dir=str(settings.state_path),
        log_dir=str(settings.log_path),
        models_dir=str(settings.models_path),
        api_keys_file=str(settings.api_keys_path) if settings.api_keys_path else None,
    )


def write(directory: Path, instance: Instance) -> None:
    partial = directory / f"{FILE}.new"
    partial.write_bytes(msgspec.json.encode(instance))
    partial.rename(directory / FILE)


def remove(directory: Path) -> None:
    """Also where the directory itself has gone, or something else stands in its place."""
    with suppress(OSError):
        (directory / FILE).unlink()


def find(directories: Iterable[Path]) -> Instance | None:
    """The first of these directories' services that runs.

    Raises:
        PermissionError: a directory exists that this user may not enter; its `filename` is the path.
    """
    return next(filter(None, map(_read, directories)), None)


def _read(directory: Path) -> Instance | None:
    try:
        instance = msgspec.json.decode((directory / FILE).read_bytes(), type=Instance)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    return instance if psutil.pid_exists(instance.pid) else None
