"""The table of models: who asks for which, where each is, and what is done about it. The one writer of `ModelSlot`s.

Runs in the supervisor's event loop. Requests come as leases over the control socket (`lend`); `turns.decide` says what
to do; engines come and go through `Engines`. Engines that crash are restarted by their `Child`, not from here.
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
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import AcquireModel
from src.ipc.messages.status import ChildState, ChildStatus, LoadProgress, ModelStatus
from src.ipc.server import Peer
from src.settings import Settings
from src.supervisor.background import Background
from src.supervisor.catalog_cache import CatalogCache
from src.supervisor.leases import Lease, ModelEntry
from src.supervisor.table import far, size
from src.supervisor.turns import ModelSlot, ResidencyLimits, decide

_TICK_S = 0.25
_PROGRESS_LOG_S = 5.0
_FAILED_RETRY_S = 30.0

_log = logger.bind(stream="model")


class MoveFailed(Exception):
    """An engine did not move its weights; the text says why."""


class Engines(Protocol):
    """What the table does to the world."""

    def start(self, model: str) -> None:
        """Begin to keep a process for this model."""

    async def end(self, model: str) -> None:
        """Stop its process; returns when nothing is left of it."""

    async def move(self, model: str, to: Literal["cpu", "gpu"]) -> None:
        """Have its weights moved. Raises MoveFailed."""

    def worn(self, model: str) -> bool:
        """Whether its process is just being renewed."""

    def status(self, model: str) -> ChildStatus | None: ...

    def name(self, model: str) -> str:
        """Its process in the table of children."""


class ModelTable:
    """All models of one service. Every method belongs to the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        *,
        memory_bytes: int,
        others_busy: Callable[[], bool] = lambda: False,
        scan: Callable[[Settings], dict[str, catalog.CatalogEntry]] = catalog.entries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._others_busy = others_busy
        self._clock = clock
        self._budget = settings.models_memory_mb << 20 or int(settings.mlx_memory_fraction * memory_bytes)
        self._to_cpu_s = settings.gpu_idle_timeout
        self._background = Background(settings.background_idle_seconds, settings.background_pause_seconds, clock())
        self._background_waiting: list[Lease] = []
        self._background_running: Lease | None = None
        self._known = CatalogCache(settings, scan, clock)
        self._entries: dict[str, ModelEntry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._bug: BaseException | None = None  # of a move
        self._wake = asyncio.Event()

    # ---- orders, and what others may see

    def begin(self) -> None:
        """Load what is loaded at start."""
        pinned = catalog.names(self._settings.pinned_models)
        eager = [] if self._settings.lazy_load else [self._settings.default_model]
        for name in dict.fromkeys([*eager, *pinned]):
            entry = self._entry(name)
            entry.returns = entry.place.wanted = True
            entry.place.pinned = name in pinned
        self._round()

    async def lend(self, peer: Peer, wish: AcquireModel) -> None:
        """Answer a `AcquireModel`, and keep the place until the peer closes."""
        loop = asyncio.get_running_loop()
        lease = Lease(wish, self._clock(), loop.create_future(), loop.create_future())
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
            self._give_back(lease)

    def move(self, model: str | None, to: Literal["cpu", "unloaded"]) -> None:
        """Order a model away, or all that are not pinned, as soon as their requests have ended.

        One that is on its way in comes first, for those who wait for it; a load nobody waits for is given up.

        Raises:
            ModelNotFound: naming the models there are.
        """
        chosen = [self._entry(model)] if model is not None else list(self._entries.values())
        for entry in chosen:
            place = entry.place
            if model is None and place.pinned:
                continue
            place.wanted = False
            if place.target == "gpu" and place.location == "unloaded" and to == "unloaded" and not place.waiting:
                place.target = "unloaded"
                self._spawn(self._unload(entry))
            elif "gpu" in (place.location, place.target) or (place.location == "cpu" and to == "unloaded"):
                place.ordered = to
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

    def status(self) -> tuple[ModelStatus, ...]:
        """All that can be named, and those whose folder is gone but not their process."""
        self._refresh()
        left = [name for name, entry in self._entries.items() if entry.place.present]
        return tuple(self._status(self._entry(name)) for name in dict.fromkeys([*self._known.names(), *left]))

    def changed(self, model: str, state: ChildState, why: str | None, *, stalled: bool) -> None:
        """Its process is in a new state. `stalled`: it has just been ended because it never got ready."""
        entry = self._entries.get(model)
        if entry is None:
            return
        place = entry.place
        if state == "ready" and place.target != "unloaded":
            self._ready(entry)
        elif place.target == "gpu" and place.location == "unloaded" and (state in ("backoff", "failed") or stalled):
            self._fail(entry, why or "its process does not start")
        elif place.location == "gpu" and place.target is None and state == "failed":
            self._fail(entry, why or "its process does not come back")
        elif place.location == "cpu" and state in ("starting", "backoff", "failed") and place.target is None:
            place.target = "unloaded"  # it would come back to the device, where nobody asked for it
            self._spawn(self._unload(entry))
        self._wake.set()

    async def run(self) -> None:
        """Decide after everything that happens, and now and then, until cancelled. Raises what a move should not."""
        while True:
            if self._bug is not None:  # its model would be on its way for ever
                raise self._bug
            self._wake.clear()
            self._round()
            try:
                await asyncio.wait_for(self._wake.wait(), _TICK_S)
            except TimeoutError:
                continue

    def close(self) -> None:
        """The service ends: nothing is moved any more. Who waits for a load under way still gets in."""
        self._closing = True
        for task in self._tasks:
            task.cancel()

    # ---- leases

    def _enqueue(self, lease: Lease) -> None:
        model = lease.wish.model
        if model is not None:
            self._check(self._entry(model), retry=lease.wish.retry)
            if lease.wish.retry:
                self._reload(self._entry(model))
        if lease.wish.background:
            self._background_waiting.append(lease)
        elif model is not None:
            self._entry(model).wait(lease)
        self._round()

    def _check(self, entry: ModelEntry, *, retry: bool) -> None:
        """Raise what is known to go wrong, before anybody makes room. `retry`: forget that it failed before."""
        if entry.place.location != "unloaded" or entry.place.target == "gpu":
            return
        why = entry.failure
        if why is None or retry or self._is_old(entry):
            why = self._damage(entry)
            if why is None:
                return
            entry.failed(why, self._clock())
        raise ModelLoadFailed(why, retry_after_s=_FAILED_RETRY_S)

    def _reload(self, entry: ModelEntry) -> None:
        """An order to load counts as carried out when the process is ready, not while a crashed one is on its way back.

        One that waits for its next try starts now, its breaker closed.
        """
        place = entry.place
        if not self._restarting(entry):
            return
        place.location, place.target, place.wanted = "unloaded", "gpu", True
        entry.began_at = self._clock()
        child = self._engines.status(place.name)
        if child is not None and child.state in ("backoff", "failed"):
            self._engines.start(place.name)

    def _restarting(self, entry: ModelEntry) -> bool:
        """Whether its model belongs on the device, and its process has died and does not answer yet."""
        if entry.place.location != "gpu" or entry.place.target is not None:
            return False
        child = self._engines.status(entry.place.name)
        return child is None or child.state in ("starting", "backoff", "failed")

    def _is_old(self, entry: ModelEntry) -> bool:
        """Whether its last failure is so long ago that another try makes sense."""
        return self._clock() - entry.failed_at >= self._settings.breaker_retry

    def _damage(self, entry: ModelEntry) -> str | None:
        self._refresh()
        return self._known.damage(entry.place.name)

    async def _until_granted(self, lease: Lease, peer: Peer) -> None:
        """Raises what the lease ends with; a load under way may take longer than a wait for room."""
        background = lease.wish.background
        patience_s = self._settings.background_timeout if background else self._settings.queue_timeout
        while not lease.granted.done() and not peer.gone.done():
            left = lease.arrived + patience_s - self._clock()
            if left <= 0 and not self._loads(lease):
                raise lease.too_late(patience_s)
            await asyncio.wait(
                {lease.granted, peer.gone}, timeout=max(left, _TICK_S), return_when=asyncio.FIRST_COMPLETED
            )
        if lease.granted.done():
            lease.granted.result()

    def _loads(self, lease: Lease) -> bool:
        """Whether what it waits for is on its way: that has a deadline of its own (START_TIMEOUT)."""
        entry = self._entries.get(lease.wish.model or "")
        return entry is not None and lease in entry.waiting and entry.place.target == "gpu"

    def _give_back(self, lease: Lease) -> None:
        entry = self._entries.get(lease.wish.model or "")
        if lease in self._background_waiting:
            self._background_waiting.remove(lease)
        elif lease is self._background_running:
            self._background_running = None
            self._background.ended(self._clock())
        if entry is not None:
            entry.give_back(lease, self._clock())
        self._wake.set()

    # ---- rounds

    def _round(self) -> None:
        now = self._clock()
        self._let_background_in(now)
        self._try_again()
        limits = ResidencyLimits(
            self._settings.max_concurrent_models,
            self._settings.max_warm_models,
            self._budget,
            self._settings.model_turn,
            IdleTimes(self._to_cpu_s, self._settings.model_unload_timeout),
            self._settings.offload_after_request,
        )
        decision = decide((entry.place for entry in self._entries.values()), limits, now, pressed=self._pressed())
        for name in decision.refuse:
            self._refuse(self._entries[name])
        for name in decision.admit:
            self._entries[name].answer(None, self._clock())
        for name, to in decision.move.items() if not self._closing else ():
            self._start_move(self._entries[name], to)
        self._say_progress(now)

    def _try_again(self) -> None:
        """Those that return by themselves, at the breaker's pace, if their files look whole by now."""
        for entry in self._entries.values():
            if entry.returns and entry.failure is not None and not entry.place.present and self._is_old(entry):
                try:
                    why = self._damage(entry)
                except ModelNotFound as error:
                    why = error.message
                entry.failed(why or entry.failure, self._clock())
                entry.place.wanted = why is None

    def _refuse(self, entry: ModelEntry) -> None:
        """There can be no room for it."""
        name = entry.place.name
        text = f"There is no room for {name!r} beside the pinned models (MAX_CONCURRENT_MODELS, MODELS_MEMORY_MB)."
        entry.answer(BackendUnavailable(text), self._clock())
        if entry.place.wanted:
            _log.error("{}", text)
            entry.place.wanted = False
            entry.failed(text, self._clock())

    def _let_background_in(self, now: float) -> None:
        if self._others_busy() or any(entry.in_demand for entry in self._entries.values()):
            self._background.others(now)
        if self._background_waiting and self._background.may_begin(now):
            lease = self._background_running = self._background_waiting.pop(0)
            self._background.began()
            self._let_in(lease)

    def _let_in(self, lease: Lease) -> None:
        """A background request's time has come; what its model was found to be meanwhile is its answer."""
        if lease.wish.model is None:
            return lease.granted.set_result(None)
        entry = self._entry(lease.wish.model)
        try:
            self._check(entry, retry=False)
        except ServiceError as error:
            return lease.granted.set_exception(error)
        return entry.wait(lease)

    def _pressed(self) -> bool:
        children = (self._engines.status(name) for name, entry in self._entries.items() if entry.place.holds)
        return any(child is not None and child.health and child.health.memory_level == "high" for child in children)

    def _start_move(self, entry: ModelEntry, to: Location) -> None:
        place = entry.place
        came_from, place.target = place.location, to
        if to == "gpu" and came_from == "unloaded":
            self._load(entry)
        else:
            work = {"gpu": self._restore, "cpu": self._offload, "unloaded": self._unload}[to]
            self._spawn(work(entry))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._bug = self._bug or task.exception()
        self._wake.set()

    # ---- moves

    def _load(self, entry: ModelEntry) -> None:
        """Start its process. `changed` hears how that ends: it has a deadline of its own (START_TIMEOUT)."""
        entry.place.target, entry.began_at, entry.said_at = "gpu", self._clock(), self._clock()
        _log.info("{} begins to load, {}", entry.place.name, size(entry.place.size))
        self._engines.start(entry.place.name)

    def _ready(self, entry: ModelEntry) -> None:
        place = entry.place
        if place.location == "gpu":
            return  # it was replaced
        child = self._engines.status(place.name)
        model = child.health.model if child is not None and child.health is not None else None
        place.size = model.weight_bytes or place.size if model is not None else place.size
        entry.failure = None
        self._arrived(entry)

    def _arrived(self, entry: ModelEntry) -> None:
        place = entry.place
        seconds = self._clock() - entry.began_at
        _log.info("{} is on the device after {:.1f} s, {}", place.name, seconds, size(place.size))
        place.location, place.target, place.wanted = "gpu", None, False
        place.since = place.last_used = self._clock()
        entry.answer(None, self._clock())

    def _fail(self, entry: ModelEntry, why: str) -> None:
        entry.failed(why, self._clock())
        _log.error("{} cannot be loaded: {}", entry.place.name, why)
        error = ModelLoadFailed(why, retry_after_s=_FAILED_RETRY_S)
        entry.answer(error, self._clock())
        entry.revoke(error)
        # nothing restarts in a loop: its next request tries again, after BREAKER_RETRY
        entry.place.target, entry.place.wanted = "unloaded", False
        self._spawn(self._unload(entry))

    async def _restore(self, entry: ModelEntry) -> None:
        place, entry.began_at = entry.place, self._clock()
        try:
            await self._engines.move(place.name, "gpu")
        except MoveFailed as error:
            if place.location != "gpu":  # its process may have died, and come back with the model loaded
                _log.warning("{} does not come back to the device: {}; it is loaded anew", place.name, error)
                await self._unload(entry)
        else:
            if place.target == "gpu":  # else it has arrived already, as a new process
                self._arrived(entry)

    async def _offload(self, entry: ModelEntry) -> None:
        place = entry.place
        if self._engines.worn(place.name):  # kept warm, it would be renewed when it is back, and use the device twice
            return await self._unload(entry)
        try:
            await self._engines.move(place.name, "cpu")
        except MoveFailed as error:
            _log.warning("{} does not leave the device: {}; its process is ended", place.name, error)
            await self._unload(entry)
        else:
            place.location, place.target = "cpu", None
            if place.ordered == "cpu":  # else it has to go further
                place.ordered = None
            _log.info("{} has left the device", place.name)
        return None

    async def _unload(self, entry: ModelEntry) -> None:
        place = entry.place
        place.target = "unloaded"
        await self._engines.end(place.name)
        place.location, place.target, place.ordered = "unloaded", None, None
        _log.info("{} is unloaded", place.name)

    # ---- what is known

    def _refresh(self, wanted: str | None = None) -> None:
        """Look at the disk; a model that runs keeps the size it was found to have."""
        for name, found in self._known.refresh(wanted).items():
            if name in self._entries and not self._entries[name].place.present:
                self._entries[name].place.size = found

    def _entry(self, name: str) -> ModelEntry:
        if name not in self._entries:
            self._refresh(name)
            place = ModelSlot(name, self._known.size(name))
            self._entries[name] = ModelEntry(place, name == self._settings.default_model)
        return self._entries[name]

    def _say_progress(self, now: float) -> None:
        for entry in self._entries.values():
            progress = self._progress(entry)
            if progress is not None and now - entry.said_at >= _PROGRESS_LOG_S:
                entry.said_at = now
                _log.info("{} is being loaded: {}", entry.place.name, far(progress))

    def _progress(self, entry: ModelEntry) -> LoadProgress | None:
        if entry.place.target != "gpu" and not self._restarting(entry):
            return None
        child = self._engines.status(entry.place.name)
        progress = child.health.progress if child is not None and child.health is not None else None
        return progress if progress is not None and progress.total_bytes else None

    def _status(self, entry: ModelEntry) -> ModelStatus:
        place, restarting = entry.place, self._restarting(entry)
        return ModelStatus(
            place.name,
            "loading" if restarting else entry.state,
            self._engines.name(place.name),
            size_bytes=place.size,
            pinned=place.pinned,
            wanted=place.wanted or restarting,
            running=place.running,
            waiting=place.waiting,
            idle_s=0.0 if place.busy or place.location == "unloaded" else self._clock() - place.last_used,
            idle_timeout_s=self._to_cpu_s,
            detail=entry.failure,
            progress=self._progress(entry),
        )
