"""The state machine of one child, on fake processes and in virtual time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from src.errors import ExitCode
from src.ipc.messages.status import ChildState, EngineLoad, Health, LoadProgress
from src.settings import SupervisorSettings
from src.supervisor.child import Child
from src.supervisor.launcher import ProbeError
from src.supervisor.specs import ChildSpec
from tests.unit.supervisor import virtual
from tests.unit.supervisor.fakes import SPEC, FakeProcess, World, busy, health

REFUSED = ProbeError("connection refused")


class Life:
    """A child over fake processes, its task, and the states it went through."""

    def __init__(self, make: Callable[[int], FakeProcess], spec: ChildSpec = SPEC, **settings: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.world = World(make)
        self.states: list[ChildState] = []
        limits = SupervisorSettings.model_validate({"heartbeat_timeout": 10, "engine_stall_timeout": 60} | settings)
        self.child = Child(
            spec, self.world, limits, on_change=lambda child: self.states.append(child.state), clock=self.loop.time
        )
        self.task = self.loop.create_task(self.child.run())

    @property
    def process(self) -> FakeProcess:
        return self.world.processes[-1]

    async def until(self, state: ChildState) -> None:
        while self.child.state != state:  # noqa: ASYNC110  # virtual time costs nothing
            await asyncio.sleep(0.01)

    async def replaced(self) -> float:
        """Until the first process has a successor; when that was started."""
        while len(self.world.processes) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return self.world.started_at[1]

    async def end(self) -> None:
        self.child.stop()
        await self.task


def ready(pid: int) -> FakeProcess:
    return FakeProcess(pid, health())


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        virtual.run(test())

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    return run


@in_virtual_time
async def test_ready_once_the_process_reports_ready() -> None:
    """Refused connections and `loading` are `starting`; the detail of the load is shown."""
    life = Life(lambda pid: FakeProcess(pid, REFUSED))
    await asyncio.sleep(1)
    assert life.child.state == "starting"
    life.process.said = health("loading", "weights 40 %")
    await asyncio.sleep(1)
    assert life.child.status().detail == "weights 40 %"
    life.process.said = health()
    await life.until("ready")
    assert life.child.status().pid == 1
    assert life.child.status().uptime_s == pytest.approx(2, abs=0.3)
    await life.end()
    assert life.states == ["starting", "ready", "stopping", "stopped"]


@in_virtual_time
async def test_a_crash_is_noticed_at_once_and_the_rest_of_its_group_killed() -> None:
    """Unexpected exit: killpg what is left, count the reason, start again."""
    life = Life(ready)
    await life.until("ready")
    at, first = life.loop.time(), life.process
    first.exit(-signal.SIGSEGV)
    await asyncio.sleep(0.01)
    assert first.signals == [(at, "SIGKILL group")]
    assert life.world.started_at[1] == at
    assert life.child.status().restarts == {"signal": 1}
    await life.until("ready")
    await life.end()


@in_virtual_time
async def test_missing_heartbeats_are_a_hang() -> None:
    """No reply within HEARTBEAT_TIMEOUT: stacks are dumped, then the process group is killed and replaced."""
    life = Life(lambda pid: FakeProcess(pid, health(), deaf=True))
    await life.until("ready")
    at, hung = life.loop.time(), life.process
    hung.hangs = True
    await life.replaced()
    (aborted, first), (killed, second), *_ = hung.signals
    assert (first, second) == ("SIGABRT", "SIGKILL group")
    assert 10 <= aborted - at <= 12
    assert killed - aborted == pytest.approx(1)
    assert life.child.status().restarts == {"heartbeat": 1}
    assert life.states[2:4] == ["stopping", "starting"]
    await life.end()


@in_virtual_time
async def test_one_lost_connection_is_not_a_hang() -> None:
    """A closed heartbeat connection is reopened; only HEARTBEAT_TIMEOUT without a reply counts."""
    life = Life(ready)
    await life.until("ready")
    life.process.said = REFUSED
    await asyncio.sleep(5)
    life.process.said = health()
    await asyncio.sleep(60)
    assert life.child.status().restarts == {}
    await life.end()


@in_virtual_time
async def test_web_may_miss_several_heartbeats() -> None:
    """`misses` multiplies the timeout: gunicorn's master replaces a hung worker itself."""
    life = Life(lambda pid: FakeProcess(pid, None), spec=ChildSpec("web", ("web",), "http://x:1/livez", 0, 5, misses=3))
    await life.until("ready")
    at = life.loop.time()
    life.process.hangs = True
    assert 30 <= await life.replaced() - at <= 36
    await life.end()


