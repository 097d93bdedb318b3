"""The installed systemd unit, read by the command line: the settings of a service that may not be running."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from src.settings import Settings

PATH = Path("/etc/systemd/system/stoker.service")


@dataclass(frozen=True)
class Unit:
    """What it sets. As in systemd, its environment files count more than its own lines."""

    values: dict[str, str]
    files: tuple[Path, ...]

    def describes(self, settings: Settings) -> bool:
        return self.values.get("RUNTIME_DIR") == str(settings.runtime_path)


def installed(path: Path = PATH) -> Unit | None:
    """The unit, or None.

    Raises:
        OSError: it, or one of its environment files, may not be read by this user.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return parse(text)


def parse(text: str) -> Unit:
    lines = [line.partition("=") for line in map(str.strip, text.splitlines())]
    words = [word for key, _, value in lines if key == "Environment" for word in shlex.split(value)]
    own = {key: value for key, found, value in (word.partition("=") for word in words) if found}
    files = tuple(Path(value.removeprefix("-")) for key, _, value in lines if key == "EnvironmentFile")
    existing = [file for file in files if file.exists()]
    read = {key: value for file in existing for key, value in dotenv_values(file).items() if value is not None}
    return Unit(own | read, files)
