"""When background requests run: while the server is otherwise idle, some at once, never while paused. Pure policy."""

from __future__ import annotations


class Background:
    """Records other load; decides whether the next background request may start. Seconds on one clock."""

    def __init__(self, idle_s: float, pause_s: float, now: float, most: int = 1) -> None:
        self._idle_s = idle_s
        self._most = most
        self._pause_s = pause_s
        self._other_load_at = now  # when there was other load last
        self._finished_at = float("-inf")
        self._running = 0
        self.paused = False

    def record_other_load(self, now: float) -> None:
        """Another request runs or waits."""
        self._other_load_at = now

    def may_start(self, now: float) -> bool:
        idle = now - self._other_load_at >= self._idle_s and now - self._finished_at >= self._pause_s
        return idle and not self.paused and self._running < self._most

    def started(self) -> None:
        self._running += 1

    def finished(self, now: float) -> None:
        self._running -= 1
        self._finished_at = now
