"""One supervised process as a state machine; `run` is its one asyncio task in the supervisor and its only writer.

    stopped → starting → ready → stopping → stopped
                 └─── end ─┴──→ backoff | failed → starting

Orders (`stop`, `kill`, `restart`) leave a note that the task acts on at once, whatever it waits for.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol, TypeVar

from loguru import logger

from src.ipc.messages import ChildState, ChildStatus, Health
from src.settings import SupervisorSettings
from src.supervisor.restarts import End, Reason, RestartPolicy, end_of
from src.supervisor.specs import ChildSpec

_START_POLL_S = 0.1
_DUMP_S = 1.0  # what faulthandler gets to write its stacks
_REAP_S = 10.0  # a killed process may still hang in the kernel, with its GPU
_OWN_EXIT_S = 10.0  # a process that reports `failed` tells its clients why, then leaves by itself with its exit code
_AWAY_S = 1.0

T = TypeVar("T")


class ProbeError(Exception):
    """No good answer; the text says why."""


class Process(Protocol):
    """A process that was started. `exited` completes with its exit status, once it is reaped."""

    pid: int
    exited: asyncio.Future[int]

    def signal(self, number: int) -> None: ...
    def kill_group(self) -> None: ...


class Probe(Protocol):
    """Asks one process how it is, over one connection that is kept."""

    async def ask(self, timeout_s: float) -> Health | None:
        """Its health; None when it is well and says no more. Raises ProbeError."""

    async def exercise(self, timeout_s: float) -> None:
        """Let it do its work once, in the smallest way. Raises ProbeError when it does not."""

    def close(self) -> None: ...


class Effects(Protocol):
    """What a child does to the world."""

    def spawn(self, spec: ChildSpec) -> Process:
        """Start it, leading a process group of its own. Raises OSError."""

    def probe(self, spec: ChildSpec, pid: int) -> Probe: ...


class _Exited(Exception):
    """The process ended by itself."""


class _Ordered(Exception):
    """An order waits."""


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
        effects: Effects,
        settings: SupervisorSettings,
        *,
        on_change: Callable[[Child], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.state: ChildState = "stopped"
        self.last_end: End | None = None
        self._effects = effects
        self._settings = settings
        self._on_change = on_change
        self._clock = clock
        self._log = logger.bind(stream=spec.stream, child=spec.name)
        self._policy = RestartPolicy(settings)
        self._restarts: dict[str, int] = {}
        self._order: Literal["run", "restart", "stop"] = "run"
        self._called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._killed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process: Process | None = None
        self._health: Health | None = None
        self._detail: str | None = None
        self._started_at = self._ready_at = self._answered_at = 0.0
        self._exercised_at = self._memory_ok_at = 0.0

    # ---- orders, and what others may see

    def stop(self) -> None:
        """SIGTERM, grace, SIGKILL to the group; `run` returns when nothing is left."""
        self._order = "stop"
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
        )

    # ---- its life

    async def run(self) -> None:
        """Live until `stop`."""
        while self._order != "stop":
            self._take_restart()
            end = await self._live()
            if end is not None and self._order == "run":
                await self._recover(end)
        self._enter("stopped")

    async def _live(self) -> End | None:
        """One process from start to end; None when it ended because it was ordered to."""
        self._started_at, self._ready_at = self._clock(), float("inf")
        try:
            process = self._process = self._effects.spawn(self.spec)
        except OSError as error:
            return End("start", f"cannot be started: {error}")
        self._enter("starting")
        try:
            return await self._watched(process)
        finally:
            process.kill_group()  # what is left of it: workers of a dead master or broker
            self._process = self._health = None

    async def _watched(self, process: Process) -> End | None:
        probe = self._effects.probe(self.spec, process.pid)
        try:
            await self._until_ready(process, probe)
            await self._while_well(process, probe)
        except _Exited:
            return end_of(process.exited.result(), self._reason_given())
        except _Unfit as unfit:
            await self._abort(process, unfit.end.detail)
            return unfit.end
        except _Ordered:
            await self._wind_down(process)
        finally:
            probe.close()
        return None

    async def _until_ready(self, process: Process, probe: Probe) -> None:
        deadline = self._started_at + self._settings.start_timeout
        while self._clock() < deadline:
            if await self._answers(process, probe) and (self._health is None or self._health.state == "ready"):
                self._ready_at = self._clock()
                self._enter("ready")
                return
            await self._unless_over(process, asyncio.sleep(_START_POLL_S))
        raise _Unfit("start", f"not ready within {self._settings.start_timeout:g} s")

    async def _while_well(self, process: Process, probe: Probe) -> None:
        """Heartbeats. Ends by an exception only."""
        self._answered_at = self._exercised_at = self._memory_ok_at = self._clock()
        patience_s = self._settings.heartbeat_timeout * self.spec.misses
        while True:
            await self._unless_over(process, asyncio.sleep(self._settings.heartbeat_interval))
            if not await self._answers(process, probe) and self._clock() - self._answered_at >= patience_s:
                raise _Unfit("heartbeat", f"no answer for {self._clock() - self._answered_at:.1f} s")
            self._check_step()
            self._check_memory()
            await self._exercise(process, probe)

    async def _answers(self, process: Process, probe: Probe) -> bool:
        """Ask once and keep what it says; False when no answer came."""
        asked_at, timeout_s = self._clock(), self._settings.heartbeat_timeout
        try:
            self._health = await self._unless_over(process, probe.ask(timeout_s))
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
        if load is None or load.running + load.waiting > 0:
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

    # ---- its ends

    async def _abort(self, process: Process, why: str) -> None:
        self._enter("stopping", why)
        process.signal(signal.SIGABRT)  # faulthandler dumps the stacks: the only trace a hang leaves
        await self._exits_within(process, _DUMP_S)
        await self._kill(process)

    async def _wind_down(self, process: Process) -> None:
        self._enter("stopping")
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
        self._restarts[end.reason] = self._restarts.get(end.reason, 0) + 1
        pause = self._policy.after(end, now=now, ready_s=max(0.0, now - self._ready_at))
        self._log.bind(reason=end.reason, restarts=sum(self._restarts.values())).error(
            "{} is down, {}: {}; next start in {:g} s", self.spec.name, end.reason, pause.detail, pause.delay_s
        )
        if pause.delay_s > 0:
            self._enter(pause.state, pause.detail)
            await asyncio.wait({self._called}, timeout=pause.delay_s)

    # ---- waiting and writing

    async def _unless_over(self, process: Process, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` only while the process lives and no order waits; else raise _Exited or _Ordered."""
        task = asyncio.ensure_future(work)
        try:
            await _first_of(task, process.exited, self._called)
            if self._called.done():
                raise _Ordered
            if process.exited.done():
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
