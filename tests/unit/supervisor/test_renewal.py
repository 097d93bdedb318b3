"""Recycling: the standby is ready before the old process drains. Fake processes, virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from src.ipc.messages.status import EngineLoad, Health
from tests.unit.supervisor.fakes import SPEC, FakeProcess, health
from tests.unit.supervisor.test_child import Life, in_virtual_time


def made(tokens: int, running: int = 1) -> Health:
    return health(load=EngineLoad(running, waiting=0, step_age_s=0.0, steps=tokens, tokens=tokens, answers=1))


def second(process: Callable[[int], FakeProcess]) -> Callable[[int], FakeProcess]:
    """The first process is due for recycling; the others are made by `process`."""
    return lambda pid: FakeProcess(pid, made(100)) if pid == 1 else process(pid)


def fresh(pid: int) -> FakeProcess:
    return FakeProcess(pid, made(0))


@in_virtual_time
async def test_the_standby_is_ready_before_the_old_process_drains() -> None:
    """It starts beside the old socket, takes over atomically, and only then the old process drains."""
    life = Life(second(lambda pid: FakeProcess(pid, health("loading"))), engine_max_tokens=100)
    await life.until("ready")
    await asyncio.sleep(5)
    old, new = life.world.processes
    assert life.world.specs[1].argv == (*SPEC.argv, "--beside")
    assert (life.child.status().pid, life.world.taken_over, old.signals) == (1, 0, [])
    new.said = made(0)
    await asyncio.sleep(2)
    assert (life.child.status().pid, life.world.taken_over) == (2, 1)
    assert [what for _, what in old.signals] == ["SIGUSR1"]
    assert set(life.states[1:]) == {"ready"}
    assert life.child.status().restarts == {"recycle": 1}
    old.exit(0)
    await asyncio.sleep(120)
    assert len(life.world.processes) == 2
    await life.end()


@in_virtual_time
async def test_the_drain_timeout_sends_sigterm() -> None:
    """ENGINE_DRAIN_TIMEOUT after the takeover: SIGTERM, and its last requests are handed over."""
    life = Life(second(fresh), engine_max_tokens=100, engine_drain_timeout=20)
    await life.until("ready")
    await asyncio.sleep(30)
    old = life.world.processes[0]
    (told, first), (ended, then), *_ = old.signals
    assert (first, then) == ("SIGUSR1", "SIGTERM")
    assert ended - told == pytest.approx(20)
    assert life.child.state == "ready"
    await life.end()


@in_virtual_time
async def test_without_memory_for_two_the_old_process_stops_first() -> None:
    """Requests wait and resume in the next process; no crash is counted, no backoff."""
    life = Life(second(fresh), engine_max_tokens=100)
    life.world.free = 0
    await life.until("ready")
    await asyncio.sleep(5)
    assert [what for _, what in life.world.processes[0].signals][:1] == ["SIGTERM"]
    assert life.world.specs[1] == SPEC
    assert life.states == ["starting", "ready", "stopping", "starting", "ready"]
    assert life.child.status().restarts == {"recycle": 1}
    await life.end()


@in_virtual_time
async def test_a_failed_standby_leaves_the_old_process_running() -> None:
    """The old process keeps running; the next attempt comes after BREAKER_RETRY."""

    def dead(pid: int) -> FakeProcess:
        process = fresh(pid)
        process.exit(3)
        return process

    life = Life(second(dead), engine_max_tokens=100, breaker_retry=300)
    await life.until("ready")
    await asyncio.sleep(200)
    assert len(life.world.processes) == 2
    assert (life.child.status().pid, life.child.status().restarts) == (1, {})
    await asyncio.sleep(200)
    assert len(life.world.processes) == 3
    assert set(life.states[1:]) == {"ready"}
    await life.end()


@in_virtual_time
async def test_a_crash_while_recycling_adopts_the_standby() -> None:
    """The loading standby takes over at once and is waited for."""
    life = Life(second(lambda pid: FakeProcess(pid, health("loading"))), engine_max_tokens=100)
    await life.until("ready")
    await asyncio.sleep(3)
    old, new = life.world.processes
    old.exit(-9)
    await asyncio.sleep(1)
    assert (life.child.state, life.child.status().pid, life.world.taken_over) == ("starting", 2, 1)
    new.said = made(0)
    await life.until("ready")
    assert len(life.world.processes) == 2
    await life.end()


@in_virtual_time
async def test_offloading_while_recycling_discards_the_standby() -> None:
    """It would load the model again without a request."""
    life = Life(second(lambda pid: FakeProcess(pid, health("loading"))), engine_max_tokens=100)
    await life.until("ready")
    await asyncio.sleep(3)
    began = life.child.recycling
    old, new = life.world.processes
    old.said = replace(made(100), location="cpu")
    life.child.update_health(old.said)
    new.said = made(0)
    await asyncio.sleep(60)
    assert new.exited.done()
    assert (began, life.child.recycling) == (True, False)
    assert (life.child.status().pid, life.world.taken_over, len(life.world.processes)) == (1, 0, 2)
    await life.end()


@in_virtual_time
async def test_health_of_another_pid_is_ignored() -> None:
    life = Life(fresh)
    await life.until("ready")
    life.child.update_health(replace(made(7), pid=2))
    assert life.child.status().health == made(0)
    life.child.update_health(made(7))
    assert life.child.status().health == made(7)
    await life.end()


@in_virtual_time
async def test_a_stop_ends_the_old_process_the_draining_one_and_the_standby() -> None:
    """All three receive it."""
    life = Life(lambda pid: FakeProcess(pid, made(100) if pid < 3 else health("loading")), engine_max_tokens=100)
    await life.until("ready")
    await asyncio.sleep(5)
    assert len(life.world.processes) == 3
    at = life.loop.time()
    await life.end()
    assert all(process.exited.done() for process in life.world.processes)
    assert life.loop.time() - at < 1
