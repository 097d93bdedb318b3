"""Which weights answer under a model's name: part of the key of every kept answer. Web process; used by `cache`.

A local folder is told by its files as they were when the running engine was first seen: an engine goes on with the
weights it loaded, whatever is written to the disk meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from src.api.backends import Backends
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
        self._pid: int | None = None
        self._known: dict[tuple[str, int], str] = {}

    def __call__(self, model: str) -> str | None:
        if model not in self._backends.models:
            return None
        if self._clock() - self._asked_at >= _MEMO_S:
            self._pid, self._asked_at = self._engine(), self._clock()
        if self._pid is None:
            return None
        key = (model, self._pid)
        if key not in self._known:
            self._known = {key: self._read(model)}
        return self._known[key]

    def _engine(self) -> int | None:
        status = self._backends.status()
        engine = status.child("engine") if status is not None else None
        return engine.pid if engine is not None and engine.state == "ready" else None

    def _read(self, model: str) -> str:
        places = (self._settings.models_path / model, Path(model))
        folder = next((place for place in places if place.is_dir()), None)
        files = [] if folder is None else sorted(file for pattern in _FILES for file in folder.glob(pattern))
        facts = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
        return "\n".join([VERSION, self._backends.engine_name(), model, *facts])
