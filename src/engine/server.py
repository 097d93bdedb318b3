"""The engine's I/O thread: connections in, events out. It never touches MLX.

Each request is one connection and one task; the peer closing cancels its sequence. Tokenising happens on a thread of
its own (`encoding`). The scheduler's events arrive once per step (`publish`) and go to their connections. The socket is
bound before the model is loaded: requests wait for it, pings report its progress.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Any

from src import encoders
from src.engine import embedding
from src.engine.backend import Backend, has_formed_tools, is_constrained
from src.engine.encoding import Encoding
from src.engine.fair_executor import PeerGone
from src.engine.guard import MemoryGuard
from src.engine.progress import LoadMeter
from src.engine.queue import SequenceLimit
from src.engine.scheduler import Event, Scheduler, Work
from src.errors import (
    BackendUnavailable,
    InvalidRequest,
    ModelLoadFailed,
    ModelNotFound,
    ServiceError,
    UnsupportedValue,
)
from src.gpu import footprint, memory_plan
from src.gpu.watermarks import Watermarks
from src.ipc.messages.base import Accepted, Failed, Fallback
from src.ipc.messages.chat import (
    Admitted,
    ChoiceEnded,
    Delta,
    DetokenizeRequest,
    Embedded,
    EmbedRequest,
    Finished,
    GenerateRequest,
    HandedOver,
    PromptProgress,
    Scored,
    TokenizeRequest,
)
from src.ipc.messages.control import MoveWeights, Ping, TrimRequest
from src.ipc.messages.status import BackendState, DeviceReading, Health
from src.ipc.server import Peer, Server
from src.settings import Settings

# steps the I/O thread may lag behind before the owner thread waits for it
_MAX_LAG = 64
_LAG_WAIT_S = 5.0
_START_TIMEOUT_S = 10.0
_GUARD_S = 1.0
_LOADING_RETRY_S = 10.0
_READS_S = 30.0

_LAST = (Finished, Failed, HandedOver)  # nothing comes after it
EngineEvent = Delta | PromptProgress | Embedded | Scored | ChoiceEnded | HandedOver | Finished | Failed


class _Subscriber:
    """Where the events of a piece of work go."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.done = asyncio.Event()

    def take(self, message: EngineEvent) -> None:
        self.peer.send(message)


