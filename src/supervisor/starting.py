"""Whether a starting process still makes progress: pure policy, one `StartWatch` per start, for `child` and `standby`.

Progress is what the process reports: bytes of weights read, then steps such as warm-up. A process that answers without
progress (an upstream server, the OCR broker) has START_TIMEOUT alone; one that does not answer makes no progress.
"""

from __future__ import annotations

from src.ipc.messages.status import Health
from src.settings import SupervisorSettings


class StartWatch:
    """Updated with every probe from the start on. Seconds on one clock."""

    def __init__(self, settings: SupervisorSettings, started_at: float) -> None:
        self._limit_s = settings.start_stall_timeout
        self._deadline = started_at + settings.start_timeout
        self._start_s = settings.start_timeout
        self._moved_at = started_at
        self._mark = (0, 0)

    def stall_reason(self, health: Health | None, now: float, *, answered: bool) -> str | None:
        """Why the start counts as hung; None while it may still become ready."""
        progress = health.progress if answered and health is not None else None
        mark = (progress.done_bytes, progress.steps) if progress is not None else self._mark
        if mark != self._mark or (answered and progress is None):
            self._mark, self._moved_at = mark, now
        if now >= self._deadline:
            return f"not ready within {self._start_s:g} s"
        if self._limit_s and now - self._moved_at >= self._limit_s:
            return f"no progress for {self._limit_s:g} s while starting ({self._mark[0] >> 20} MiB read)"
        return None
