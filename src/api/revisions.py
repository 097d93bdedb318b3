"""Which weights answer under a model's name: part of the key of every kept answer. Web process; used by `cache`.

A local folder is told by its files as they were when the running engine was first seen: an engine goes on with the
weights it loaded, whatever is written to the disk meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from src.api.backends import Backends
from src.catalog import gguf_files
from src.settings import VERSION, Settings

_MEMO_S = 1.0
_FILES = ("*.safetensors", "*.json", "*.jinja", "*.gguf")


class Revisions:
    """Callable: a model's name → its revision; None while no engine tells."""

    def __init__(self, settings: Settings, backends: Backends, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._backends = backends
        self._clock = clock
        self._asked_at = float("-inf")
        self._pids: dict[str, int] = {}
        self._known: dict[str, tuple[int, str]] = {}

    def __call__(self, model: str) -> str | None:
        if model not in self._backends.models:
            return None
        if self._clock() - self._asked_at >= _MEMO_S:
            self._pids, self._asked_at = self._engines(), self._clock()
        pid = self._pids.get(model)
        if pid is None:
            return None
        if model not in self._known or self._known[model][0] != pid:
            self._known[model] = pid, self._read(model)
        return self._known[model][1]

    def _engines(self) -> dict[str, int]:
        """Pids of the engines that are ready, by model."""
        status = self._backends.status()
        pairs = [] if status is None else [(model.name, status.child(model.child)) for model in status.models]
        return {name: child.pid for name, child in pairs if child is not None and child.pid and child.state == "ready"}

    def _read(self, model: str) -> str:
        places = (self._settings.models_path / model, Path(model))
        folder = next((place for place in places if place.is_dir()), None)
        files = [] if folder is None else sorted(file for pattern in _FILES for file in folder.glob(pattern))
        files += gguf_files(model, self._settings.models_path)
        facts = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
        return "\n".join([VERSION, self._backends.engine_name(model), model, *facts])
