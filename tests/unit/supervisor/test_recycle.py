"""When an engine is worn: by what it has made, or by memory that does not come back."""

from __future__ import annotations

import msgspec
import pytest

from src.ipc.messages.status import DeviceReading, EngineLoad, Health, MemoryReading
from src.settings import SupervisorSettings
from src.supervisor.recycle import RecyclePolicy
from tests.unit.supervisor.fakes import health

_MB = 1 << 20


def wear(**limits: int) -> RecyclePolicy:
    return RecyclePolicy(SupervisorSettings.model_validate(limits))


def reading(tokens: int = 0, answers: int = 0, footprint_mb: int = 1000) -> Health:
    load = EngineLoad(running=0, waiting=0, step_age_s=0, steps=0, tokens=tokens, answers=answers)
    return msgspec.structs.replace(health(load=load), memory=MemoryReading(1, footprint_bytes=footprint_mb * _MB))


def test_nothing_wears_it_unless_asked() -> None:
    """All limits are off by default."""
    assert wear().why(reading(10**12, 10**12, 10**6), now=1e9) is None


@pytest.mark.parametrize(
    ("limit", "worn", "said"),
    [
        ({"engine_max_tokens": 100}, {"tokens": 100}, "100 tokens (ENGINE_MAX_TOKENS)"),
        ({"engine_max_requests": 10}, {"answers": 10}, "10 answers (ENGINE_MAX_REQUESTS)"),
    ],
)
def test_what_it_made_wears_it(limit: dict[str, int], worn: dict[str, int], said: str) -> None:
    """At the limit, not before."""
    asked = wear(**limit)
    (name, value), *_ = worn.items()
    assert asked.why(reading(**{name: value - 1}), now=0) is None
    assert asked.why(reading(**worn), now=1) == said


def test_what_has_left_the_device_is_not_renewed() -> None:
    """Its successor would take the device, where nobody asks for it."""
    away = msgspec.structs.replace(reading(tokens=100), location="cpu")
    assert wear(engine_max_tokens=1).why(away, now=0) is None


def test_memory_that_stays_wears_it() -> None:
    """The least of a minute counts: what running requests take, and give back, does not."""
    asked = wear(engine_max_growth_mb=200)
    peaks = [asked.why(reading(footprint_mb=1000 if now % 30 == 0 else 1900), now) for now in range(300)]
    assert set(peaks) == {None}
    stays = [asked.why(reading(footprint_mb=1000 + now), now) for now in range(300, 600)]
    assert set(stays[:60]) == {None}
    assert stays[60] == "300 MiB more than when loaded (ENGINE_MAX_GROWTH_MB)"


def test_one_that_could_not_be_renewed_is_left_in_peace() -> None:
    """Until the time given."""
    asked = wear(engine_max_tokens=1)
    asked.wait(100)
    assert asked.why(reading(tokens=5), now=99) is None
    assert asked.why(reading(tokens=5), now=100)


def test_two_need_room() -> None:
    """What one took when it was loaded must be free, and on a CUDA device twice that must be there."""
    asked = wear()
    asked.why(reading(footprint_mb=1000), now=0)
    assert asked.both_fit(reading(), 1200 * _MB)
    assert not asked.both_fit(reading(), 1000 * _MB)
    on_cuda = msgspec.structs.replace(reading(), device=DeviceReading("cuda", memory_total_bytes=1900 * _MB))
    assert not asked.both_fit(on_cuda, 9000 * _MB)
