"""Watches this engine's memory, on its I/O thread.

Over the low watermark caches are cleared, over the high one nothing is admitted. That it stays high is for the
supervisor to see (`Health.memory_level`), which replaces the process.
"""

from __future__ import annotations

from collections.abc import Callable

from src import logs
from src.errors import BackendUnavailable
from src.gpu.watermarks import Level, Watermarks, explain, footprint, level
from src.ipc.messages.status import MemoryReading

_RETRY_S = 5.0


class MemoryGuard:
    """One per loaded model. `check` once a second; `admit` for each request."""

    def __init__(self, marks: Watermarks, read: Callable[[], MemoryReading], trim: Callable[[], None]) -> None:
        self._marks = marks
        self._read = read
        self._trim = trim
        self._baseline = footprint(read())
        self.level: Level = "normal"
        self.detail: str | None = None

    def check(self) -> None:
        now = footprint(self._read())
        found = level(now, self._baseline, self._marks)
        if found != "normal":
            self._trim()
        if found != self.level:
            self.level = found
            self.detail = f"memory over the {found} watermark" if found != "normal" else None
            logs.model.warning("memory is {}: {}", found, explain(now, self._baseline, self._marks))

    def admit(self) -> None:
        """Raises BackendUnavailable while memory is over the high watermark."""
        if self.level == "high":
            text = "The engine is over its memory limit (MEMORY_HIGH_WATERMARK) and takes nothing new for the moment."
            raise BackendUnavailable(text, retry_after_s=_RETRY_S)
