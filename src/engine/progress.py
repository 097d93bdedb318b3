"""How far the loading of a model is: written by the owner thread, read by the I/O thread for pings."""

from __future__ import annotations

import time
from collections.abc import Callable

from src.ipc.messages.status import LoadProgress


class LoadMeter:
    """Bytes of weights that are in memory, of how many, since when; and steps of the work beside."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._total = self._done = self._steps = 0

    def begin(self, total_bytes: int) -> None:
        self._total, self._done, self._began = total_bytes, 0, self._clock()

    def add(self, count: int) -> None:
        self._done += count

    def step(self) -> None:
        """Something other than reading is done: the start goes on."""
        self._steps += 1

    def reading(self) -> LoadProgress:
        return LoadProgress(min(self._done, self._total), self._total, self._clock() - self._began, self._steps)
