"""The status as admins and users are shown it, read once a second however many watch. Web process; for `events`."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from src.api.generation import streaming
from src.api.wire import Wire
from src.ipc.messages.status import HistogramReading, SystemStatus
from src.metrics import Observed

_EVERY_S = 1.0
_UNAVAILABLE = b'event: unavailable\ndata: {"reason": "the supervisor does not answer"}\n\n'


class PartState(Wire, frozen=True):
    name: str
    state: str


class ReducedStatus(Wire, frozen=True):
    """What a user is told: which processes and models there are and how they are; no pids, memory, paths or reasons."""

    version: str
    uptime_s: float
    children: tuple[PartState, ...]
    models: tuple[PartState, ...]
    background_paused: bool


def reduced(status: SystemStatus) -> ReducedStatus:
    """For users' keys."""
    return ReducedStatus(
        status.version,
        status.uptime_s,
        tuple(PartState(child.name, child.state) for child in status.children),
        tuple(PartState(model.name, model.state) for model in status.models),
        status.background_paused,
    )


class Watched(Wire, frozen=True):
    """The supervisor's table, and first-token times since this web process began."""

    status: SystemStatus
    first_token: HistogramReading


class StatusFeed:
    """The latest status as events, one for admins and one for users. One event loop, no locks."""

    def __init__(
        self,
        ask: Callable[[], SystemStatus | None],
        first_token: Callable[[], Observed],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._first_token, self._clock = ask, first_token, clock
        self._asked_at = float("-inf")
        self._events = {True: _UNAVAILABLE, False: _UNAVAILABLE}

    def latest(self, *, admin: bool) -> bytes:
        """Asks when the last answer is older than a second; what others get meanwhile is that answer."""
        if (now := self._clock()) - self._asked_at >= _EVERY_S:
            self._asked_at = now
            self._events = self._read()
        return self._events[admin]

    def _read(self) -> dict[bool, bytes]:
        status = self._ask()
        if status is None:
            return {True: _UNAVAILABLE, False: _UNAVAILABLE}
        whole = msgspec.json.encode(Watched(status, HistogramReading(*self._first_token())))
        return {True: b"data: %s\n\n" % whole, False: streaming.sse(reduced(status))}
