"""Dev mode: which processes a changed source file affects. Polled once a second by `main.py`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_OWNERS = {"engine": "engine", "ocr": "ocr", "api": "web"}


class Sources:
    """The Python files under a folder, as last seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = self._times()

    def changed(self) -> set[Path]:
        """Files changed, added or removed since the last call, relative to the folder."""
        before, self._seen = self._seen, self._times()
        return {path.relative_to(self._folder) for path, _ in before.items() ^ self._seen.items()}

    def _times(self) -> dict[Path, int]:
        return {path: time for path in self._folder.rglob("*.py") if (time := _mtime(path)) is not None}


def _mtime(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None  # an editor replaces files


def affected_processes(files: Iterable[Path]) -> set[str]:
    """The processes to restart: the owner of the file's folder, or all of them for shared code."""
    return {name for file in files for name in _affected(file.parts[0])}


def _affected(folder: str) -> set[str]:
    if folder in ("supervisor", "commands", "cli.py"):
        return set()  # the supervisor cannot restart itself
    return {_OWNERS[folder]} if folder in _OWNERS else set(_OWNERS.values())
