"""One supervised process as a state machine; `run` is its one asyncio task in the supervisor and its only writer.

    stopped → starting → ready → stopping → stopped
                 └─── end ─┴──→ backoff | failed → starting

`stop`, `kill` and `restart` set the desired state; the task reacts at once, whatever it waits for. A process that is
due for recycling is replaced without downtime: `standby.py` starts its successor, then the old one drains and exits.
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
from src.supervisor.launcher import Activity, Probe, ProbeError, Process, ProcessLauncher
from src.supervisor.past import Past
from src.supervisor.recycle import RecyclePolicy
from src.supervisor.restarts import End, Reason, RestartPolicy, end_of
from src.supervisor.specs import ChildSpec
from src.supervisor.stalls import is_halted, silence_limit_s, stall_reason
from src.supervisor.standby import Standby
from src.supervisor.starting import StartWatch
from src.supervisor.watchdog import HeartbeatAge

_START_POLL_S = 0.1
_DUMP_S = 1.0  # for faulthandler to dump the stacks
_REAP_S = 10.0  # a killed process may still hang in the kernel, in a GPU driver
_EXIT_REASON_GRACE_S = 0.5  # a reply sent just before the exit may still be in the socket
_OWN_EXIT_S = 10.0  # a process that reports `failed` answers its clients, then exits by itself with an exit code
_CLOCK_JUMP_S = 1.0
_LEAST_PROBE_S = 0.1
_NOT_READY = float("inf")

T = TypeVar("T")


class _Exited(Exception):
    """The process exited by itself."""


class _Interrupted(Exception):
    """Stop or restart was requested."""


class _DueForRecycle(Exception):
    """Recycle it, and stop it first: memory does not hold two."""


class _StandbyReady(Exception):
    """The standby process is ready to take over."""


class MustReplace(Exception):
    """The process is alive but unhealthy."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.end = End(reason, detail)