@in_virtual_time
async def test_an_old_step_with_waiting_requests_is_a_stall() -> None:
    """It answers pings, yet no step completes: replaced with the reason `stall`; an idle or slow engine is not."""
    life = Life(ready)
    await life.until("ready")
    life.process.said = busy(step_age_s=59)
    await asyncio.sleep(100)
    assert life.child.status().restarts == {}
    life.process.said = busy(step_age_s=61)
    await asyncio.sleep(3)
    assert life.child.status().restarts == {"stall": 1}
    assert life.child.last_end is not None
    assert "61.0 s" in life.child.last_end.detail
    await life.end()


@in_virtual_time
async def test_an_idle_engine_that_fails_its_probe_generation_is_replaced() -> None:
    """It answers pings, yet the probe generation fails: reason `probe`. A busy engine is not probed."""
    life = Life(ready, health_probe_interval=60)
    await life.until("ready")
    life.process.barren = True
    life.process.said = busy(step_age_s=1)
    await asyncio.sleep(200)
    assert life.child.status().restarts == {}
    life.process.said = health(load=EngineLoad(running=0, waiting=0, step_age_s=0, steps=9, tokens=9))
    await asyncio.sleep(70)
    assert life.child.status().restarts == {"probe": 1}
    await life.end()


@in_virtual_time
async def test_an_engine_over_the_high_watermark_is_replaced() -> None:
    """Over the high watermark for MEMORY_RECYCLE_AFTER: reason `memory`; a short peak is not."""
    life = Life(ready, memory_recycle_after=30)
    await life.until("ready")
    full = msgspec.structs.replace(health(), memory_level="high")
    for _ in range(3):
        life.process.said = full
        await asyncio.sleep(20)
        life.process.said = health()
        await asyncio.sleep(5)
    assert life.child.status().restarts == {}
    life.process.said = full
    await asyncio.sleep(35)
    assert life.child.status().restarts == {"memory": 1}
    await life.end()


@in_virtual_time
async def test_a_start_has_a_deadline() -> None:
    """Not ready within START_TIMEOUT: killed, reason `start`."""
    life = Life(lambda pid: FakeProcess(pid, health("loading")), start_timeout=30)
    await asyncio.sleep(29)
    assert life.child.status().restarts == {}
    await asyncio.sleep(2)
    assert life.child.status().restarts == {"start": 1}
    await life.end()


def loading(done_bytes: int, steps: int = 0) -> Health:
    return msgspec.structs.replace(health("loading"), progress=LoadProgress(done_bytes, 1 << 40, 1.0, steps))


@in_virtual_time
async def test_a_start_without_progress_is_killed_before_its_deadline() -> None:
    """No more bytes, no more steps: hung. The reason includes the progress so far."""
    life = Life(lambda pid: FakeProcess(pid, loading(3 << 20)), start_timeout=600, start_stall_timeout=60)
    await asyncio.sleep(58)
    assert life.child.status().restarts == {}
    await asyncio.sleep(4)
    assert life.child.status().restarts == {"start": 1}
    assert life.child.last_end is not None
    assert life.child.last_end.detail == "no progress for 60 s while starting (3 MiB read)"
    await life.end()


