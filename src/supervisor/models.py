"""The table of models: leases, where each model is, and its moves. The one writer of `ModelSlot`s.

Runs in the supervisor's event loop. Requests acquire leases over the control socket (`acquire_lease`); `turns.decide`
decides; `Engines` starts and stops processes. A crashed engine is restarted by its `Child`, not from here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol

from loguru import logger

from src import catalog
from src.errors import BackendUnavailable, ModelLoadFailed, ModelNotFound, ServiceError
from src.gpu.lifecycle import IdleTimes, Location
from src.gpu.memory_plan import budget_bytes
from src.gpu.power import PowerReading
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import AcquireModel
from src.ipc.messages.status import ChildState, ChildStatus, LoadProgress, ModelStatus
from src.ipc.server import Peer
from src.settings import Settings
from src.supervisor.background import Background, Conditions, Hours
from src.supervisor.catalog_cache import CatalogCache
from src.supervisor.leases import Lease, ModelEntry
from src.supervisor.table import load_progress, size
from src.supervisor.turns import ModelSlot, ResidencyLimits, decide

_TICK_S = 0.25
_PROGRESS_LOG_S = 5.0
_FAILED_RETRY_S = 30.0

_log = logger.bind(stream="model")


class MoveFailed(Exception):
    """An engine failed to move its weights; the text says why."""


class Engines(Protocol):
    """The engine processes, as the table of models controls them."""

    def start(self, model: str) -> None:
        """Start a supervised process for this model."""

    async def end(self, model: str) -> None:
        """Stop its process; returns once it has exited."""

    async def move(self, model: str, to: Literal["cpu", "gpu"]) -> None:
        """Move its weights. Raises MoveFailed."""

    def due_for_recycle(self, model: str) -> bool:
        """Whether its process is being replaced by a standby."""

    def status(self, model: str) -> ChildStatus | None: ...

    def name(self, model: str) -> str:
        """The name of its process in the table of children."""


class ModelTable:
    """All models of one service. Every method belongs to the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        *,
        memory_bytes: int,
        other_load: Callable[[], bool] = lambda: False,
        scan: Callable[[Settings], dict[str, catalog.CatalogEntry]] = catalog.entries,
        power: Callable[[], PowerReading] = PowerReading,
        gpu_utilization: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._power = power
        self._gpu_utilization = gpu_utilization
        self._settings = settings
        self._engines = engines
        self._other_load = other_load
        self._clock = clock
        self._budget = budget_bytes(memory_bytes, settings.mlx_memory_fraction, settings.models_memory_mb)
        self._to_cpu_s = settings.gpu_idle_timeout
        self._background = Background(
            settings.background_idle_seconds,
            settings.background_pause_seconds,
            clock(),
            settings.background_max_seqs,
            Hours.parse(settings.background_hours),
            self._conditions,
        )
        self._background_waiting: list[Lease] = []
        self._background_running: set[Lease] = set()
        self._catalog = CatalogCache(settings, scan, clock)
        self._entries: dict[str, ModelEntry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._move_error: BaseException | None = None  # raised by a move
        self._wake = asyncio.Event()

    # ---- commands and status

    def begin(self) -> None:
        """Load the default model (unless LAZY_LOAD) and the pinned ones."""
        pinned = catalog.names(self._settings.pinned_models)
        eager = [] if self._settings.lazy_load else [self._settings.default_model]
        for name in dict.fromkeys([*eager, *pinned]):
            entry = self._entry(name)
            entry.auto_reload = entry.slot.wanted = True
            entry.slot.pinned = name in pinned
        self._reconcile()

    async def acquire_lease(self, peer: Peer, request: AcquireModel) -> None:
        """Grant a lease for an `AcquireModel` request and hold it until the peer closes."""
        loop = asyncio.get_running_loop()
        lease = Lease(request, self._clock(), loop.create_future(), loop.create_future())
        try:
            self._enqueue(lease)
            await self._until_granted(lease, peer)
            if not peer.gone.done():
                peer.send(Accepted())
                ends: set[asyncio.Future[Any]] = {peer.gone, lease.revoked}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if lease.revoked.done():
                peer.send(Failed.of(lease.revoked.result()))
        except ServiceError as error:
            peer.send(Failed.of(error))
        finally:
            self._release(lease)

    def move(self, model: str | None, to: Literal["cpu", "unloaded"]) -> None:
        """Evict a model, or all that are not pinned, as soon as their requests have finished.

        A load that requests wait for completes first; one that no request waits for is cancelled.

        Raises:
            ModelNotFound: lists the available models.
        """
        chosen = [self._entry(model)] if model is not None else list(self._entries.values())
        for entry in chosen:
            slot = entry.slot
            if model is None and slot.pinned:
                continue
            slot.wanted = False
            if slot.target == "gpu" and slot.location == "unloaded" and to == "unloaded" and not slot.waiting:
                slot.target = "unloaded"
                self._spawn(self._unload(entry))
            elif "gpu" in (slot.location, slot.target) or (slot.location == "cpu" and to == "unloaded"):
                slot.requested = to
        self._wake.set()

    def set_idle_timeout(self, seconds: float) -> None:
        self._to_cpu_s = seconds
        self._wake.set()

    def pause_background(self, *, paused: bool) -> None:
        self._background.paused = paused
        self._wake.set()

    @property
    def background_paused(self) -> bool:
        return self._background.paused

    def background_reason(self) -> str | None:
        """Why background requests that wait do; None while none waits."""
        wait = self._background.wait(self._clock()) if self._background_waiting else None
        return wait.text if wait is not None else None

    def background_waited_s(self) -> dict[str, float]:
        """Seconds in which background requests waited, by reason."""
        self._background.account(self._clock(), waiting=bool(self._background_waiting))
        return {str(reason): round(seconds, 3) for reason, seconds in self._background.waited_s.items()}

    def status(self) -> tuple[ModelStatus, ...]:
        """All models in the catalogue, and running ones whose folder was removed."""
        self._refresh()
        left = [name for name, entry in self._entries.items() if entry.slot.has_process]
        return tuple(self._status(self._entry(name)) for name in dict.fromkeys([*self._catalog.names(), *left]))

    def changed(self, model: str, state: ChildState, why: str | None, *, stalled: bool) -> None:
        """Its process changed state. `stalled`: it was killed because it did not become ready."""
        entry = self._entries.get(model)
        if entry is None:
            return
        slot = entry.slot
        if state == "ready" and slot.target != "unloaded":
            self._mark_ready(entry)
        elif slot.target == "gpu" and slot.location == "unloaded" and (state in ("backoff", "failed") or stalled):
            self._fail(entry, why or "its process did not start")
        elif slot.location == "gpu" and slot.target is None and state == "failed":
            self._fail(entry, why or "its process did not restart")
        elif slot.location == "cpu" and state in ("starting", "backoff", "failed") and slot.target is None:
            slot.target = "unloaded"  # a restart would load it on the device without a request
            self._spawn(self._unload(entry))
        self._wake.set()

    async def run(self) -> None:
        """Reconcile after every event, and every _TICK_S, until cancelled. Raises what a move raised unexpectedly."""
        while True:
            if self._move_error is not None:  # its model would stay in transit for ever
                raise self._move_error
            self._wake.clear()
            self._reconcile()
            try:
                await asyncio.wait_for(self._wake.wait(), _TICK_S)
            except TimeoutError:
                continue

    def close(self) -> None:
        """Shutdown: stop moving models. Requests that wait for a load in progress are still admitted."""
        self._closing = True
        for task in self._tasks:
            task.cancel()

    # ---- leases

    def _enqueue(self, lease: Lease) -> None:
        model = lease.request.model
        if model is not None:
            self._check(self._entry(model), retry=lease.request.retry)
            if lease.request.retry:
                self._reload(self._entry(model))
        if lease.request.background:
            self._background_waiting.append(lease)
        elif model is not None:
            self._entry(model).wait(lease)
        self._reconcile()

    def _check(self, entry: ModelEntry, *, retry: bool) -> None:
        """Fail early, before another model is evicted for it. `retry`: ignore an earlier load failure."""
        if entry.slot.location != "unloaded" or entry.slot.target == "gpu":
            return
        why = entry.failure
        if why is None or retry or self._retry_due(entry):
            why = self._damage(entry)
            if why is None:
                return
            entry.failed(why, self._clock())
        raise ModelLoadFailed(why, retry_after_s=_FAILED_RETRY_S)

    def _reload(self, entry: ModelEntry) -> None:
        """Turn the restart of a crashed process into a load, so that the request waits until it is ready.

        A process in backoff starts now, with its circuit breaker closed.
        """
        slot = entry.slot
        if not self._restarting(entry):
            return
        slot.location, slot.target, slot.wanted = "unloaded", "gpu", True
        entry.load_started_at = self._clock()
        child = self._engines.status(slot.name)
        if child is not None and child.state in ("backoff", "failed"):
            self._engines.start(slot.name)

    def _restarting(self, entry: ModelEntry) -> bool:
        """Whether its process crashed while on the device and is not ready again."""
        if entry.slot.location != "gpu" or entry.slot.target is not None:
            return False
        child = self._engines.status(entry.slot.name)
        return child is None or child.state in ("starting", "backoff", "failed")

    def _retry_due(self, entry: ModelEntry) -> bool:
        """Whether BREAKER_RETRY has passed since its last load failure."""
        return self._clock() - entry.failed_at >= self._settings.breaker_retry

    def _damage(self, entry: ModelEntry) -> str | None:
        self._refresh()
        return self._catalog.damage(entry.slot.name)

    async def _until_granted(self, lease: Lease, peer: Peer) -> None:
        """Raises the lease's error; a load in progress may exceed the queue timeout."""
        background = lease.request.background
        timeout_s = self._settings.background_timeout if background else self._settings.queue_timeout
        while not lease.granted.done() and not peer.gone.done():
            left = lease.arrived + timeout_s - self._clock()
            if left <= 0 and not self._is_loading(lease):
                raise lease.timeout_error(timeout_s)
            await asyncio.wait(
                {lease.granted, peer.gone}, timeout=max(left, _TICK_S), return_when=asyncio.FIRST_COMPLETED
            )
        if lease.granted.done():
            lease.granted.result()

    def _is_loading(self, lease: Lease) -> bool:
        """Whether its model is loading, which has its own deadline (START_TIMEOUT)."""
        entry = self._entries.get(lease.request.model or "")
        return entry is not None and lease in entry.waiting and entry.slot.target == "gpu"

    def _release(self, lease: Lease) -> None:
        entry = self._entries.get(lease.request.model or "")
        if lease in self._background_waiting:
            self._background_waiting.remove(lease)
        elif lease in self._background_running:
            self._background_running.remove(lease)
            self._background.finished(self._clock())
        if entry is not None:
            entry.release(lease, self._clock())
        self._wake.set()

    # ---- reconciling

    def _reconcile(self) -> None:
        now = self._clock()
        self._admit_background(now)
        self._retry_failed()
        limits = ResidencyLimits(
            self._settings.max_concurrent_models,
            self._settings.max_warm_models,
            self._budget,
            self._settings.model_turn,
            IdleTimes(self._to_cpu_s, self._settings.model_unload_timeout),
            self._settings.offload_after_request,
        )
        decision = decide(
            (entry.slot for entry in self._entries.values()), limits, now, memory_pressure=self._memory_pressure()
        )
        for name in decision.refuse:
            self._refuse(self._entries[name])
        for name in decision.admit:
            self._entries[name].answer(None, self._clock())
        for name, to in decision.move.items() if not self._closing else ():
            self._start_move(self._entries[name], to)
        self._log_progress(now)

    def _retry_failed(self) -> None:
        """Reload failed `auto_reload` models every BREAKER_RETRY, if their files are intact."""
        for entry in self._entries.values():
            if (
                entry.auto_reload
                and entry.failure is not None
                and not entry.slot.has_process
                and self._retry_due(entry)
            ):
                try:
                    why = self._damage(entry)
                except ModelNotFound as error:
                    why = error.message
                entry.failed(why or entry.failure, self._clock())
                entry.slot.wanted = why is None

    def _refuse(self, entry: ModelEntry) -> None:
        """Fail its requests: it does not fit beside the pinned models."""
        name = entry.slot.name
        text = f"{name!r} does not fit beside the pinned models (MAX_CONCURRENT_MODELS, MODELS_MEMORY_MB)."
        entry.answer(BackendUnavailable(text), self._clock())
        if entry.slot.wanted:
            _log.error("{}", text)
            entry.slot.wanted = False
            entry.failed(text, self._clock())

    def _admit_background(self, now: float) -> None:
        if self._other_load() or any(entry.in_demand for entry in self._entries.values()):
            self._background.record_other_load(now)
        while self._background_waiting and self._background.may_start(now):
            lease = self._background_waiting.pop(0)
            self._background_running.add(lease)
            self._background.started(now)
            self._admit(lease)
        self._background.account(now, waiting=bool(self._background_waiting))

    def _admit(self, lease: Lease) -> None:
        """Admit a background request, or fail it if its model has failed to load meanwhile."""
        if lease.request.model is None:
            return lease.granted.set_result(None)
        entry = self._entry(lease.request.model)
        try:
            self._check(entry, retry=False)
        except ServiceError as error:
            return lease.granted.set_exception(error)
        return entry.wait(lease)

    def _conditions(self) -> Conditions:
        local, power = time.localtime(), self._power()
        on_battery = power.on_battery and not self._settings.background_on_battery
        minute = local.tm_hour * 60 + local.tm_min
        busy = self._gpu_utilization() if self._settings.background_gpu_watermark else None
        above = busy is not None and busy >= self._settings.background_gpu_watermark
        return Conditions(
            minute,
            self._memory_pressure(),
            on_battery,
            power.throttled,
            gpu_busy=busy if above else None,
            gpu_watched=busy is not None,
        )

    def _memory_pressure(self) -> bool:
        children = (self._engines.status(name) for name, entry in self._entries.items() if entry.slot.occupies_device)
        return any(child is not None and child.health and child.health.memory_level == "high" for child in children)

    def _start_move(self, entry: ModelEntry, to: Location) -> None:
        slot = entry.slot
        came_from, slot.target = slot.location, to
        if to == "gpu" and came_from == "unloaded":
            self._load(entry)
        else:
            work = {"gpu": self._restore, "cpu": self._offload, "unloaded": self._unload}[to]
            self._spawn(work(entry))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._move_error = self._move_error or task.exception()
        self._wake.set()

    # ---- moves

    def _load(self, entry: ModelEntry) -> None:
        """Start its process. The result arrives through `changed`, at the latest after START_TIMEOUT."""
        entry.slot.target, entry.load_started_at, entry.logged_at = "gpu", self._clock(), self._clock()
        _log.info("{}: load started, {}", entry.slot.name, size(entry.slot.size))
        self._engines.start(entry.slot.name)

    def _mark_ready(self, entry: ModelEntry) -> None:
        slot = entry.slot
        if slot.location == "gpu":
            return  # the process was replaced
        child = self._engines.status(slot.name)
        model = child.health.model if child is not None and child.health is not None else None
        slot.size = model.weight_bytes or slot.size if model is not None else slot.size
        entry.failure = None
        self._mark_on_device(entry)

    def _mark_on_device(self, entry: ModelEntry) -> None:
        slot = entry.slot
        seconds = self._clock() - entry.load_started_at
        _log.info("{}: on the device after {:.1f} s, {}", slot.name, seconds, size(slot.size))
        slot.location, slot.target, slot.wanted = "gpu", None, False
        slot.since = slot.last_used = self._clock()
        entry.answer(None, self._clock())

    def _fail(self, entry: ModelEntry, why: str) -> None:
        entry.failed(why, self._clock())
        _log.error("{}: load failed: {}", entry.slot.name, why)
        error = ModelLoadFailed(why, retry_after_s=_FAILED_RETRY_S)
        entry.answer(error, self._clock())
        entry.revoke(error)
        # no restart loop: the next request after BREAKER_RETRY loads it again
        entry.slot.target, entry.slot.wanted = "unloaded", False
        self._spawn(self._unload(entry))

    async def _restore(self, entry: ModelEntry) -> None:
        slot, entry.load_started_at = entry.slot, self._clock()
        try:
            await self._engines.move(slot.name, "gpu")
        except MoveFailed as error:
            if slot.location != "gpu":  # its process may have crashed and restarted with the model loaded
                _log.warning("{}: restoring to the device failed: {}; reloading it", slot.name, error)
                await self._unload(entry)
        else:
            if slot.target == "gpu":  # else a restarted process has loaded it already
                self._mark_on_device(entry)

    async def _offload(self, entry: ModelEntry) -> None:
        slot = entry.slot
        if self._engines.due_for_recycle(slot.name):  # its standby would hold the device a second time
            return await self._unload(entry)
        try:
            await self._engines.move(slot.name, "cpu")
        except MoveFailed as error:
            _log.warning("{}: offloading failed: {}; stopping its process", slot.name, error)
            await self._unload(entry)
        else:
            slot.location, slot.target = "cpu", None
            if slot.requested == "cpu":  # else it is unloaded next
                slot.requested = None
            _log.info("{}: offloaded to host memory", slot.name)
        return None

    async def _unload(self, entry: ModelEntry) -> None:
        slot = entry.slot
        slot.target = "unloaded"
        await self._engines.end(slot.name)
        slot.location, slot.target, slot.requested = "unloaded", None, None
        _log.info("{}: unloaded", slot.name)

    # ---- catalogue and status

    def _refresh(self, wanted: str | None = None) -> None:
        """Scan the disk; a running model keeps the size that its engine reported."""
        for name, found in self._catalog.refresh(wanted).items():
            if name in self._entries and not self._entries[name].slot.has_process:
                self._entries[name].slot.size = found

    def _entry(self, name: str) -> ModelEntry:
        if name not in self._entries:
            self._refresh(name)
            slot = ModelSlot(name, self._catalog.size(name))
            self._entries[name] = ModelEntry(slot, name == self._settings.default_model)
        return self._entries[name]

    def _log_progress(self, now: float) -> None:
        for entry in self._entries.values():
            progress = self._progress(entry)
            if progress is not None and now - entry.logged_at >= _PROGRESS_LOG_S:
                entry.logged_at = now
                _log.info("{}: loading, {}", entry.slot.name, load_progress(progress))

    def _progress(self, entry: ModelEntry) -> LoadProgress | None:
        if entry.slot.target != "gpu" and not self._restarting(entry):
            return None
        child = self._engines.status(entry.slot.name)
        progress = child.health.progress if child is not None and child.health is not None else None
        return progress if progress is not None and progress.total_bytes else None

    def _status(self, entry: ModelEntry) -> ModelStatus:
        slot, restarting = entry.slot, self._restarting(entry)
        return ModelStatus(
            slot.name,
            "loading" if restarting else entry.state,
            self._engines.name(slot.name),
            size_bytes=slot.size,
            pinned=slot.pinned,
            wanted=slot.wanted or restarting,
            running=slot.running,
            waiting=slot.waiting,
            idle_s=0.0 if slot.busy or slot.location == "unloaded" else self._clock() - slot.last_used,
            idle_timeout_s=self._to_cpu_s,
            detail=entry.failure,
            progress=self._progress(entry),
        )