class Child:
    """Keeps one process running."""

    def __init__(
        self,
        spec: ChildSpec,
        launcher: ProcessLauncher,
        settings: SupervisorSettings,
        *,
        on_change: Callable[[Child], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        past: Past | None = None,
    ) -> None:
        self.spec = self._original_spec = spec
        self.state: ChildState = "stopped"
        self.last_end: End | None = None
        self._launcher = launcher
        self._settings = settings
        self._on_change = on_change
        self._clock = clock
        self._log = logger.bind(stream=spec.stream, child=spec.name)
        self._policy = RestartPolicy(settings)
        self.past = past or Past()
        self._desired: Literal["run", "restart", "stop"] = "run"
        self._interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._killed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._recycling = RecyclePolicy(settings)
        self._standby: Standby | None = None
        self._draining: set[asyncio.Task[None]] = set()  # of processes that a standby has replaced
        self._process: Process | None = None
        self._released: Process | None = None
        self._health: Health | None = None
        self._detail: str | None = None
        self._activity: Activity | None = None  # at the last heartbeat
        self._started_at = self._ready_at = self._answered_at = 0.0
        self._probed_at = self._memory_ok_at = 0.0

    # ---- commands and status

    def stop(self) -> None:
        """SIGTERM, grace period, SIGKILL to the process group; `run` returns when all processes have exited."""
        self._desired = "stop"
        if not self._stopped.done():
            self._stopped.set_result(None)
        self._interrupt()

    def kill(self) -> None:
        """Stop without a grace period, also when it is stopping already."""
        if not self._killed.done():
            self._killed.set_result(None)
        self.stop()

    def restart(self) -> None:
        """Replace the process, or start it now if it is in backoff."""
        if self._desired == "run":
            self._desired = "restart"
            self._interrupt()

    def release(self) -> Process | None:
        """Give the process away if it is ready; `run` then returns without stopping it."""
        if self.state != "ready" or self._desired != "run":
            return None
        self._released = self._process
        self.stop()
        return self._released

    def signal(self, number: int) -> None:
        """Send a signal to the process (not to its group) if it is ready."""
        if self._process is not None and self.state == "ready":
            self._process.signal(number)

    def status(self) -> ChildStatus:
        return ChildStatus(
            name=self.spec.name,
            state=self.state,
            pid=self._process.pid if self._process else None,
            uptime_s=self._clock() - self._started_at if self._process else None,
            restarts=self.past.restarts,
            detail=self._detail or (self._health.detail if self._health else None),
            health=self._health,
            fallback="cpu" if self.spec is not self._original_spec else None,
        )

    @property
    def recycling(self) -> bool:
        """Whether a standby process is starting."""
        return self._standby is not None

    def update_health(self, health: Health) -> None:
        """Record health that the process reported outside of a heartbeat."""
        if self._process is not None and self._process.pid == health.pid:
            self._health = health

    def heartbeat_age(self) -> HeartbeatAge:
        """For the watchdog: time since the last heartbeat, if ready."""
        age_s = self._clock() - self._answered_at if self.state == "ready" else 0.0
        return HeartbeatAge(self.spec.name, age_s, self._settings.heartbeat_timeout * self.spec.misses)

    # ---- lifecycle

    async def run(self) -> None:
        """Supervise until `stop`."""
        while self._desired != "stop":
            self._apply_restart()
            end = await self._run_once()
            if end is not None and self._desired == "run":
                await self._recover(end)
        await self._stop_others()
        self._set_state("stopped")

    async def _run_once(self) -> End | None:
        """One process from start to exit; None when the exit was requested."""
        self._started_at, self._ready_at = self._clock(), _NOT_READY
        try:
            process = self._process = self._adopt_standby() or self._launcher.spawn(self.spec)
        except OSError as error:
            return End("start", f"could not start: {error}")
        self._recycling = RecyclePolicy(self._settings)
        self._set_state("starting" if self._ready_at == _NOT_READY else "ready")
        try:
            end = await self._supervise(process)
        except _StandbyReady:
            self._start_draining(process)
            return None
        finally:
            self.past = self.past.with_ended(self._health)
            self._process = self._health = None
        if process is not self._released:
            process.kill_group()  # orphans: workers of a dead master or broker
        return end

    async def _supervise(self, process: Process) -> End | None:
        probe = self._launcher.probe(self.spec, process.pid)
        try:
            if self.state == "starting":
                await self._until_ready(process, probe)
            await self._monitor(process, probe)
        except _Exited:
            return end_of(process.exited.result(), self._reported_failure())
        except MustReplace as fault:
            await self._abort(process, fault.end.detail)
            return fault.end
        except (_Interrupted, _DueForRecycle):
            if process is not self._released:
                await self._stop_gracefully(process)
        finally:
            probe.close()
        return None

    async def _until_ready(self, process: Process, probe: Probe) -> None:
        watch, why = StartWatch(self._settings, self._started_at), None
        while why is None:
            answered = await self._probe_health(process, probe)
            if answered and (self._health is None or self._health.state == "ready"):
                self._ready_at = self._clock()
                self._set_state("ready")
                return
            await self._while_running(process, asyncio.sleep(_START_POLL_S))
            why = watch.stall_reason(self._health, self._clock(), answered=answered)
        raise MustReplace("start", why)

    async def _monitor(self, process: Process, probe: Probe) -> None:
        """Send heartbeats and check health. Only an exception ends it."""
        self._answered_at = self._probed_at = self._memory_ok_at = self._clock()
        timeout_s = self._settings.heartbeat_timeout * self.spec.misses
        interval_s = self._settings.heartbeat_interval
        while True:
            slept_at = self._clock()
            await self._while_running(process, asyncio.sleep(interval_s))
            if self._clock() - slept_at > interval_s + _CLOCK_JUMP_S:
                self._answered_at = self._clock()  # the supervisor itself was suspended: no heartbeat could arrive
            if not await self._probe_health(process, probe):
                self._check_silence(process, timeout_s)
            self._check_step()
            self._check_memory()
            await self._probe_generation(process, probe)
            self._recycle_if_due()

    async def _probe_health(self, process: Process, probe: Probe) -> bool:
        """Probe once and record the health; False when the probe failed."""
        asked_at, timeout_s = self._clock(), self._probe_timeout_s()
        try:
            self._health = await self._while_running(process, probe.ask(timeout_s), _EXIT_REASON_GRACE_S)
        except ProbeError:
            if self._clock() - asked_at > timeout_s + _CLOCK_JUMP_S:
                self._answered_at = self._clock()  # the supervisor itself was suspended
            return False
        self._answered_at, self._activity = self._clock(), process.activity()
        if self._health is not None and self._health.state == "failed":
            await self._while_running(process, asyncio.sleep(_OWN_EXIT_S))
            raise MustReplace(
                "start" if self.state == "starting" else "fault", self._reported_failure() or "it reports state failed"
            )
        return True

    def _probe_timeout_s(self) -> float:
        """HEARTBEAT_TIMEOUT, or until a busy engine's silence is to be looked at."""
        timeout_s, limit_s = self._settings.heartbeat_timeout, silence_limit_s(self._health, self._settings)
        silent_s = self._clock() - self._answered_at
        if self.state != "ready" or limit_s is None:
            return timeout_s
        left_s = limit_s - silent_s if silent_s < limit_s else timeout_s - silent_s
        return max(_LEAST_PROBE_S, min(timeout_s, left_s))

    def _check_silence(self, process: Process, timeout_s: float) -> None:
        """No reply: a hang after HEARTBEAT_TIMEOUT; for a busy engine that has not run at all, sooner."""
        silent_s, limit_s = self._clock() - self._answered_at, silence_limit_s(self._health, self._settings)
        if silent_s >= timeout_s:
            raise MustReplace("heartbeat", f"no heartbeat for {silent_s:.1f} s")
        if limit_s is not None and silent_s >= limit_s and is_halted(self._activity, process.activity(), silent_s):
            raise MustReplace("stall", f"no heartbeat for {silent_s:.1f} s, and it does not run")

    def _check_step(self) -> None:
        if why := stall_reason(self._health.load if self._health else None, self._settings):
            raise MustReplace("stall", why)

    def _check_memory(self) -> None:
        """Replace an engine that stays over the high watermark after clearing its caches; its requests are resumed."""
        now = self._clock()
        if self._health is None or self._health.memory_level != "high":
            self._memory_ok_at = now
        elif now - self._memory_ok_at >= self._settings.memory_recycle_after:
            raise MustReplace("memory", f"over the high watermark for {now - self._memory_ok_at:.0f} s")

    async def _probe_generation(self, process: Process, probe: Probe) -> None:
        """Generate one token when the engine has been idle; running requests are proof of health by themselves."""
        interval_s, load = self._settings.health_probe_interval, self._health.load if self._health else None
        away = self._health is not None and self._health.location != "gpu"  # the weights are offloaded
        if load is None or load.running + load.waiting > 0 or away:
            self._probed_at = self._clock()
        if not interval_s or self._clock() - self._probed_at < interval_s:
            return
        try:
            await self._while_running(process, probe.probe_generation(self._settings.health_probe_timeout))
        except ProbeError as error:
            raise MustReplace("probe", f"probe generation failed: {error}") from None
        self._probed_at = self._answered_at = self._clock()

    def _reported_failure(self) -> str | None:
        return self._health.detail if self._health and self._health.state == "failed" else None

    # ---- recycling

    def _recycle_if_due(self) -> None:
        """Replace a process that is due by a standby; without memory for both, stop it first."""
        now = self._clock()
        if self._standby is not None:
            self._check_standby(self._standby, now)
        elif why := self._recycling.why(self._health, now):
            self._log.info("{} is being recycled: {}", self.spec.name, why)
            if not self._recycling.both_fit(self._health, self._launcher.free_bytes()):
                self._count_restart("recycle")
                raise _DueForRecycle
            try:
                self._standby = Standby(self.spec, self._launcher, self._settings, self._clock)
            except OSError as error:
                self._log.error("{} could not be recycled, standby did not start: {}", self.spec.name, error)
                self._recycling.wait(now + self._settings.breaker_retry)

    def _check_standby(self, standby: Standby, now: float) -> None:
        if self._health is not None and self._health.location == "cpu":
            self._discard_standby()  # the model was offloaded meanwhile; the standby would load it again
        elif standby.ready:
            self._count_restart("recycle")
            raise _StandbyReady
        elif standby.failure is not None:
            self._log.error("{} could not be recycled and keeps running: {}", self.spec.name, standby.failure)
            self._recycling.wait(now + self._settings.breaker_retry)
            self._discard_standby()

    def _adopt_standby(self) -> Process | None:
        """Make the standby, if there is one, the supervised process."""
        standby, self._standby = self._standby, None
        if standby is None:
            return None
        ready = standby.ready
        standby.release()
        try:
            self._launcher.take_over(self.spec)
        except OSError:  # it was not listening yet
            standby.process.kill_group()
            return None
        self._started_at, self._health = standby.started_at, standby.health
        if ready:
            self._ready_at = self._clock()
        return standby.process

    def _discard_standby(self) -> None:
        standby, self._standby = self._standby, None
        if standby is not None:
            standby.release()
            standby.process.kill_group()

    def _start_draining(self, process: Process) -> None:
        task = asyncio.get_running_loop().create_task(self._drain(process))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _drain(self, process: Process) -> None:
        """SIGUSR1 starts the drain; after ENGINE_DRAIN_TIMEOUT the rest is handed over to the successor."""
        process.signal(signal.SIGUSR1)
        await _first_of(process.exited, self._stopped, timeout_s=self._settings.engine_drain_timeout)
        await self._terminate(process)

    async def _stop_others(self) -> None:
        """Stop the standby and wait for draining predecessors."""
        self._discard_standby()
        if self._draining:
            await asyncio.wait(self._draining)

    # ---- termination

    async def _abort(self, process: Process, why: str) -> None:
        self._set_state("stopping", why)
        process.signal(signal.SIGABRT)  # faulthandler dumps the stacks: the only trace of a hang
        activity = process.activity()
        if activity is None or not activity.stopped:  # that one handles no signal
            await self._exits_within(process, _DUMP_S)
        await self._kill(process)

    async def _stop_gracefully(self, process: Process) -> None:
        self._set_state("stopping")
        await self._terminate(process)

    async def _terminate(self, process: Process) -> None:
        process.signal(signal.SIGTERM)
        if not await self._exits_within(process, self.spec.stop_grace_s):
            self._log.warning("{} did not exit within {:g} s, killing it", self.spec.name, self.spec.stop_grace_s)
        await self._kill(process)

    async def _kill(self, process: Process) -> None:
        process.kill_group()
        await asyncio.wait({process.exited}, timeout=_REAP_S)
        if not process.exited.done():
            self._log.error("{} (pid {}) did not exit within {:g} s of SIGKILL", self.spec.name, process.pid, _REAP_S)

    async def _exits_within(self, process: Process, seconds: float) -> bool:
        await _first_of(process.exited, self._killed, timeout_s=seconds)
        return process.exited.done()

    async def _recover(self, end: End) -> None:
        """Count and log the crash, then back off as the policy says."""
        now = self._clock()
        self.last_end = end
        self._count_restart(end.reason)
        pause = self._policy.after(end, now=now, ready_s=max(0.0, now - self._ready_at))
        self._log.bind(reason=end.reason, restarts=sum(self.past.restarts.values())).error(
            "{} is down, {}: {}; next start in {:g} s", self.spec.name, end.reason, pause.detail, pause.delay_s
        )
        if pause.state == "failed" and end.reason == "gpu" and self._fall_back_to_cpu():
            return
        if pause.delay_s > 0:
            self._set_state(pause.state, pause.detail)
            await asyncio.wait({self._interrupted}, timeout=pause.delay_s)

    def _count_restart(self, reason: Reason) -> None:
        self.past = self.past.with_restart(reason)

    def _fall_back_to_cpu(self) -> bool:
        """Run on the CPU after GPU faults, until a restart is requested."""
        if self.spec.without_gpu is None or self.spec is not self._original_spec:
            return False
        self._log.error("{} falls back to the CPU after GPU faults (GPU_FALLBACK)", self.spec.name)
        self.spec = replace(self.spec, argv=(*self.spec.argv, *self.spec.without_gpu))
        self._policy.reset()
        return True

    # ---- waiting and state

    async def _while_running(self, process: Process, work: Coroutine[Any, Any, T], grace_s: float = 0.0) -> T:
        """Run `work` until the process exits (plus `grace_s`) or a command arrives: raises _Exited or _Interrupted."""
        task = asyncio.ensure_future(work)
        try:
            await _first_of(task, process.exited, self._interrupted)
            if self._interrupted.done():
                raise _Interrupted
            if process.exited.done() and grace_s:
                await asyncio.wait({task}, timeout=grace_s)
            if process.exited.done() and not task.done():
                raise _Exited
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _interrupt(self) -> None:
        if not self._interrupted.done():
            self._interrupted.set_result(None)

    def _apply_restart(self) -> None:
        if self._desired == "restart":
            self._desired = "run"
            self.spec = self._original_spec
            self._interrupted = asyncio.get_running_loop().create_future()
            self._policy.reset()

    def _set_state(self, state: ChildState, detail: str | None = None) -> None:
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