@in_virtual_time
async def test_a_slow_start_with_progress_is_not_killed() -> None:
    """Any bytes read and any warm-up step are progress; a slow disk is not a hang."""
    life = Life(lambda pid: FakeProcess(pid, loading(0)), start_timeout=3600, start_stall_timeout=60)
    for done in range(1, 40):
        await asyncio.sleep(50)
        life.process.said = loading(min(done, 20), max(0, done - 20))
    assert (life.child.state, life.child.status().restarts) == ("starting", {})
    await life.end()


@pytest.mark.parametrize(("said", "restarts"), [(REFUSED, {"start": 1}), (health("loading"), {})])
def test_a_start_that_reports_no_progress(said: Health | ProbeError, restarts: dict[str, int]) -> None:
    """No reply is no progress. A process that answers without progress (an upstream server) has START_TIMEOUT alone."""

    async def test() -> None:
        life = Life(lambda pid: FakeProcess(pid, said), start_timeout=600, start_stall_timeout=60)
        await asyncio.sleep(70)
        assert life.child.status().restarts == restarts
        await life.end()

    virtual.run(test())


@in_virtual_time
async def test_a_program_that_cannot_be_started_is_retried() -> None:
    """No such file is a failed start, not the end of the supervisor."""

    def missing(_: int) -> FakeProcess:
        raise FileNotFoundError("no such file")

    life = Life(missing, crash_limit=3)
    await life.until("failed")
    assert life.child.status().restarts == {"start": 3}
    assert "no such file" in (life.child.status().detail or "")
    await life.end()


@in_virtual_time
async def test_a_crash_loop_backs_off_then_opens_the_breaker_then_tries_again() -> None:
    """The backoff shows in the start times; once the cause is gone, the process becomes ready."""
    cause = True

    def make(pid: int) -> FakeProcess:
        process = FakeProcess(pid, health())
        if cause:
            process.exit(1)
        return process

    life = Life(make, restart_free=1, crash_limit=5, breaker_retry=300)
    await life.until("failed")
    gaps = [later - earlier for earlier, later in zip(life.world.started_at, life.world.started_at[1:], strict=False)]
    assert [round(gap) for gap in gaps] == [0, 1, 2, 4]
    assert life.child.status().restarts == {"exit": 5}
    assert "5 crashes" in (life.child.status().detail or "")
    cause = False
    await life.until("ready")
    assert life.world.started_at[-1] - life.world.started_at[-2] == pytest.approx(300)
    await life.end()


@in_virtual_time
async def test_a_model_that_cannot_be_loaded_is_reported_with_its_reason() -> None:
    """It reports the failure, exits with MODEL, and is not retried before BREAKER_RETRY."""
    life = Life(lambda pid: FakeProcess(pid, health("failed", "no weights in models/x")))
    await asyncio.sleep(3)
    life.process.exit(ExitCode.MODEL)
    await asyncio.sleep(100)
    assert life.child.state == "failed"
    assert life.child.status().detail == "no weights in models/x"
    assert len(life.world.processes) == 1
    await life.end()


@in_virtual_time
async def test_a_failure_reported_just_before_the_exit_is_read() -> None:
    """The exit of a process may be noticed before its last reply is read."""

    def make(pid: int) -> FakeProcess:
        process = FakeProcess(pid, health("failed", "no weights in models/x"))
        process.exit_on_probe = ExitCode.MODEL
        return process

    life = Life(make)
    await life.until("failed")
    assert life.child.status().detail == "no weights in models/x"
    await life.end()


