"""How counters of a child's processes add up, so that they go on when one ends. Gauges are left out. Pure.

The supervisor adds up what has ended (`supervisor/past.py`); the web process adds the running one, for /metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from src.ipc.messages.status import EngineLoad, HistogramReading, OcrLoad, PrefixReading, SpeculationReading

T = TypeVar("T")

_NO_LOAD = EngineLoad(running=0, waiting=0, step_age_s=0.0, steps=0, tokens=0)
_NO_PREFIX = PrefixReading(bytes=0, limit_bytes=0, requests=0, hits=0, tokens=0, saved_tokens=0)
_NO_OCR = OcrLoad(workers=0, busy=0, waiting=0, model_loads=0, pages=0, failures=0, worker_restarts=0)


def add_engine(past: EngineLoad | None, load: EngineLoad | None) -> EngineLoad | None:
    """None while nothing has been counted."""
    if past is None and load is None:
        return None
    past, load = past or _NO_LOAD, load or _NO_LOAD
    both = past.phases.keys() & load.phases.keys()
    return EngineLoad(
        running=0,
        waiting=0,
        step_age_s=0.0,
        steps=past.steps + load.steps,
        tokens=past.tokens + load.tokens,
        answers=past.answers + load.answers,
        preempted=past.preempted + load.preempted,
        prefix=_prefix(past.prefix, load.prefix),
        phases=past.phases | load.phases | {name: _sum(past.phases[name], load.phases[name]) for name in both},
        step_tokens=_both(past.step_tokens, load.step_tokens, _sum),
        speculation=_both(past.speculation, load.speculation, SpeculationReading.__add__),
    )


def add_ocr(past: OcrLoad | None, load: OcrLoad | None) -> OcrLoad | None:
    """None while nothing has been counted."""
    if past is None and load is None:
        return None
    past, load = past or _NO_OCR, load or _NO_OCR
    return OcrLoad(
        workers=0,
        busy=0,
        waiting=0,
        model_loads=past.model_loads + load.model_loads,
        pages=past.pages + load.pages,
        failures=past.failures + load.failures,
        worker_restarts=past.worker_restarts + load.worker_restarts,
        recycled=past.recycled + load.recycled,
        fallbacks=past.fallbacks + load.fallbacks,
    )


def _prefix(past: PrefixReading | None, now: PrefixReading | None) -> PrefixReading | None:
    if past is None and now is None:
        return None
    past, now = past or _NO_PREFIX, now or _NO_PREFIX
    return PrefixReading(
        bytes=0,
        limit_bytes=0,
        requests=past.requests + now.requests,
        hits=past.hits + now.hits,
        tokens=past.tokens + now.tokens,
        saved_tokens=past.saved_tokens + now.saved_tokens,
        disk_tokens=past.disk_tokens + now.disk_tokens,
    )


def _both(past: T | None, now: T | None, add: Callable[[T, T], T]) -> T | None:
    """Their sum; the one that there is, where the other has counted nothing."""
    if past is None or now is None:
        return past if now is None else now
    return add(past, now)


def _sum(past: HistogramReading, now: HistogramReading) -> HistogramReading:
    """Bounds are the program's own; a process that an update has given others begins anew."""
    if past.bounds != now.bounds:
        return now
    counts = tuple(a + b for a, b in zip(past.counts, now.counts, strict=True))
    return HistogramReading(now.bounds, counts, past.total + now.total)
