"""When an engine is due for recycling: by tokens, by requests, or by memory growth."""

from __future__ import annotations

import msgspec
import pytest

from src.ipc.messages.status import DeviceReading, EngineLoad, Health, MemoryReading
from src.settings import SupervisorSettings
from src.supervisor.recycle import RecyclePolicy
from tests.unit.supervisor.fakes import health

_MB = 1 << 20


def policy(**limits: int) -> RecyclePolicy:
    return RecyclePolicy(SupervisorSettings.model_validate(limits))


def reading(tokens: int = 0, answers: int = 0, footprint_mb: int = 1000) -> Health:
    load = EngineLoad(running=0, waiting=0, step_age_s=0, steps=0, tokens=tokens, answers=answers)
    return msgspec.structs.replace(health(load=load), memory=MemoryReading(1, footprint_bytes=footprint_mb * _MB))


def test_recycling_is_off_by_default() -> None:
    """All limits are off by default."""
    assert policy().why(reading(10**12, 10**12, 10**6), now=1e9) is None


@pytest.mark.parametrize(
    ("limit", "produced", "said"),
    [
        ({"engine_max_tokens": 100}, {"tokens": 100}, "100 tokens (ENGINE_MAX_TOKENS)"),
        ({"engine_max_requests": 10}, {"answers": 10}, "10 answers (ENGINE_MAX_REQUESTS)"),
    ],
)
def test_token_and_request_limits(limit: dict[str, int], produced: dict[str, int], said: str) -> None:
    """At the limit, not before."""
    recycling = policy(**limit)
    (name, value), *_ = produced.items()
    assert recycling.why(reading(**{name: value - 1}), now=0) is None
    assert recycling.why(reading(**produced), now=1) == said


def test_an_offloaded_model_is_not_recycled() -> None:
    """A standby would load it on the device without a request."""
    away = msgspec.structs.replace(reading(tokens=100), location="cpu")
    assert policy(engine_max_tokens=1).why(away, now=0) is None


def test_lasting_memory_growth_is_due_for_recycle() -> None:
    """The minimum of a minute counts: memory of running requests does not."""
    recycling = policy(engine_max_growth_mb=200)
    peaks = [recycling.why(reading(footprint_mb=1000 if now % 30 == 0 else 1900), now) for now in range(300)]
    assert set(peaks) == {None}
    stays = [recycling.why(reading(footprint_mb=1000 + now), now) for now in range(300, 600)]
    assert set(stays[:60]) == {None}
    assert stays[60] == "300 MiB more than when loaded (ENGINE_MAX_GROWTH_MB)"


def test_a_failed_recycle_is_postponed() -> None:
    """Until the time given."""
    recycling = policy(engine_max_tokens=1)
    recycling.wait(100)
    assert recycling.why(reading(tokens=5), now=99) is None
    assert recycling.why(reading(tokens=5), now=100)


def test_a_standby_needs_memory() -> None:
    """Its loaded footprint must be available in host memory, and twice that on a CUDA device."""
    recycling = policy()
    recycling.why(reading(footprint_mb=1000), now=0)
    assert recycling.both_fit(reading(), 1200 * _MB)
    assert not recycling.both_fit(reading(), 1000 * _MB)
    on_cuda = msgspec.structs.replace(reading(), device=DeviceReading("cuda", memory_total_bytes=1900 * _MB))
    assert not recycling.both_fit(on_cuda, 9000 * _MB)
