"""The engine's socket, with an upstream server instead of a model: connections in, HTTP requests out, events back.

One event loop does all of it. Each request is one connection and one task; the peer closing closes its HTTP connection,
which is how an OpenAI server cancels. What cannot be recovered here (the server died, or does not respond)
ends this process, so that the supervisor replaces both.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from loguru import logger
from msgspec.structs import replace

from src.engine import prompt, system_messages
from src.engine.deadlines import budget
from src.engine.prompt import TextBound
from src.engine.queue import SequenceLimit
from src.engine.step_times import StepTimes
from src.engine.upstream import errors, tokens
from src.engine.upstream import request as request_body
from src.engine.upstream.client import Client, Unreachable
from src.engine.upstream.continuation import Continuation, continuation
from src.engine.upstream.dialects import ServerFacts, fit, refuse
from src.engine.upstream.exchange import BrokenOff, UpstreamRequest
from src.engine.upstream.queue import QueuedRequest, RequestQueue
from src.errors import (
    BackendUnavailable,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineCrashed,
    InternalError,
    InvalidRequest,
    ModelLoadFailed,
    ModelNotFound,
    ServiceError,
)
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.chat import (
    DetokenizeRequest,
    Finished,
    GenerateRequest,
    HandedOver,
    ScoreRequest,
    Timings,
    TokenizeRequest,
    Usage,
)
from src.ipc.messages.control import Ping, TrimRequest
from src.ipc.messages.status import BackendState, DeviceReading, EngineLoad, Health, MemoryReading, ModelInfo
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer, Server
from src.settings import Settings

_LOADING_RETRY_S = 10.0
# no server tells its vocabulary; entries of well-known models have up to 128
_LONGEST_TOKEN_BYTES = 256
_ALIVE_S = 5.0
_LOOK_S = 0.25  # a deadline comes nearer with the first token of a stream
_EXIT_S = 2.0  # a server that dies breaks its connections a moment before its end is known


class UpstreamServer:
    """Owns the socket. `lost` completes when the upstream server cannot be recovered by this process."""

    def __init__(
        self,
        path: Path,
        model: str,
        engine: str,
        settings: Settings,
        *,
        memory: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._engine = engine
        self._settings = settings
        self._memory = memory
        self._clock = clock
        self._socket = Server(path, self._handle, buffer_bytes=settings.client_buffer_kb << 10)
        self._settled = asyncio.Event()
        self._failure_reported = asyncio.Event()
        self._failure: ModelLoadFailed | None = None
        self._client: Client | None = None
        self._facts: ServerFacts | None = None
        self._queue = RequestQueue(settings.max_num_seqs, settings.priority_ageing, clock)
        self._pace = StepTimes()
        self._open: SequenceLimit[Peer] = SequenceLimit(settings)
        self._steps = self._tokens = self._answers = 0
        self._handing_over = False
        self.idle = asyncio.Event()
        self.idle.set()
        self._last_activity = clock()
        self._load_s: float | None = None
        self.detail: str | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Bind; raises AddressInUse."""
        await self._socket.start()

    def ready(self, client: Client, facts: ServerFacts, load_s: float) -> None:
        """The upstream server serves: admit the waiting requests."""
        self._client, self._facts, self._load_s = client, facts, load_s
        self._queue.places = min(self._queue.places, facts.slots or self._queue.places)
        self.detail = None
        self._settled.set()

    async def failed(self, error: ModelLoadFailed, linger_s: float) -> None:
        """It cannot be started: fail waiting requests and, for up to `linger_s`, report it to the next ping."""
        self._failure, self.detail = error, error.message
        self._settled.set()
        await _first(self._failure_reported.wait(), timeout_s=linger_s)

    async def close(self, *, planned: bool = False) -> None:
        """End. When it is planned, requests that can go on are sent on to the next engine."""
        self._handing_over = planned
        await self._socket.close()

    # ---- connections

    async def _handle(self, peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            if isinstance(message, Ping):
                peer.send(self.health())
                if self._failure is not None:
                    self._failure_reported.set()
            elif isinstance(message, TrimRequest):
                peer.send(Accepted())  # the caches are the server's own
            elif isinstance(message, GenerateRequest | TokenizeRequest | DetokenizeRequest):
                return await self._answer(peer, message)
            else:
                return peer.send(
                    Failed(InvalidRequest.code, f"The engine {self._engine!r} cannot do this.", _asks(message))
                )
        return None

    async def _answer(self, peer: Peer, message: GenerateRequest | TokenizeRequest | DetokenizeRequest) -> None:
        self.idle.clear()
        try:
            self._enter(peer, message)
            await _first(self._settled.wait(), peer.gone, timeout_s=self._settings.queue_timeout)
            if peer.gone.done():
                return
            if isinstance(message, GenerateRequest):
                await self._generate(peer, message)
            else:
                await self._tokenize_or_detokenize(peer, message)
        except ServiceError as error:
            peer.send(Failed.of(error))
        except Unreachable as error:
            await self._handle_broken_connection(str(error))
            peer.send(Failed.of(_broken()))
        finally:
            self._open.leave(peer)
            if not self._open:
                self.idle.set()

    def _enter(self, peer: Peer, message: GenerateRequest | TokenizeRequest | DetokenizeRequest) -> None:
        """Count a request's sequences; raises Overloaded when there is no capacity for them."""
        wait_s = self._pace.wait_s(self._queue.waiting, self._queue.places)
        self._open.enter(peer, message, wait_s)

    async def _tokenize_or_detokenize(self, peer: Peer, message: TokenizeRequest | DetokenizeRequest) -> None:
        """Cancelled when the client has left."""
        model = message.request.model if isinstance(message, TokenizeRequest) else message.model
        client, facts = self._loaded(model)
        _check_length(message, facts)
        peer.send(Accepted())
        asking = asyncio.ensure_future(tokens.tokenize_or_detokenize(message, client, facts))
        try:
            await _first(asking, peer.gone)
            if asking.done():
                peer.send(asking.result())
        finally:
            asking.cancel()

    async def _generate(self, peer: Peer, request: GenerateRequest) -> None:
        client, facts = self._loaded(request.model)
        _check_length(request, facts)
        refuse(request, facts)
        request, set_aside = fit(request, facts)
        peer.send(Accepted())
        if self._queue.running == 0:
            self._last_activity = self._clock()
        turn = self._queue.enter(request, set_aside)
        try:
            await _first(turn.called, peer.gone, timeout_s=self._settings.queue_timeout)
            if peer.gone.done():
                return
            if not turn.called.done():
                waited = f"The request waited {self._clock() - turn.arrived:.0f} s in the queue (QUEUE_TIMEOUT)."
                raise DeadlineExceeded(f"{waited} Try again when there is less load.", retry_after_s=1.0)
            await self._serve(peer, turn, client, facts)
        except asyncio.CancelledError:
            if self._handing_over and turn.resumable:
                peer.send(HandedOver())
            raise
        finally:
            self._queue.leave(turn)

    async def _serve(self, peer: Peer, turn: QueuedRequest, client: Client, facts: ServerFacts) -> None:
        """In the first form of the conversation that the server's chat template takes."""
        _, *others = system_messages.forms(turn.request.messages)
        while True:
            try:
                return await self._serve_form(peer, turn, client, facts)
            except (InvalidRequest, InternalError) as error:
                if not others or turn.begun or isinstance(error, ContextLengthExceeded):
                    raise
                turn.request = replace(turn.request, messages=others.pop(0))

    async def _serve_form(self, peer: Peer, turn: QueuedRequest, client: Client, facts: ServerFacts) -> None:
        request = turn.request
        limit = request.max_tokens or self._settings.default_max_tokens or None
        if request.prefix:
            return await self._go_on(peer, turn, client, facts)
        try:
            await self._run(peer, turn, client, facts, Continuation(request), limit)
        except ContextLengthExceeded:
            if request.max_tokens is not None:
                if request.strict:
                    raise
                turn.set_aside += ("max_tokens",)
            # the server knows what is left; a prompt that is too long fails again
            await self._run(peer, turn, client, facts, Continuation(request), None)
        return None

    async def _go_on(self, peer: Peer, turn: QueuedRequest, client: Client, facts: ServerFacts) -> None:
        """Behind the tokens that an earlier server gave."""
        continued = await continuation(turn.request, client, facts)
        left = continued.request.max_tokens
        if left is None or left > 0:
            return await self._run(peer, turn, client, facts, continued, left)
        usage = Usage(continued.prompt_tokens, continued.kept)
        return peer.send(Finished("length", usage, Timings(self._clock() - turn.arrived, 0.0, 0.0)))

    async def _run(
        self,
        peer: Peer,
        turn: QueuedRequest,
        client: Client,
        facts: ServerFacts,
        continued: Continuation,
        limit: int | None,
    ) -> None:
        request = continued.request
        default = self._settings.default_max_tokens if request.max_tokens is None else 0
        most = limit or default or facts.context_length
        allowed = budget(request, most, self._settings, self._pace.step.value)
        upstream = UpstreamRequest(
            continued, facts.dialect, turn.arrived, allowed, self._clock, facts.revision, turn.set_aside
        )
        turn.upstream = upstream
        path, body = request_body.path(request), request_body.body(request, facts, limit)
        work = asyncio.ensure_future(
            upstream.run(client, path, body, most, peer=peer, pace=self._pace, alive=self._record_activity)
        )
        try:
            await self._until_over(work, peer, upstream)
        except (Unreachable, BrokenOff) as error:
            await self._handle_broken_connection(str(error) or "a response broke off")
            raise await _reason(client, facts, upstream) from None
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)  # closes its connection, which cancels it there

    async def _until_over(self, work: asyncio.Future[int], peer: Peer, upstream: UpstreamRequest) -> None:
        while not work.done():
            await _first(work, peer.gone, timeout_s=min(_LOOK_S, max(0.0, upstream.deadline - self._clock())))
            if peer.gone.done():
                return
            if not work.done() and self._clock() >= upstream.deadline:
                raise upstream.too_late()
        self._tokens += work.result()
        self._answers += 1

    def _record_activity(self) -> None:
        self._steps += 1
        self._last_activity = self._clock()

    async def _handle_broken_connection(self, why: str) -> None:
        """A connection broke. If the server is gone, so is this process; its requests go on in the next one."""
        logger.warning("the upstream server broke a connection: {}", why)
        await _first(self.lost, timeout_s=_EXIT_S)
        if self.lost.done() or await self._is_alive():
            return
        self.lost.set_result(f"the upstream server does not respond: {why}")
        await asyncio.Event().wait()  # until this process exits: an outcome now would end a request that can be resumed

    async def _is_alive(self) -> bool:
        client = self._client
        if client is None:
            return False
        try:
            return (await client.get("/v1/models", _ALIVE_S)).status < 500
        except Unreachable:
            return False

    def _loaded(self, model: str) -> tuple[Client, ServerFacts]:
        if self._failure is not None:
            raise self._failure
        if model != self._model:
            raise ModelNotFound(f"This engine serves {self._model!r}.", param="model")
        if self._client is None or self._facts is None:
            raise BackendUnavailable("The model is still being loaded.", retry_after_s=_LOADING_RETRY_S)
        return self._client, self._facts

    # ---- health

    def health(self) -> Health:
        memory = MemoryReading(psutil.Process().memory_info().rss + self._memory())
        if self._client is None or self._facts is None:
            state: BackendState = "loading" if self._failure is None else "failed"
            return Health(state, os.getpid(), memory, self.detail, self._engine)
        facts = self._facts
        return Health(
            "ready",
            os.getpid(),
            memory,
            self.detail,
            self._engine,
            model=ModelInfo(
                self._model,
                facts.context_length,
                facts.parameters,
                facts.weight_bytes,
                quantization=facts.quantization,
                load_s=self._load_s,
                revision=facts.revision,
                reads_images=facts.reads_images,
            ),
            device=DeviceReading("none", name=f"{facts.dialect.name} at {self._client.url}"),
            load=self._load(),
        )

    def _load(self) -> EngineLoad:
        busy = self._queue.running > 0
        age_s = self._clock() - self._last_activity if busy else 0.0
        return EngineLoad(
            self._queue.running, self._queue.waiting, age_s, self._steps, self._tokens, answers=self._answers
        )


