"""One supervised process as a state machine; `run` is its one asyncio task in the supervisor and its only writer.

    stopped → starting → ready → stopping → stopped
                 └─── end ─┴──→ backoff | failed → starting

Orders (`stop`, `kill`, `restart`) leave a note that the task acts on at once, whatever it waits for. A worn process is
renewed as planned: `relief.py` makes its successor ready beside it, then it finishes what it has begun and goes.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Literal, TypeVar

from loguru import logger

from src.ipc.messages.status import ChildState, ChildStatus, Health
from src.settings import SupervisorSettings
from src.supervisor.launcher import Probe, ProbeError, Process, ProcessLauncher
from src.supervisor.recycle import RecyclePolicy
from src.supervisor.restarts import End, Reason, RestartPolicy, end_of
from src.supervisor.specs import ChildSpec
from src.supervisor.standby import Standby
from src.supervisor.starting import StartWatch
from src.supervisor.watchdog import Silence

_START_POLL_S = 0.1
_DUMP_S = 1.0  # what faulthandler gets to write its stacks
_REAP_S = 10.0  # a killed process may still hang in the kernel, with its GPU
_LAST_WORDS_S = 0.5  # what it said before it ended may be read after its end
_OWN_EXIT_S = 10.0  # a process that reports `failed` tells its clients why, then leaves by itself with its exit code
_AWAY_S = 1.0
_NOT_YET = float("inf")

T = TypeVar("T")


class _Exited(Exception):
    """The process ended by itself."""


class _Ordered(Exception):
    """An order waits."""


class _Worn(Exception):
    """It is to be renewed, and must go before its successor comes."""


class _Relieved(Exception):
    """Its successor is ready."""


class _Unfit(Exception):
    """The process lives, but must be replaced."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.end = End(reason, detail)


