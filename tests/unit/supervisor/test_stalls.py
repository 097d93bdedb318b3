"""When an engine counts as hung: by what its step should take, and what a silent process has done meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from src.ipc.messages.status import EngineLoad, Health
from src.settings import SupervisorSettings
from src.supervisor.launcher import Activity
from src.supervisor.stalls import is_halted, silence_limit_s, stall_reason
from tests.unit.supervisor import virtual
from tests.unit.supervisor.fakes import busy, health
from tests.unit.supervisor.test_child import Life, in_virtual_time, ready

LIMITS = SupervisorSettings(engine_stall_min=3, engine_stall_timeout=60)


def load(step_age_s: float, expected_s: float | None, *, running: int = 1, in_step: bool = True) -> EngineLoad:
    return EngineLoad(running, 0, step_age_s, steps=1, tokens=1, expected_s=expected_s, in_step=in_step)


@pytest.mark.parametrize(
    ("expected_s", "limit_s"),
    [(0.01, 3.0), (0.15, 3.0), (0.5, 10.0), (2.0, 40.0), (3.0, 60.0), (30.0, 60.0), (None, 60.0)],
)
def test_a_step_has_twenty_times_what_it_should_take(expected_s: float | None, limit_s: float) -> None:
    """At least ENGINE_STALL_MIN, at most ENGINE_STALL_TIMEOUT, which rules while nothing is known."""
    assert stall_reason(load(limit_s, expected_s), LIMITS) is None
    assert stall_reason(load(limit_s + 0.1, expected_s), LIMITS) is not None


def test_what_is_no_step_has_the_ceiling() -> None:
    """Weights that move, a prefix read from disk, a wait for the device: nothing says what they take."""
    assert stall_reason(load(59, 0.01, in_step=False), LIMITS) is None
    assert stall_reason(load(61, 0.01, in_step=False), LIMITS) is not None
    assert stall_reason(load(99, 0.01, running=0), LIMITS) is None


def test_the_reason_says_what_was_expected() -> None:
    """For the log, and `run.py status`."""
    assert stall_reason(load(3.5, 0.02), LIMITS) == "no step for 3.5 s, 0.02 s were expected (1 running, 0 waiting)"


@pytest.mark.parametrize(
    ("said", "limit_s"),
    [(busy(0.0, 0.01), 3.0), (busy(0.0, 1.0), 20.0), (busy(0.0, None), None), (health(), None), (None, None)],
)
def test_only_a_busy_engines_silence_is_looked_at_early(said: Health | None, limit_s: float | None) -> None:
    """An idle one, and one whose steps are unknown, has HEARTBEAT_TIMEOUT."""
    assert silence_limit_s(said, LIMITS) == limit_s


@pytest.mark.parametrize(
    ("before", "now", "halted"),
    [
        (Activity(10.0), Activity(10.0, stopped=True), True),
        (Activity(10.0), Activity(10.0), True),  # its threads wait for each other
        (Activity(10.0), Activity(10.4), False),  # it gets little of a busy machine
        (Activity(10.0), Activity(10.0, waits_for_disk=True), False),  # it is swapped in
        (Activity(10.0), None, False),
        (None, Activity(10.0), False),
    ],
)
def test_a_silent_process_that_runs_is_not_halted(
    before: Activity | None, now: Activity | None, *, halted: bool
) -> None:
    """A machine under load, or short of memory, raises no alarm."""
    assert is_halted(before, now, 3.0) is halted


@in_virtual_time
async def test_a_stopped_engine_is_found_within_four_seconds() -> None:
    """By the defaults, when it was busy; SIGKILL comes at once, for a stopped process dumps no stacks."""
    life = Life(ready, heartbeat_interval=1)
    await life.until("ready")
    life.process.said, life.process.active = busy(0.0, 0.02), Activity(5.0)
    await asyncio.sleep(5)
    at, stopped = life.loop.time(), life.process
    stopped.hangs, stopped.active = True, Activity(5.0, stopped=True)
    assert await life.replaced() - at <= 4
    assert [what for _, what in stopped.signals][:2] == ["SIGABRT", "SIGKILL group"]
    assert life.child.status().restarts == {"stall": 1}
    await life.end()


@in_virtual_time
async def test_a_short_stop_is_no_hang() -> None:
    """A debugger's SIGSTOP of two seconds."""
    life = Life(ready, heartbeat_interval=1)
    await life.until("ready")
    life.process.said, life.process.active = busy(0.0, 0.02), Activity(5.0)
    for _ in range(5):
        await asyncio.sleep(5)
        life.process.hangs, life.process.active = True, Activity(5.0, stopped=True)
        await asyncio.sleep(1.9)
        life.process.hangs, life.process.active = False, Activity(5.0)
        life.process.said = busy(0.0, 0.02)
    assert life.child.status().restarts == {}
    await life.end()


@pytest.mark.parametrize("cpu_share", [0.05, 0.9])
def test_a_starved_engine_has_the_heartbeats_timeout(cpu_share: float) -> None:
    """It answers nothing, but runs now and then."""

    async def scenario() -> None:
        life = Life(ready, heartbeat_interval=1)
        await life.until("ready")
        life.process.said, life.process.active = busy(0.0, 0.02), Activity(0.0)
        await asyncio.sleep(5)
        at, starved = life.loop.time(), life.process
        starved.hangs = True
        for tenth in range(80):
            starved.active = Activity(tenth / 10 * cpu_share)
            await asyncio.sleep(0.1)
        assert life.child.status().restarts == {}
        assert 10 <= await life.replaced() - at <= 13
        assert life.child.status().restarts == {"heartbeat": 1}
        await life.end()

    virtual.run(scenario())