@in_virtual_time
async def test_gpu_faults_that_open_the_breaker_fall_back_to_the_cpu() -> None:
    """GPU_FALLBACK: started on the CPU and reported so; a requested restart goes back to the GPU."""

    def make(pid: int) -> FakeProcess:
        process = ready(pid)
        if pid <= 3:
            process.exit(ExitCode.GPU_FAULT)
        return process

    spec = replace(SPEC, without_gpu=("--on-cpu",))
    life = Life(make, spec=spec, crash_limit=3, restart_free=9)
    await life.until("ready")
    await asyncio.sleep(1)
    assert life.child.status().restarts == {"gpu": 3}
    assert life.child.status().fallback == "cpu"
    life.process.exit(ExitCode.GPU_FAULT)  # there is no second fallback
    await asyncio.sleep(1)
    life.child.restart()
    await asyncio.sleep(1)
    assert ["--on-cpu" in recycling.argv for recycling in life.world.specs] == [False] * 3 + [True] * 2 + [False]
    assert life.child.status().fallback is None
    await life.end()


@in_virtual_time
async def test_other_crashes_do_not_fall_back_to_the_cpu() -> None:
    """A breaker opened by other crashes waits BREAKER_RETRY."""
    life = Life(lambda pid: _for("failed", pid), spec=replace(SPEC, without_gpu=("--on-cpu",)), crash_limit=2)
    await life.until("failed")
    assert life.child.status().fallback is None
    await life.end()


@in_virtual_time
async def test_a_load_without_memory_is_retried_while_the_old_process_exits() -> None:
    """Out of memory while the old process exits is no fault of the model: retried until it fits."""

    def make(pid: int) -> FakeProcess:
        process = ready(pid)
        if pid <= 3:
            process.said = health("failed", "needs 9000 MB; 100 MB of memory are free")
            process.exit(ExitCode.NO_MEMORY)
        return process

    life = Life(make, restart_free=2)
    await life.until("ready")
    await asyncio.sleep(10)
    assert life.child.status().restarts == {"memory": 3}
    assert life.child.state == "ready"
    assert life.loop.time() < 20
    await life.end()


@in_virtual_time
async def test_a_failed_process_that_does_not_exit_is_replaced() -> None:
    """`failed` without an exit has a deadline."""
    life = Life(lambda pid: FakeProcess(pid, health("failed", "no workers")))
    await asyncio.sleep(12)
    assert life.child.status().restarts == {"start": 1}
    await life.end()


@in_virtual_time
async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace_period() -> None:
    """Stopping ends with SIGKILL to the process group."""
    life = Life(lambda pid: FakeProcess(pid, health(), deaf=True))
    await life.until("ready")
    at = life.loop.time()
    await life.end()
    assert [(round(when - at, 2), what) for when, what in life.process.signals[:2]] == [
        (0.0, "SIGTERM"),
        (5.0, "SIGKILL group"),
    ]
    assert life.child.status().restarts == {}


@in_virtual_time
async def test_kill_skips_the_grace_period() -> None:
    """A second signal does not wait for streams."""
    life = Life(lambda pid: FakeProcess(pid, health(), deaf=True))
    await life.until("ready")
    life.child.stop()
    await asyncio.sleep(1)
    at = life.loop.time()
    life.child.kill()
    await life.task
    assert life.loop.time() == at


@in_virtual_time
async def test_an_unkillable_process_does_not_block_the_stop() -> None:
    """Even after SIGKILL the wait has a deadline."""
    life = Life(lambda pid: FakeProcess(pid, health(), deaf=True, undying=True))
    await life.until("ready")
    at = life.loop.time()
    await life.end()
    assert life.loop.time() - at < 30


@pytest.mark.parametrize("state", ["starting", "ready", "backoff", "failed"])
def test_stop_works_in_every_state(state: ChildState) -> None:
    """Whatever it waits for, stop ends it within its grace period."""

    async def test() -> None:
        life = Life(lambda pid: _for(state, pid), restart_free=0, crash_limit=2 if state == "failed" else 99)
        await life.until(state)
        at = life.loop.time()
        await life.end()
        assert life.loop.time() - at < 0.1
        assert life.child.state == "stopped"

    virtual.run(test())


