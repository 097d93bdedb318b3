"""When background requests run: while the server is otherwise idle, at the hours and on the machine they are meant for,
some at once, never while paused. Pure policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from src.ipc.messages.status import WAIT_REASONS, WaitReason

_GPU_LOOK_S = 300.0  # while its own requests run nobody can tell who else uses the GPU


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
    """The machine at this moment. `minute`: of the day, local time. `gpu_busy`: the GPU's utilisation, where it is at
    BACKGROUND_GPU_WATERMARK or above; None where it is below, unknown, or of no interest."""

    minute: int = 0
    memory_high: bool = False
    on_battery: bool = False
    throttled: bool = False
    gpu_busy: float | None = None
    gpu_watched: bool = False


class Wait(NamedTuple):
    """Why the next one waits, for the metric and for people."""

    reason: WaitReason
    text: str


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
        self._gpu_seen_at = now
        self.paused = False
        self.waited_s = dict.fromkeys(WAIT_REASONS, 0.0)
        self._waits: Wait | None = None
        self._accounted_at = now

    def record_other_load(self, now: float) -> None:
        """Another request runs or waits."""
        self._other_load_at = now

    def may_start(self, now: float) -> bool:
        return self.wait(now) is None

    def wait(self, now: float) -> Wait | None:
        """Why the next one waits; None: it may start."""
        if self.paused:
            return Wait("paused", "paused")
        idle_s = now - self._other_load_at
        if idle_s < self._idle_s or not idle_s:
            return Wait("live_traffic", f"other requests {idle_s:.0f} s ago (BACKGROUND_IDLE_SECONDS)")
        if self._running >= self._most:
            return Wait("full", f"{self._running} run (BACKGROUND_MAX_SEQS)")
        if now - self._finished_at < self._pause_s:
            return Wait("pause", "the pause between two (BACKGROUND_PAUSE_SECONDS)")
        return self._machine_wait(self._conditions(), now)

    def account(self, now: float, *, waiting: bool) -> None:
        """Count the seconds since the last call for what was waited for then; called at every change, and each tick."""
        if self._waits is not None:
            self.waited_s[self._waits.reason] += now - self._accounted_at
        self._accounted_at = now
        self._waits = self.wait(now) if waiting else None

    def started(self, now: float) -> None:
        if not self._running:
            self._gpu_seen_at = now
        self._running += 1

    def finished(self, now: float) -> None:
        self._running -= 1
        self._finished_at = now

    def _machine_wait(self, machine: Conditions, now: float) -> Wait | None:
        if self._hours is not None and not self._hours.contains(machine.minute):
            return Wait("hours", "outside BACKGROUND_HOURS")
        if machine.memory_high:
            return Wait("memory", "memory above the high watermark")
        if machine.on_battery:
            return Wait("battery", "on battery (BACKGROUND_ON_BATTERY)")
        return Wait("heat", "slowed down by heat") if machine.throttled else self._gpu_wait(machine, now)

    def _gpu_wait(self, machine: Conditions, now: float) -> Wait | None:
        if self._running and machine.gpu_watched and now - self._gpu_seen_at >= _GPU_LOOK_S:
            return Wait("gpu", "those that run end first, to see who else uses the GPU (BACKGROUND_GPU_WATERMARK)")
        if self._running or machine.gpu_busy is None:
            return None
        return Wait("gpu", f"the GPU is {machine.gpu_busy:.0%} busy (BACKGROUND_GPU_WATERMARK)")
