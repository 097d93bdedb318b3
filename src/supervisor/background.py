"""When background requests run: while the server is otherwise idle, at the hours and on the machine they are meant for,
some at once, never while paused. Pure policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Hours:
    """A part of each day, in minutes of local time; it may go past midnight. The end is not in it."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Hours | None:
        """Of `22:00-07:00`; None of an empty text, which is all day."""
        if not text:
            return None
        start, end = (int(hours) * 60 + int(minutes) for hours, minutes in (one.split(":") for one in text.split("-")))
        return cls(start, end)

    def contains(self, minute: int) -> bool:
        if self.start <= self.end:
            return self.start <= minute < self.end or self.start == self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True)
class Conditions:
    """The machine at this moment. `minute`: of the day, local time."""

    minute: int = 0
    memory_high: bool = False
    on_battery: bool = False
    throttled: bool = False


class Background:
    """Records other load; decides whether the next background request may start. Seconds on one clock."""

    def __init__(
        self,
        idle_s: float,
        pause_s: float,
        now: float,
        most: int = 1,
        hours: Hours | None = None,
        conditions: Callable[[], Conditions] = Conditions,
    ) -> None:
        self._idle_s = idle_s
        self._most = most
        self._pause_s = pause_s
        self._hours = hours
        self._conditions = conditions
        self._other_load_at = now  # when there was other load last
        self._finished_at = float("-inf")
        self._running = 0
        self.paused = False

    def record_other_load(self, now: float) -> None:
        """Another request runs or waits."""
        self._other_load_at = now

    def may_start(self, now: float) -> bool:
        return self.reason(now) is None

    def reason(self, now: float) -> str | None:
        """Why the next one waits; None: it may start."""
        if self.paused:
            return "paused"
        idle_s = now - self._other_load_at
        if idle_s < self._idle_s:
            return f"other requests {idle_s:.0f} s ago (BACKGROUND_IDLE_SECONDS)"
        if self._running >= self._most:
            return f"{self._running} run (BACKGROUND_MAX_SEQS)"
        if now - self._finished_at < self._pause_s:
            return "the pause between two (BACKGROUND_PAUSE_SECONDS)"
        return self._machine_reason(self._conditions())

    def started(self) -> None:
        self._running += 1

    def finished(self, now: float) -> None:
        self._running -= 1
        self._finished_at = now

    def _machine_reason(self, machine: Conditions) -> str | None:
        if self._hours is not None and not self._hours.contains(machine.minute):
            return "outside BACKGROUND_HOURS"
        if machine.memory_high:
            return "memory above the high watermark"
        if machine.on_battery:
            return "on battery (BACKGROUND_ON_BATTERY)"
        return "slowed down by heat" if machine.throttled else None
