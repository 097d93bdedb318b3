"""The worker's recognizer under the model manager: on the device for each page, offloaded when idle.

Everything runs on the worker's only thread, as MLX requires; so the manager's monitor is off, and `worker` checks for
idleness between pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from src import logs
from src.gpu import ModelManager
from src.ocr.reading import BatchRecognizer, Pixels, Reading, Recognizer

_MODEL = "ocr"


class ResidentRecognizer:
    """A recognizer that is restored to the device before it reads. `idle_timeout` 0: never offloaded."""

    def __init__(self, load: Callable[[], Recognizer], manager: ModelManager, idle_timeout: float) -> None:
        self._load = load
        self._manager = manager
        manager.register_model(_MODEL, idle_timeout=idle_timeout)
        loaded = manager.get_model(load, _MODEL)
        self.name = loaded.name
        self.languages = loaded.languages
        self.at_once = loaded.at_once if isinstance(loaded, BatchRecognizer) else 1

    def idle(self) -> None:
        """No page is waiting: offload if the idle timeout has passed."""
        if self._manager.move_idle():
            logs.model.info("{} offloaded after its idle timeout", self.name)

    def read(self, page: Pixels, language: str | None = None) -> Reading:
        with self._manager.use(self._load, _MODEL) as recognizer:
            return recognizer.read(page, language)

    def read_many(self, pages: Sequence[Pixels]) -> list[Reading]:
        """Only where `at_once` is more than 1."""
        with self._manager.use(self._load, _MODEL) as recognizer:
            if isinstance(recognizer, BatchRecognizer):
                return recognizer.read_many(pages)
            return [recognizer.read(page) for page in pages]
