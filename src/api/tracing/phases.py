"""A request's phases at an engine, from the moments that were seen here and the durations the engine tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from src.ipc.messages.chat import Timings


@dataclass(frozen=True)
class Phase:
    """Moments are seconds of one clock."""

    name: str
    began: float
    ended: float


@dataclass
class Moments:
    """When what happened. `connected` and `detached`: once for each engine that had it."""

    began: float
    connected: list[float] = field(default_factory=list)
    detached: list[float] = field(default_factory=list)
    first_token: float | None = None


def phases(moments: Moments, ended: float, timings: Timings | None) -> Iterator[Phase]:
    """Lease, resumes, queue, prefill, first token and decode, as far as it came.

    The engine's clock is not ours: its durations begin where the last engine was given the request, and end in time.
    """
    yield Phase("lease", moments.began, moments.connected[0] if moments.connected else ended)
    for at, detached in enumerate(moments.detached):
        again = moments.connected[at + 1] if at + 1 < len(moments.connected) else ended
        yield Phase("resume", detached, again)
    if timings is not None and moments.connected:
        queued = min(moments.connected[-1] + timings.queue_s, ended)
        yield Phase("queue", moments.connected[-1], queued)
        yield Phase("prefill", queued, min(queued + timings.prefill_s, ended))
    if moments.first_token is not None:
        yield Phase("first_token", moments.began, moments.first_token)
        yield Phase("decode", moments.first_token, ended)
