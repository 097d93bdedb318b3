"""The table of models: who asks for which, where each is, and what is done about it. The one writer of `Place`s.

Runs in the supervisor's event loop. Requests come as leases over the control socket (`lend`); `turns.decide` says what
to do; engines come and go through `Engines`. Engines that crash are restarted by their `Child`, not from here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from loguru import logger

from src import catalog
from src.errors import BackendUnavailable, DeadlineExceeded, ModelLoadFailed, ModelNotFound, ServiceError
from src.gpu.lifecycle import IdleTimes, Location
from src.ipc.messages import (
    Accepted,
    ChildState,
    ChildStatus,
    Failed,
    LoadProgress,
    ModelState,
    ModelStatus,
    UseModel,
)
from src.ipc.server import Peer
from src.settings import Settings
from src.supervisor.background import Background
from src.supervisor.table import far, size
from src.supervisor.turns import Limits, Place, decide

_TICK_S = 0.25
_SCAN_S = 1.0
_PROGRESS_LOG_S = 5.0
_ROOM_RETRY_S = 5.0
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

    def status(self, model: str) -> ChildStatus | None: ...

    def name(self, model: str) -> str:
        """Its process in the table of children."""


@dataclass(eq=False)
class _Lease:
    """One request's place at a model. `granted` ends with None, or with the error to answer."""

    wish: UseModel
    arrived: float
    granted: asyncio.Future[None]


@dataclass(eq=False)
class _Entry:
    """A model, its leases, and why it failed last."""

    place: Place
    kept: bool  # its process is kept through failures: pinned, or loaded at start
    waiting: list[_Lease] = field(default_factory=list)
    running: set[_Lease] = field(default_factory=set)
    failure: str | None = None
    failed_at: float = 0.0
    began_at: float = 0.0
    said_at: float = 0.0


