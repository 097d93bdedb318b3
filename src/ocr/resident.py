"""The worker's recognizer, kept by the process's model manager: on its device for each page, off it when nobody comes.

Everything happens on the worker's one thread, which MLX wants; so the manager's monitor is off, and `worker` looks for
idleness between pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from src import logs
from src.gpu import ModelManager
from src.ocr.reading import Pixels, Reading
from src.ocr.recognizers import BatchRecognizer, Recognizer

_MODEL = "ocr"


class Resident:
    """A recognizer that may have to come back before it reads. Loads it at once; `idle_timeout` 0 keeps it there."""

    def __init__(self, load: Callable[[], Recognizer], manager: ModelManager, idle_timeout: float) -> None:
        self._load = load
        self._manager = manager
        manager.register_model(_MODEL, idle_timeout=idle_timeout)
        loaded = manager.get_model(load, _MODEL)
        self.name = loaded.name
        self.languages = loaded.languages
        self.at_once = loaded.at_once if isinstance(loaded, BatchRecognizer) else 1

    def idle(self) -> None:
        """Nobody sends a page: it may be time to free the device."""
        if self._manager.move_idle():
            logs.model.info("{} has left the device: no page came", self.name)

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        with self._manager.use(self._load, _MODEL) as recognizer:
            return recognizer.read(page, language)

    def read_many(self, pages: Sequence[Pixels]) -> list[Reading]:
        """Only where `at_once` is more than 1."""
        with self._manager.use(self._load, _MODEL) as recognizer:
            if isinstance(recognizer, BatchRecognizer):
                return recognizer.read_many(pages)
            return [recognizer.read(page) for page in pages]
