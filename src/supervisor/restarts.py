"""When a process that exited is started again: pure policy, one `RestartPolicy` per child, used by `child.py`.

The first restarts are immediate, then with exponential backoff; a crash loop opens the circuit breaker, which retries
every BREAKER_RETRY seconds. A stable minute resets all of it.
"""

from __future__ import annotations

import signal
from collections import deque
from dataclasses import dataclass
from typing import Literal

from src.errors import ExitCode
from src.settings import SupervisorSettings

STABLE_S = 60.0  # equals the window of immediate restarts
_FIRST_PAUSE_S = 1.0

Reason = Literal["exit", "signal", "stall", "heartbeat", "probe", "memory", "start", "fault", "gpu", "recycle"]


_REASONS: dict[int, Reason] = {
    ExitCode.ENGINE_FAULT: "fault",
    ExitCode.GPU_FAULT: "gpu",
    ExitCode.NO_MEMORY: "memory",
}


# exit codes that a restart does not fix; the process has logged why
_EXPLAINED = (ExitCode.CONFIG, ExitCode.MODEL)


@dataclass(frozen=True)
class End:
    """How a process ended. `status`: its exit status (negative: a signal); None when the supervisor killed it."""

    reason: Reason
    detail: str
    status: int | None = None


@dataclass(frozen=True)
class Pause:
    """Wait `delay_s` seconds in `state`, then start again."""

    state: Literal["backoff", "failed"]
    delay_s: float
    detail: str


def end_of(status: int, said: str | None) -> End:
    """An exit status as text. `said`: the failure that the process reported before, if any."""
    if status < 0:
        return End("signal", _with(f"killed by {_signal_name(-status)}", said), status)
    if said and status in _EXPLAINED:
        return End("exit", said, status)
    return End(_REASONS.get(status, "exit"), _with(f"exit code {status}{_code_name(status)}", said), status)


def _with(text: str, said: str | None) -> str:
    return f"{said} ({text})" if said else text


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _code_name(status: int) -> str:
    return f" {ExitCode(status).name}" if status in set(ExitCode) else ""


class RestartPolicy:
    """Remembers one child's crashes; `after` is asked once for each end."""

    def __init__(self, settings: SupervisorSettings) -> None:
        self._settings = settings
        self._crashes: deque[float] = deque()
        self._step = 0
        self._open = False

    def after(self, end: End, *, now: float, ready_s: float) -> Pause:
        """Decide. `ready_s`: how long the process had been ready when it ended."""
        if ready_s >= STABLE_S:
            self._step, self._open = 0, False
        self._crashes.append(now)
        while self._crashes[0] <= now - self._settings.crash_window:
            self._crashes.popleft()
        if end.status in _EXPLAINED:
            return self._permanent(end)
        if self._open or len(self._crashes) >= self._settings.crash_limit:
            return self._broken(end)
        return self._backoff(end, now)

    def reset(self) -> None:
        """Someone asked for a restart: start afresh."""
        self._crashes.clear()
        self._step, self._open = 0, False

    def _permanent(self, end: End) -> Pause:
        # Loading the same broken model again will not mend it. But an unattended service should come back when the
        # disk is mounted or the download complete, so it is looked at again at the breaker's pace.
        return Pause("failed", self._settings.breaker_retry, end.detail)

    def _broken(self, end: End) -> Pause:
        self._open = True  # until a stable minute: one more crash is enough to wait BREAKER_RETRY again
        count, window = len(self._crashes), self._settings.crash_window
        detail = f"{end.detail}; {count} crashes within {window:g} s" if count > 1 else end.detail
        return Pause("failed", self._settings.breaker_retry, detail)

    def _backoff(self, end: End, now: float) -> Pause:
        # once pauses have begun they grow until a stable minute, though the window of the free ones moves on
        recent = sum(crash > now - STABLE_S for crash in self._crashes)
        if self._step == 0 and recent <= self._settings.restart_free:
            return Pause("backoff", 0.0, end.detail)
        delay = min(_FIRST_PAUSE_S * 2**self._step, self._settings.restart_backoff_max)
        self._step = min(self._step + 1, 16)
        return Pause("backoff", delay, end.detail)