def _for(state: ChildState, pid: int) -> FakeProcess:
    process = FakeProcess(pid, REFUSED if state == "starting" else health())
    if state in ("backoff", "failed"):
        process.exit(1)
    return process


@in_virtual_time
async def test_restart_replaces_without_counting_a_crash() -> None:
    """A requested restart counts no reason and causes no backoff."""
    life = Life(ready)
    await life.until("ready")
    life.child.restart()
    await asyncio.sleep(1)
    assert life.child.status().restarts == {}
    assert [process.exited.done() for process in life.world.processes] == [True, False]
    await life.end()


@in_virtual_time
async def test_restart_ends_a_backoff() -> None:
    """A requested restart does not wait for the breaker."""
    life = Life(lambda pid: _for("failed" if pid < 3 else "ready", pid), restart_free=0, crash_limit=2)
    await life.until("failed")
    life.child.restart()
    await asyncio.sleep(0.2)
    assert life.child.state == "ready"
    await life.end()


@in_virtual_time
async def test_a_suspended_supervisor_does_not_count_a_hang() -> None:
    """After SIGSTOP and SIGCONT of the supervisor, one expired heartbeat says nothing about the child."""
    life = Life(ready)
    await life.until("ready")
    probe = life.world.probes[-1]
    original = probe.ask

    async def expired(timeout_s: float) -> Health | None:
        await asyncio.sleep(timeout_s + 100)
        probe.ask = original  # type: ignore[method-assign]
        raise ProbeError("no reply")

    probe.ask = expired  # type: ignore[method-assign]
    await asyncio.sleep(200)
    assert life.child.status().restarts == {}
    await life.end()


@in_virtual_time
async def test_suspended_time_does_not_count_towards_the_heartbeat_timeout() -> None:
    """After SIGCONT the first failed heartbeat is the first one, however long ago the last good one was."""
    life = Life(ready)
    await life.until("ready")
    missed = 0.0
    life.child._clock = lambda: life.loop.time() + missed
    await asyncio.sleep(0.5)
    life.process.said = REFUSED
    missed = 500.0
    await asyncio.sleep(5)
    assert life.child.status().restarts == {}
    life.process.said = health()
    await asyncio.sleep(60)
    assert life.child.status().restarts == {}
    await life.end()


@in_virtual_time
async def test_a_signal_reaches_only_a_process_that_is_ready() -> None:
    """SIGHUP before gunicorn has its handlers would end it."""
    life = Life(lambda pid: FakeProcess(pid, REFUSED))
    await life.until("starting")
    life.child.signal(signal.SIGHUP)
    assert life.process.signals == []
    life.process.said = health()
    await life.until("ready")
    life.child.signal(signal.SIGHUP)
    assert [what for _, what in life.process.signals] == ["SIGHUP"]
    await life.end()


@in_virtual_time
async def test_the_probe_is_closed_with_its_process() -> None:
    """No connection outlives its process."""
    life = Life(ready)
    await life.until("ready")
    life.process.exit(1)
    await asyncio.sleep(1)
    await life.end()
    assert [probe.closed for probe in life.world.probes] == [True, True]


@in_virtual_time
async def test_what_an_ended_process_had_counted_is_kept() -> None:
    """As of its last heartbeat, whatever ended it; the running one's own counters are not in it yet."""
    load = EngineLoad(1, 0, 0.0, steps=5, tokens=70)
    life = Life(lambda pid: FakeProcess(pid, health(load=load)))
    await life.until("ready")
    kept = [life.child.past.engine]
    life.process.exit(1)
    await life.replaced()
    await life.until("ready")
    kept.append(life.child.past.engine)
    await life.end()
    kept.append(life.child.past.engine)
    once, twice = (EngineLoad(0, 0, 0.0, steps=5 * times, tokens=70 * times) for times in (1, 2))
    assert kept == [None, once, twice]
    assert life.child.past.restarts == {"exit": 1}
