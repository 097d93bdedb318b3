"""Counters of ended processes and of the running one add up; gauges are not among them."""

from __future__ import annotations

import msgspec

from src.ipc.messages.counts import add_engine, add_ocr
from src.ipc.messages.status import EngineLoad, HistogramReading, OcrLoad, PrefixReading, SpeculationReading

OLD = EngineLoad(
    3,
    4,
    1.5,
    steps=10,
    tokens=20,
    answers=2,
    preempted=1,
    prefix=PrefixReading(1000, 2000, requests=5, hits=2, tokens=50, saved_tokens=20, disk_tokens=7),
    phases={"decode": HistogramReading((0.1,), (3, 1), 0.5), "prefill": HistogramReading((0.1,), (1, 0), 0.1)},
    speculation=SpeculationReading(1, 2, 1),
)
NEW = EngineLoad(
    1,
    0,
    0.0,
    steps=1,
    tokens=2,
    answers=1,
    prefix=PrefixReading(10, 2000, requests=1, hits=1, tokens=9, saved_tokens=8),
    phases={"decode": HistogramReading((0.1,), (1, 1), 0.4)},
    step_tokens=HistogramReading((8.0,), (1, 0), 4.0),
)


def test_an_engines_counters_add_up() -> None:
    """What only one of them has is that one's."""
    assert add_engine(OLD, NEW) == EngineLoad(
        0,
        0,
        0.0,
        steps=11,
        tokens=22,
        answers=3,
        preempted=1,
        prefix=PrefixReading(0, 0, requests=6, hits=3, tokens=59, saved_tokens=28, disk_tokens=7),
        phases={"decode": HistogramReading((0.1,), (4, 2), 0.9), "prefill": HistogramReading((0.1,), (1, 0), 0.1)},
        step_tokens=HistogramReading((8.0,), (1, 0), 4.0),
        speculation=SpeculationReading(1, 2, 1),
    )


def test_other_bounds_begin_anew() -> None:
    """Of a process that an update has changed: the supervisor, which runs on, must not fall over them."""
    changed = HistogramReading((8.0, 16.0), (1, 2, 0), 5.0)
    total = add_engine(NEW, msgspec.structs.replace(NEW, step_tokens=changed))
    assert total is not None
    assert (total.step_tokens, total.steps) == (changed, 2)


def test_one_alone_is_left_without_its_gauges() -> None:
    assert add_engine(None, NEW) == add_engine(NEW, None)
    assert add_engine(None, None) is None
    assert add_ocr(None, None) is None


def test_a_brokers_counters_add_up() -> None:
    old = OcrLoad(2, 1, 5, model_loads=2, pages=10, failures=1, worker_restarts=3, jobs=4, recycled=1, fallbacks=2)
    new = OcrLoad(2, 2, 0, model_loads=1, pages=5, failures=0, worker_restarts=0)
    total = OcrLoad(0, 0, 0, model_loads=3, pages=15, failures=1, worker_restarts=3, recycled=1, fallbacks=2)
    assert add_ocr(old, new) == total
