"""Bounds what one line of code may log: a loop that fails a thousand times a second fills no disk.

Pure; used by `logs` in every process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_WINDOW_S = 60.0


class Flood:
    """Each place gets `most` records a minute. Called from any thread."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0
        self._seen: dict[tuple[str, int], int] = {}
        self.dropped = 0

    def admits(self, place: tuple[str, int]) -> tuple[bool, int]:
        """Whether this record is written, and how many from its place were left out in the minute before."""
        with self._lock:
            left_out = self._turn(place)
            count = self._seen[place] = self._seen.get(place, 0) + 1
            if count > self._most:
                self.dropped += 1
                return False, 0
            return True, left_out

    def _turn(self, place: tuple[str, int]) -> int:
        """Begin a new minute when it is time: forget who was quiet, owe a word about who was not."""
        window = int(self._clock() / _WINDOW_S)
        if window != self._window:
            self._window = window
            self._seen = {place: self._most - seen for place, seen in self._seen.items() if seen > self._most}
        owed = self._seen.get(place, 0)
        if owed < 0:
            self._seen[place] = 0
        return max(0, -owed)