class _Collected(_Subscriber):
    """Keeps what comes until all is there: vectors are large, and made faster than they are read."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer)
        self._kept: list[EngineEvent] = []

    def take(self, message: EngineEvent) -> None:
        self._kept.append(message)

    async def send(self) -> None:
        """All of it, as fast as the peer reads."""
        for message in self._kept:
            self.peer.send(message)
            if not await self.peer.drained(_READS_S):
                return


class EngineServer:
    """Owns the socket and its thread. Methods say which thread may call them."""

    def __init__(
        self,
        path: Path,
        model: str,
        settings: Settings,
        progress: LoadMeter | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        self._path = path
        self._model = model
        self._settings = settings
        self._progress = progress or LoadMeter()
        self._fallback = fallback
        self._health_detail: str | None = None
        self._failure: ModelLoadFailed | None = None
        self._backend: Backend | None = None
        self._scheduler: Scheduler | None = None
        self._guard: MemoryGuard | None = None
        self._open: SequenceLimit[Peer] = SequenceLimit(settings)
        self._handing_over = False
        self._routes: dict[Work, _Subscriber] = {}
        self._lag = threading.BoundedSemaphore(_MAX_LAG)
        self._encoding = Encoding(settings)
        self._bound = threading.Event()
        self._failure_reported = threading.Event()
        self._bind_error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop
        self._settled: asyncio.Event
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="io", daemon=True)

    # ---- owner thread

    def start(self) -> None:
        """Bind and serve. Raises what binding raised."""
        self._thread.start()
        if not self._bound.wait(_START_TIMEOUT_S):
            raise TimeoutError("the engine's socket could not be bound in time")
        if self._bind_error is not None:
            raise self._bind_error

    def ready(self, backend: Backend, scheduler: Scheduler) -> None:
        """The model is warm: admit the waiting requests."""
        self._backend, self._scheduler = backend, scheduler
        self._guard = MemoryGuard(marks(self._settings, backend.device), backend.memory, scheduler.trim)
        self._loop.call_soon_threadsafe(self._settled.set)

    def failed(self, error: ModelLoadFailed, linger_s: float) -> None:
        """The model cannot be loaded: fail waiting requests and, for up to `linger_s`, report it to the next ping."""
        self._failure, self._health_detail = error, error.message
        self._loop.call_soon_threadsafe(self._settled.set)
        self._failure_reported.wait(linger_s)

    def postponed(self, why: str, linger_s: float) -> None:
        """The model cannot be loaded now. Reported to the supervisor as above; waiting requests go on waiting."""
        self._health_detail = why
        self._failure_reported.wait(linger_s)

    def publish(self, events: list[Event]) -> None:
        """Hand one step's events over. Waits only when this thread's own loop lags, never for a client."""
        if not self._lag.acquire(timeout=_LAG_WAIT_S):
            raise RuntimeError(f"the I/O thread has not moved for {_LAG_WAIT_S:g} s")
        self._loop.call_soon_threadsafe(self._deliver, events)

    def hand_over(self) -> None:
        """The end that comes is planned: `stop` will send requests without an outcome on. Safe in a signal handler."""
        self._handing_over = True

    def _in_loop(self, callback: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(callback)

    def stop(self) -> None:
        """Close the socket and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_TIMEOUT_S)
        self._encoding.shutdown()

    # ---- I/O thread

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._settled, self._stop = asyncio.Event(), asyncio.Event()
        server = Server(self._path, self._handle, buffer_bytes=self._settings.client_buffer_kb << 10)
        try:
            await server.start()
        except Exception as error:  # noqa: BLE001  # thread boundary: raised again in `start`
            self._bind_error = error
            return
        finally:
            self._bound.set()
        watch = asyncio.ensure_future(self._watch_memory())
        await self._stop.wait()
        watch.cancel()
        for peer in self._open if self._handing_over else ():
            peer.send(HandedOver())
        await server.close()

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(_GUARD_S)
            if self._guard is not None:
                self._guard.check()

    def _deliver(self, events: list[Event]) -> None:
        self._lag.release()
        for work, message in events:
            route = self._routes.get(work)
            if route is None or route.done.is_set():
                continue
            route.take(message)
            if isinstance(message, _LAST):
                route.done.set()

    async def _handle(self, peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            if isinstance(message, Ping):
                self._answer_ping(peer)
            elif isinstance(message, TrimRequest):
                self._trim(peer)
            elif isinstance(message, MoveWeights):
                return await self._move(peer, message)
            elif isinstance(message, GenerateRequest | EmbedRequest):
                return await self._work(peer, message)
            elif isinstance(message, TokenizeRequest | DetokenizeRequest):
                return await self._tokenize_or_detokenize(peer, message)
            else:
                return peer.send(Failed(InvalidRequest.code, "An engine takes GenerateRequest, EmbedRequest and Ping."))
        return None

    async def _work(self, peer: Peer, request: GenerateRequest | EmbedRequest) -> None:
        try:
            self._enter(peer, request)
            await _first(self._settled, peer.gone, self._settings.queue_timeout)
            if not peer.gone.done():
                if isinstance(request, EmbedRequest):
                    await self._embed(peer, request)
                else:
                    await self._generate(peer, request)
        except ServiceError as error:
            peer.send(Failed.of(error))
        except PeerGone:
            return
        finally:
            self._open.leave(peer)

    async def _move(self, peer: Peer, message: MoveWeights) -> None:
        """Answered when it is done; the supervisor's patience is the deadline."""
        moved = asyncio.Event()
        if self._scheduler is None:
            return peer.send(Failed(BackendUnavailable.code, "The model is not loaded yet."))
        self._scheduler.move(message.to, lambda: self._in_loop(moved.set))
        await _first(moved, peer.gone)
        return peer.send(self.health())

    def _trim(self, peer: Peer) -> None:
        if self._scheduler is not None:
            self._scheduler.trim()
        peer.send(Accepted())

    async def _tokenize_or_detokenize(self, peer: Peer, message: TokenizeRequest | DetokenizeRequest) -> None:
        """Text to tokens or back: a response of one message, for which nothing is computed."""
        try:
            await _first(self._settled, peer.gone)
            if not peer.gone.done():
                model = message.request.model if isinstance(message, TokenizeRequest) else message.model
                backend, _ = self._loaded(model)
                peer.send(Accepted())
                peer.send(await self._encoding.tokenize_or_detokenize(message, backend, peer.gone))
        except ServiceError as error:
            peer.send(Failed.of(error))
        except PeerGone:
            return

    def _enter(self, peer: Peer, request: GenerateRequest | EmbedRequest) -> None:
        """Count a request's sequences; raises Overloaded when there is no capacity for them."""
        wait_s = self._scheduler.retry_after_s() if self._scheduler else 1.0
        self._open.enter(peer, request, wait_s)

    async def _generate(self, peer: Peer, request: GenerateRequest) -> None:
        resumed = bool(request.prefix) or any(choice.prefix for choice in request.choices)
        backend, scheduler = self._accept(peer, request.model, resumed=resumed)
        _check_generates(backend)
        encoding, seconds_per_token = self._encoding, scheduler.pace.step.value
        formed = is_constrained(request) or has_formed_tools(request)
        grammar = await encoding.grammar(request, backend, peer.gone) if formed else None
        sequences = await encoding.sequences(request, backend, seconds_per_token, grammar, peer.gone)
        first = sequences[0]
        revision = backend.info.revision
        peer.send(Admitted(len(first.prompt), first.max_tokens, self._fallback, revision, first.set_aside))
        await self._follow(sequences, _Subscriber(peer), scheduler)

    async def _embed(self, peer: Peer, request: EmbedRequest) -> None:
        arrived = time.monotonic()
        backend, scheduler = self._accept(peer, request.model, resumed=request.retried)
        embedding.check(request, backend)
        texts = await self._encoding.texts(request, backend, peer.gone)
        info = backend.info
        job = embedding.accept(request, texts, arrived, self._settings, normalizes=info.normalizes)
        peer.send(Admitted(job.tokens, 0, self._fallback, revision=info.revision, kind=info.kind))
        route = _Collected(peer)
        await self._follow([job], route, scheduler)
        await route.send()

    def _accept(self, peer: Peer, model: str, *, resumed: bool) -> tuple[Backend, Scheduler]:
        """Admit a request; raises what refuses it. A resumed request is always admitted."""
        backend, scheduler = self._loaded(model)
        if self._guard is not None and not resumed:
            self._guard.admit()
        peer.send(Accepted())
        return backend, scheduler

    async def _follow(self, works: Seq[Work], route: _Subscriber, scheduler: Scheduler) -> None:
        """Until the outcome, or until the peer is gone."""
        self._routes |= dict.fromkeys(works, route)
        try:
            for work in works:
                scheduler.submit(work)
            await _first(route.done, route.peer.gone)
        finally:
            for work in works:
                del self._routes[work]
                if not route.done.is_set() or len(works) > 1:
                    scheduler.cancel(work)

    def _loaded(self, model: str) -> tuple[Backend, Scheduler]:
        if self._failure is not None:
            raise self._failure
        if model != self._model:
            raise ModelNotFound(f"This engine serves {self._model!r}.", param="model")
        if self._backend is None or self._scheduler is None:
            raise BackendUnavailable("The model is still being loaded.", retry_after_s=_LOADING_RETRY_S)
        return self._backend, self._scheduler

    def _answer_ping(self, peer: Peer) -> None:
        health = self.health()
        peer.send(health)
        if health.state == "failed":  # as it was told: the load may have failed since
            self._failure_reported.set()

    def health(self) -> Health:
        backend, scheduler = self._backend, self._scheduler
        if backend is None or scheduler is None:
            state: BackendState = "loading" if self._health_detail is None else "failed"
            reading = self._progress.reading()
            return Health(state, os.getpid(), footprint.own(), detail=self._health_detail, progress=reading)
        return Health(
            "ready",
            os.getpid(),
            backend.memory(),
            detail=self._guard.detail if self._guard else None,
            memory_level=self._guard.level if self._guard else "normal",
            engine=backend.name,
            model=backend.info,
            device=backend.device,
            load=scheduler.load(),
            location=scheduler.location,
        )


def _check_generates(backend: Backend) -> None:
    if (kind := backend.info.kind) != "chat":
        raise UnsupportedValue(encoders.NO_CHAT[kind], param="model")


def marks(settings: Settings, device: DeviceReading) -> Watermarks:
    """This engine's watermarks: of its own budget, or of the device's memory, or of the machine's."""
    total = device.memory_total_bytes or memory_plan.read().total
    budget = memory_plan.budget_bytes(total, settings.mlx_memory_fraction, settings.memory_budget_mb)
    return Watermarks(budget, settings.memory_low_watermark, settings.memory_high_watermark)


async def _first(event: asyncio.Event, gone: asyncio.Future[None], timeout_s: float | None = None) -> None:
    """Wait for an event or for the peer to go, whichever is first, for at most `timeout_s`."""
    task = asyncio.ensure_future(event.wait())
    either: set[asyncio.Future[Any]] = {task, gone}
    try:
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
