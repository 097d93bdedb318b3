"""When background requests run: in times without other load, one after another, never while paused. Pure policy."""

from __future__ import annotations


class Background:
    """Told of everything that runs; asked whether one more background request may begin. Seconds on one clock."""

    def __init__(self, idle_s: float, pause_s: float, now: float) -> None:
        self._idle_s = idle_s
        self._pause_s = pause_s
        self._others_at = now  # when other load was last seen
        self._ended_at = float("-inf")
        self._running = False
        self.paused = False

    def others(self, now: float) -> None:
        """Something else runs or waits."""
        self._others_at = now

    def may_begin(self, now: float) -> bool:
        quiet = now - self._others_at >= self._idle_s and now - self._ended_at >= self._pause_s
        return quiet and not self.paused and not self._running

    def began(self) -> None:
        self._running = True

    def ended(self, now: float) -> None:
        self._running, self._ended_at = False, now