class Models:
    """All models of one service. Every method belongs to the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        *,
        memory_bytes: int,
        others_busy: Callable[[], bool] = lambda: False,
        scan: Callable[[Settings], dict[str, catalog.Entry]] = catalog.entries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._others_busy = others_busy
        self._scan = scan
        self._clock = clock
        self._budget = settings.models_memory_mb << 20 or int(settings.mlx_memory_fraction * memory_bytes)
        self._to_cpu_s = settings.gpu_idle_timeout
        self._background = Background(settings.background_idle_seconds, settings.background_pause_seconds, clock())
        self._background_waiting: list[_Lease] = []
        self._background_running: _Lease | None = None
        self._known: dict[str, catalog.Entry] = {}
        self._scanned_at = float("-inf")
        self._entries: dict[str, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    # ---- orders, and what others may see

    def begin(self) -> None:
        """Load what is loaded at start."""
        self._refresh()
        pinned = catalog.names(self._settings.pinned_models)
        eager = [] if self._settings.lazy_load else [self._settings.default_model]
        for name in dict.fromkeys([*eager, *pinned]):
            entry = self._entry(name)
            entry.kept, entry.place.pinned = True, name in pinned
            self._load(entry)

    async def lend(self, peer: Peer, wish: UseModel) -> None:
        """Answer a `UseModel`, and keep the place until the peer closes."""
        lease = _Lease(wish, self._clock(), asyncio.get_running_loop().create_future())
        try:
            self._enqueue(lease)
            await self._until_granted(lease, peer)
            if not peer.gone.done():
                peer.send(Accepted())
                await asyncio.wait({peer.gone})
        except ServiceError as error:
            peer.send(Failed.of(error))
        finally:
            self._give_back(lease)

    def move(self, model: str | None, to: Literal["cpu", "unloaded"]) -> None:
        """Order a model away, or all that are not pinned, as soon as their requests have ended.

        Raises:
            ModelNotFound: naming the models there are.
        """
        chosen = [self._entry(model)] if model is not None else list(self._entries.values())
        for entry in chosen:
            place = entry.place
            if model is None and place.pinned:
                continue
            if place.location == "gpu" or (place.location == "cpu" and to == "unloaded"):
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
        self._refresh()
        return tuple(self._status(self._entry(name)) for name in self._known)

    def changed(self, model: str, state: ChildState, why: str | None, *, stalled: bool) -> None:
        """Its process is in a new state. `stalled`: it has just been ended because it never got ready."""
        entry = self._entries.get(model)
        if entry is None:
            return
        place = entry.place
        if state == "ready":
            self._ready(entry)
        elif place.target == "gpu" and place.location == "unloaded" and (state in ("backoff", "failed") or stalled):
            self._fail(entry, why or "its process does not start")
        elif place.location == "cpu" and state in ("starting", "backoff", "failed") and place.target is None:
            place.target = "unloaded"  # it would come back to the device, where nobody asked for it
            self._spawn(self._unload(entry))
        self._wake.set()

    async def run(self) -> None:
        """Decide after everything that happens, and now and then, until cancelled."""
        while True:
            self._wake.clear()
            self._round()
            try:
                await asyncio.wait_for(self._wake.wait(), _TICK_S)
            except asyncio.TimeoutError:
                continue

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    # ---- leases

    def _enqueue(self, lease: _Lease) -> None:
        model = lease.wish.model
        if model is not None:
            self._check(self._entry(model), retry=lease.wish.retry)
        if lease.wish.background:
            self._background_waiting.append(lease)
        elif model is not None:
            self._wait(self._entry(model), lease)
        self._round()

    def _check(self, entry: _Entry, *, retry: bool) -> None:
        """Raise what is known to go wrong, before anybody makes room. `retry`: forget that it failed before."""
        place = entry.place
        if retry and entry.failure is not None:
            entry.failure = None
            if entry.kept and place.target == "gpu":
                self._engines.start(place.name)
        if place.location != "unloaded" or (place.target is not None and entry.failure is None):
            return
        recent = self._clock() - entry.failed_at < self._settings.breaker_retry
        if entry.failure is not None and (recent or entry.kept):
            raise ModelLoadFailed(entry.failure, retry_after_s=_FAILED_RETRY_S)
        folder = self._known[place.name].folder
        if folder is not None and self._settings.inference_engine != "fake" and (why := catalog.damage(folder)):
            entry.failure, entry.failed_at = f"The model {place.name!r} cannot be loaded: {why}.", self._clock()
            raise ModelLoadFailed(entry.failure, retry_after_s=_FAILED_RETRY_S)

    async def _until_granted(self, lease: _Lease, peer: Peer) -> None:
        """Raises what the lease ends with; a load under way may take longer than a wait for room."""
        background = lease.wish.background
        patience_s = self._settings.background_timeout if background else self._settings.queue_timeout
        while not lease.granted.done() and not peer.gone.done():
            left = lease.arrived + patience_s - self._clock()
            if left <= 0 and not self._loads(lease):
                raise _too_late(lease, patience_s)
            await asyncio.wait(
                {lease.granted, peer.gone}, timeout=max(left, _TICK_S), return_when=asyncio.FIRST_COMPLETED
            )
        if lease.granted.done():
            lease.granted.result()

    def _loads(self, lease: _Lease) -> bool:
        """Whether what it waits for is on its way: that has a deadline of its own (START_TIMEOUT)."""
        entry = self._entries.get(lease.wish.model or "")
        return entry is not None and lease in entry.waiting and entry.place.target == "gpu"

    def _wait(self, entry: _Entry, lease: _Lease) -> None:
        entry.waiting.append(lease)
        self._sync(entry)

    def _give_back(self, lease: _Lease) -> None:
        entry = self._entries.get(lease.wish.model or "")
        if lease in self._background_waiting:
            self._background_waiting.remove(lease)
        elif lease is self._background_running:
            self._background_running = None
            self._background.ended(self._clock())
        if entry is not None:
            if lease in entry.waiting:
                entry.waiting.remove(lease)
            if lease in entry.running:
                entry.running.discard(lease)
                entry.place.last_used = self._clock()
            self._sync(entry)
        self._wake.set()

    def _sync(self, entry: _Entry) -> None:
        place = entry.place
        place.running, place.waiting = len(entry.running), len(entry.waiting)
        place.oldest = min((lease.arrived for lease in entry.waiting), default=0.0)

    def _answer(self, entry: _Entry, error: ServiceError | None) -> None:
        """Let in all who wait, or tell them why not."""
        for lease in entry.waiting:
            if lease.granted.done():
                continue
            if error is None:
                entry.running.add(lease)
                lease.granted.set_result(None)
            else:
                lease.granted.set_exception(error)
        entry.waiting.clear()
        entry.place.last_used = self._clock()
        self._sync(entry)

    # ---- rounds

    def _round(self) -> None:
        now = self._clock()
        self._let_background_in(now)
        limits = Limits(
            self._settings.max_concurrent_models,
            self._settings.max_warm_models,
            self._budget,
            self._settings.model_turn,
            IdleTimes(self._to_cpu_s, self._settings.model_unload_timeout),
            self._settings.offload_after_request,
        )
        decision = decide((entry.place for entry in self._entries.values()), limits, now, pressed=self._pressed())
        for name in decision.refuse:
            text = f"There is no room for {name!r} beside the pinned models (MAX_CONCURRENT_MODELS, MODELS_MEMORY_MB)."
            self._answer(self._entries[name], BackendUnavailable(text))
        for name in decision.admit:
            self._answer(self._entries[name], None)
        for name, to in decision.move.items():
            self._start_move(self._entries[name], to)
        self._say_progress(now)

    def _let_background_in(self, now: float) -> None:
        chat = any(
            not lease.wish.background for entry in self._entries.values() for lease in (*entry.waiting, *entry.running)
        )
        if chat or self._others_busy():
            self._background.others(now)
        if self._background_waiting and self._background.may_begin(now):
            lease = self._background_running = self._background_waiting.pop(0)
            self._background.began()
            if lease.wish.model is None:
                lease.granted.set_result(None)
            else:
                self._wait(self._entry(lease.wish.model), lease)

    def _pressed(self) -> bool:
        children = (self._engines.status(name) for name, entry in self._entries.items() if entry.place.holds)
        return any(child is not None and child.health and child.health.memory_level == "high" for child in children)

    def _start_move(self, entry: _Entry, to: Location) -> None:
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
        if not task.cancelled() and (error := task.exception()):
            logger.opt(exception=error).error("moving a model failed")
        self._wake.set()

    # ---- moves

    def _load(self, entry: _Entry) -> None:
        """Start its process. `changed` hears how that ends: it has a deadline of its own (START_TIMEOUT)."""
        entry.place.target, entry.began_at, entry.said_at = "gpu", self._clock(), self._clock()
        _log.info("{} is loaded, {}", entry.place.name, size(entry.place.size))
        self._engines.start(entry.place.name)

    def _ready(self, entry: _Entry) -> None:
        place = entry.place
        if place.location == "gpu":
            return  # it was replaced
        child = self._engines.status(place.name)
        model = child.health.model if child is not None and child.health is not None else None
        place.size = model.weight_bytes or place.size if model is not None else place.size
        entry.failure = None
        self._arrived(entry)

    def _arrived(self, entry: _Entry) -> None:
        place = entry.place
        seconds = self._clock() - entry.began_at
        _log.info("{} is on the device after {:.1f} s, {}", place.name, seconds, size(place.size))
        place.location, place.target, place.ordered = "gpu", None, None
        place.since = place.last_used = self._clock()

    def _fail(self, entry: _Entry, why: str) -> None:
        entry.failure, entry.failed_at = why, self._clock()
        _log.error("{} cannot be loaded: {}", entry.place.name, why)
        self._answer(entry, ModelLoadFailed(why, retry_after_s=_FAILED_RETRY_S))
        if not entry.kept:  # nothing restarts in a loop: its next request tries again, after BREAKER_RETRY
            entry.place.target = "unloaded"
            self._spawn(self._unload(entry))

    async def _restore(self, entry: _Entry) -> None:
        place, entry.began_at = entry.place, self._clock()
        try:
            await self._engines.move(place.name, "gpu")
        except MoveFailed as error:
            if place.location != "gpu":  # its process may have died, and come back with the model loaded
                _log.warning("{} does not come back to the device: {}; it is loaded anew", place.name, error)
                await self._unload(entry)
        else:
            self._arrived(entry)

    async def _offload(self, entry: _Entry) -> None:
        place = entry.place
        try:
            await self._engines.move(place.name, "cpu")
        except MoveFailed as error:
            _log.warning("{} does not leave the device: {}; its process is ended", place.name, error)
            await self._unload(entry)
        else:
            place.location, place.target, place.ordered = "cpu", None, None
            _log.info("{} has left the device", place.name)

    async def _unload(self, entry: _Entry) -> None:
        place = entry.place
        place.target = "unloaded"
        await self._engines.end(place.name)
        place.location, place.target, place.ordered = "unloaded", None, None
        _log.info("{} is unloaded", place.name)

    # ---- what is known

    def _refresh(self) -> None:
        """Look at the disk, once a second at most."""
        if self._clock() - self._scanned_at >= _SCAN_S:
            self._known, self._scanned_at = self._scan(self._settings), self._clock()

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            self._refresh()
            if name not in self._known:
                raise ModelNotFound(f"No such model. Available: {', '.join(self._known)}.", param="model")
            self._entries[name] = _Entry(Place(name, self._known[name].size), kept=False)
        return self._entries[name]

    def _say_progress(self, now: float) -> None:
        for entry in self._entries.values():
            progress = self._progress(entry)
            if progress is not None and now - entry.said_at >= _PROGRESS_LOG_S:
                entry.said_at = now
                _log.info("{} is being loaded: {}", entry.place.name, far(progress))

    def _progress(self, entry: _Entry) -> LoadProgress | None:
        if entry.place.target != "gpu":
            return None
        child = self._engines.status(entry.place.name)
        return child.health.progress if child is not None and child.health is not None else None

    def _status(self, entry: _Entry) -> ModelStatus:
        place = entry.place
        return ModelStatus(
            place.name,
            _state(entry),
            self._engines.name(place.name),
            size_bytes=place.size,
            pinned=place.pinned,
            running=place.running,
            waiting=place.waiting,
            idle_s=0.0 if place.busy or place.location == "unloaded" else self._clock() - place.last_used,
            idle_timeout_s=self._to_cpu_s,
            detail=entry.failure,
            progress=self._progress(entry),
        )


_UNDER_WAY: dict[tuple[Location, Location], ModelState] = {
    ("unloaded", "gpu"): "loading",
    ("unloaded", "unloaded"): "unloading",
    ("cpu", "gpu"): "restoring",
    ("cpu", "unloaded"): "unloading",
    ("gpu", "cpu"): "offloading",
    ("gpu", "unloaded"): "unloading",
}


def _state(entry: _Entry) -> ModelState:
    place = entry.place
    if place.location == "unloaded" and entry.failure is not None:
        return "failed"
    if place.target is None:
        return place.location
    return _UNDER_WAY[place.location, place.target]


def _too_late(lease: _Lease, patience_s: float) -> ServiceError:
    if lease.wish.background:
        return DeadlineExceeded(
            f"There was no quiet time for a background request within {patience_s:g} s (BACKGROUND_TIMEOUT).",
            retry_after_s=_ROOM_RETRY_S,
        )
    return BackendUnavailable(
        f"Other models kept the device for {patience_s:g} s (QUEUE_TIMEOUT, MAX_CONCURRENT_MODELS).",
        retry_after_s=_ROOM_RETRY_S,
    )