class Child:
    """Keeps one process alive."""

    def __init__(
        self,
        spec: ChildSpec,
        effects: ProcessLauncher,
        settings: SupervisorSettings,
        *,
        on_change: Callable[[Child], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        restarts: dict[str, int] | None = None,
    ) -> None:
        self.spec = self._first_choice = spec
        self.state: ChildState = "stopped"
        self.last_end: End | None = None
        self._effects = effects
        self._settings = settings
        self._on_change = on_change
        self._clock = clock
        self._log = logger.bind(stream=spec.stream, child=spec.name)
        self._policy = RestartPolicy(settings)
        self._restarts = dict(restarts or {})
        self._order: Literal["run", "restart", "stop"] = "run"
        self._called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._killed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wear = RecyclePolicy(settings)
        self._relief: Standby | None = None
        self._leaving: set[asyncio.Task[None]] = set()  # of processes that were relieved
        self._process: Process | None = None
        self._health: Health | None = None
        self._detail: str | None = None
        self._started_at = self._ready_at = self._answered_at = 0.0
        self._exercised_at = self._memory_ok_at = 0.0

    # ---- orders, and what others may see

    def stop(self) -> None:
        """SIGTERM, grace, SIGKILL to the group; `run` returns when nothing is left."""
        self._order = "stop"
        if not self._stopped.done():
            self._stopped.set_result(None)
        self._call()

    def kill(self) -> None:
        """Stop without any grace, also when it is stopping already."""
        if not self._killed.done():
            self._killed.set_result(None)
        self.stop()

    def restart(self) -> None:
        """Replace the process, or start it now if it waits for its next try."""
        if self._order == "run":
            self._order = "restart"
            self._call()

    def signal(self, number: int) -> None:
        """Pass a signal to the process (not to its group), if it is ready to take one."""
        if self._process is not None and self.state == "ready":
            self._process.signal(number)

    def status(self) -> ChildStatus:
        return ChildStatus(
            name=self.spec.name,
            state=self.state,
            pid=self._process.pid if self._process else None,
            uptime_s=self._clock() - self._started_at if self._process else None,
            restarts=dict(self._restarts),
            detail=self._detail or (self._health.detail if self._health else None),
            health=self._health,
            fallback="cpu" if self.spec is not self._first_choice else None,
        )

    @property
    def renewing(self) -> bool:
        """Whether its successor is on its way."""
        return self._relief is not None

    def heard(self, health: Health) -> None:
        """What the process has just said of itself, outside of its heartbeats."""
        if self._process is not None and self._process.pid == health.pid:
            self._health = health

    def silence(self) -> Silence:
        """For the watchdog: how long since it answered, if it counts as ready."""
        silent_s = self._clock() - self._answered_at if self.state == "ready" else 0.0
        return Silence(self.spec.name, silent_s, self._settings.heartbeat_timeout * self.spec.misses)

    # ---- its life

    async def run(self) -> None:
        """Live until `stop`."""
        while self._order != "stop":
            self._take_restart()
            end = await self._live()
            if end is not None and self._order == "run":
                await self._recover(end)
        await self._end_others()
        self._enter("stopped")

    async def _live(self) -> End | None:
        """One process from start to end; None when it ended because it was ordered to."""
        self._started_at, self._ready_at = self._clock(), _NOT_YET
        try:
            process = self._process = self._taken_over() or self._effects.spawn(self.spec)
        except OSError as error:
            return End("start", f"cannot be started: {error}")
        self._wear = RecyclePolicy(self._settings)
        self._enter("starting" if self._ready_at == _NOT_YET else "ready")
        try:
            end = await self._watched(process)
        except _Relieved:
            self._leave(process)
            return None
        finally:
            self._process = self._health = None
        process.kill_group()  # what is left of it: workers of a dead master or broker
        return end

    async def _watched(self, process: Process) -> End | None:
        probe = self._effects.probe(self.spec, process.pid)
        try:
            if self.state == "starting":
                await self._until_ready(process, probe)
            await self._while_well(process, probe)
        except _Exited:
            return end_of(process.exited.result(), self._reason_given())
        except _Unfit as unfit:
            await self._abort(process, unfit.end.detail)
            return unfit.end
        except (_Ordered, _Worn):
            await self._wind_down(process)
        finally:
            probe.close()
        return None

    async def _until_ready(self, process: Process, probe: Probe) -> None:
        watch, why = StartWatch(self._settings, self._started_at), None
        while why is None:
            answered = await self._answers(process, probe)
            if answered and (self._health is None or self._health.state == "ready"):
                self._ready_at = self._clock()
                self._enter("ready")
                return
            await self._unless_over(process, asyncio.sleep(_START_POLL_S))
            why = watch.why_hung(self._health, self._clock(), answered=answered)
        raise _Unfit("start", why)

    async def _while_well(self, process: Process, probe: Probe) -> None:
        """Heartbeats. Ends by an exception only."""
        self._answered_at = self._exercised_at = self._memory_ok_at = self._clock()
        patience_s = self._settings.heartbeat_timeout * self.spec.misses
        interval_s = self._settings.heartbeat_interval
        while True:
            slept_at = self._clock()
            await self._unless_over(process, asyncio.sleep(interval_s))
            if self._clock() - slept_at > interval_s + _AWAY_S:
                self._answered_at = self._clock()  # it was us who stood still: the child could not be heard
            if not await self._answers(process, probe) and self._clock() - self._answered_at >= patience_s:
                raise _Unfit("heartbeat", f"no answer for {self._clock() - self._answered_at:.1f} s")
            self._check_step()
            self._check_memory()
            await self._exercise(process, probe)
            self._renew()

    async def _answers(self, process: Process, probe: Probe) -> bool:
        """Ask once and keep what it says; False when no answer came."""
        asked_at, timeout_s = self._clock(), self._settings.heartbeat_timeout
        try:
            self._health = await self._unless_over(process, probe.ask(timeout_s), _LAST_WORDS_S)
        except ProbeError:
            if self._clock() - asked_at > timeout_s + _AWAY_S:
                self._answered_at = self._clock()  # it was us who stood still, so this says nothing about the child
            return False
        self._answered_at = self._clock()
        if self._health is not None and self._health.state == "failed":
            await self._unless_over(process, asyncio.sleep(_OWN_EXIT_S))
            raise _Unfit("start" if self.state == "starting" else "fault", self._reason_given() or "it reports failure")
        return True

    def _check_step(self) -> None:
        load = self._health.load if self._health else None
        if load and load.running + load.waiting > 0 and load.step_age_s > self._settings.engine_stall_timeout:
            busy = f"{load.running} running, {load.waiting} waiting"
            raise _Unfit("stall", f"no step for {load.step_age_s:.1f} s ({busy})")

    def _check_memory(self) -> None:
        """An engine that clears its caches and still stays over the high watermark is replaced; requests go on."""
        now = self._clock()
        if self._health is None or self._health.memory_level != "high":
            self._memory_ok_at = now
        elif now - self._memory_ok_at >= self._settings.memory_recycle_after:
            raise _Unfit("memory", f"over the high watermark for {now - self._memory_ok_at:.0f} s")

    async def _exercise(self, process: Process, probe: Probe) -> None:
        """While it is idle: does it still produce? Work under way is proof enough, and is not disturbed."""
        interval_s, load = self._settings.health_probe_interval, self._health.load if self._health else None
        away = self._health is not None and self._health.location != "gpu"  # there is nothing to compute with
        if load is None or load.running + load.waiting > 0 or away:
            self._exercised_at = self._clock()
        if not interval_s or self._clock() - self._exercised_at < interval_s:
            return
        try:
            await self._unless_over(process, probe.exercise(self._settings.health_probe_timeout))
        except ProbeError as error:
            raise _Unfit("probe", f"a test generation failed: {error}") from None
        self._exercised_at = self._answered_at = self._clock()

    def _reason_given(self) -> str | None:
        return self._health.detail if self._health and self._health.state == "failed" else None

    # ---- renewal

    def _renew(self) -> None:
        """A worn process is relieved by one that is ready beside it; when memory does not hold both, it goes first."""
        now = self._clock()
        if self._relief is not None:
            self._look_at_relief(self._relief, now)
        elif why := self._wear.why(self._health, now):
            self._log.info("{} is renewed: {}", self.spec.name, why)
            if not self._wear.both_fit(self._health, self._effects.free_bytes()):
                self._count("recycle")
                raise _Worn
            try:
                self._relief = Standby(self.spec, self._effects, self._settings, self._clock)
            except OSError as error:
                self._log.error("{} cannot be renewed: {}", self.spec.name, error)
                self._wear.wait(now + self._settings.breaker_retry)

    def _look_at_relief(self, relief: Standby, now: float) -> None:
        if self._health is not None and self._health.location == "cpu":
            self._drop_relief()  # the model has left the device meanwhile; its successor would bring it back
        elif relief.ready:
            self._count("recycle")
            raise _Relieved
        elif relief.failure is not None:
            self._log.error("{} cannot be renewed and goes on: {}", self.spec.name, relief.failure)
            self._wear.wait(now + self._settings.breaker_retry)
            self._drop_relief()

    def _taken_over(self) -> Process | None:
        """The process that waits beside this one's place, if there is one; now it has the place."""
        relief, self._relief = self._relief, None
        if relief is None:
            return None
        ready = relief.ready
        relief.release()
        try:
            self._effects.take_over(self.spec)
        except OSError:  # it had not come so far
            relief.process.kill_group()
            return None
        self._started_at, self._health = relief.started_at, relief.health
        if ready:
            self._ready_at = self._clock()
        return relief.process

    def _drop_relief(self) -> None:
        relief, self._relief = self._relief, None
        if relief is not None:
            relief.release()
            relief.process.kill_group()

    def _leave(self, process: Process) -> None:
        task = asyncio.get_running_loop().create_task(self._retire(process))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _retire(self, process: Process) -> None:
        """It was relieved: it finishes what it has begun, for a while; what is left then moves to its successor."""
        process.signal(signal.SIGUSR1)
        await _first_of(process.exited, self._stopped, timeout_s=self._settings.engine_drain_timeout)
        await self._terminate(process)

    async def _end_others(self) -> None:
        """Before this child is stopped, so are those before and after it."""
        self._drop_relief()
        if self._leaving:
            await asyncio.wait(self._leaving)

    # ---- its ends

    async def _abort(self, process: Process, why: str) -> None:
        self._enter("stopping", why)
        process.signal(signal.SIGABRT)  # faulthandler dumps the stacks: the only trace a hang leaves
        await self._exits_within(process, _DUMP_S)
        await self._kill(process)

    async def _wind_down(self, process: Process) -> None:
        self._enter("stopping")
        await self._terminate(process)

    async def _terminate(self, process: Process) -> None:
        process.signal(signal.SIGTERM)
        if not await self._exits_within(process, self.spec.stop_grace_s):
            self._log.warning("{} did not stop in time and is killed", self.spec.name)
        await self._kill(process)

    async def _kill(self, process: Process) -> None:
        process.kill_group()
        await asyncio.wait({process.exited}, timeout=_REAP_S)
        if not process.exited.done():
            self._log.error("{} (pid {}) does not die of SIGKILL; going on without it", self.spec.name, process.pid)

    async def _exits_within(self, process: Process, seconds: float) -> bool:
        await _first_of(process.exited, self._killed, timeout_s=seconds)
        return process.exited.done()

    async def _recover(self, end: End) -> None:
        """Count the crash, say so, and wait as long as the policy wants."""
        now = self._clock()
        self.last_end = end
        self._count(end.reason)
        pause = self._policy.after(end, now=now, ready_s=max(0.0, now - self._ready_at))
        self._log.bind(reason=end.reason, restarts=sum(self._restarts.values())).error(
            "{} is down, {}: {}; next start in {:g} s", self.spec.name, end.reason, pause.detail, pause.delay_s
        )
        if pause.state == "failed" and end.reason == "gpu" and self._fall_back():
            return
        if pause.delay_s > 0:
            self._enter(pause.state, pause.detail)
            await asyncio.wait({self._called}, timeout=pause.delay_s)

    def _count(self, reason: Reason) -> None:
        self._restarts[reason] = self._restarts.get(reason, 0) + 1

    def _fall_back(self) -> bool:
        """The GPU does not work: go on without it, until somebody orders a restart."""
        if self.spec.without_gpu is None or self.spec is not self._first_choice:
            return False
        self._log.error("{} comes back on the CPU (GPU_FALLBACK)", self.spec.name)
        self.spec = replace(self.spec, argv=(*self.spec.argv, *self.spec.without_gpu))
        self._policy.forgive()
        return True

    # ---- waiting and writing

    async def _unless_over(self, process: Process, work: Coroutine[Any, Any, T], grace_s: float = 0.0) -> T:
        """Do `work` only while the process lives, and `grace_s` longer, and no order waits; else raise _Exited or
        _Ordered."""
        task = asyncio.ensure_future(work)
        try:
            await _first_of(task, process.exited, self._called)
            if self._called.done():
                raise _Ordered
            if process.exited.done() and grace_s:
                await asyncio.wait({task}, timeout=grace_s)
            if process.exited.done() and not task.done():
                raise _Exited
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _call(self) -> None:
        if not self._called.done():
            self._called.set_result(None)

    def _take_restart(self) -> None:
        if self._order == "restart":
            self._order = "run"
            self.spec = self._first_choice
            self._called = asyncio.get_running_loop().create_future()
            self._policy.forgive()

    def _enter(self, state: ChildState, detail: str | None = None) -> None:
        self.state, self._detail = state, detail
        pid = self._process.pid if self._process else None
        if state == "ready":
            self._log.info(
                "{} is ready (pid {}) after {:.1f} s", self.spec.name, pid, self._ready_at - self._started_at
            )
        else:
            self._log.debug("{} is {} (pid {})", self.spec.name, state, pid)
        self._on_change(self)


async def _first_of(*futures: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