def _asks(message: AnyMessage) -> str | None:
    """The field that asks for what only our own engines compute."""
    return "echo" if isinstance(message, ScoreRequest) else None


def _check_length(message: GenerateRequest | TokenizeRequest | DetokenizeRequest, facts: ServerFacts) -> None:
    """Raises ContextLengthExceeded for what the upstream server would only read to refuse it."""
    if not facts.context_length:
        return None
    if isinstance(message, DetokenizeRequest):
        return prompt.check_ids(len(message.tokens), facts.context_length)
    request = message.request if isinstance(message, TokenizeRequest) else message
    bound = TextBound(facts.context_length, _LONGEST_TOKEN_BYTES)
    return bound.check_bytes(prompt.request_size(request), prompt.param_of(request))


async def _reason(client: Client, facts: ServerFacts, upstream: UpstreamRequest) -> ServiceError:
    """llama_cpp.server breaks off where it should refuse; asked for a whole answer of one token, it says why."""
    if not upstream.begun:
        body = request_body.body(upstream.request, facts, 1, stream=False)
        reply = await client.post(request_body.path(upstream.request), body)
        if reply.status != 200:
            return errors.from_status(reply.status, reply.body, reply.retry_after)
    return _broken()


def _broken() -> EngineCrashed:
    return EngineCrashed("The upstream server broke off this request; it serves others.", retry_after_s=1.0)


async def _first(*what: Any, timeout_s: float | None = None) -> None:
    """Wait for the first of these, for at most `timeout_s`; what is only waited for is not cancelled."""
    waits = {asyncio.ensure_future(one) for one in what}
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits - {one for one in what if isinstance(one, asyncio.Future)}:
            wait.cancel()
