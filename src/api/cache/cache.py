"""Answers that need not be computed twice: deterministic requests, and identical ones in flight. Web process.

`chat` passes every request `through`; what comes back is iterated like a `Generation`. An answer is kept as the
engine's own events, so that it can be streamed or sent whole. Its key covers everything that makes it: the revision
that the model's engine told when it took the request, all fields of the request, and whose API key asks: nobody is
answered from another's cache, nor from other weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec
from flask import Flask, Response, copy_current_request_context, g, request
from gevent.event import Event as Signal

from src.api.cache.stores import CacheKey, MemoryStore, RedisStore, Store
from src.api.edge import auth
from src.api.generation.streaming import Answering, Event, admitted
from src.ipc.framing import Decoder, FramingError, encode
from src.ipc.messages.chat import Admitted, Finished, GenerateRequest, PromptProgress
from src.metrics import Metrics
from src.settings import VERSION, Settings

_LARGEST = 1 << 20
_HEADER = "X-Cache"


class Made(Answering[Event], Protocol):
    """An answer that an engine makes: it tells what it has loaded, and as it took the request, what it set aside."""

    @property
    def revision(self) -> str: ...

    @property
    def admission(self) -> Admitted | None: ...


Open = Callable[[], Made]
KeyOf = Callable[[str], CacheKey]  # by revision
Disclose = Callable[[tuple[str, ...]], None]  # fields that the engine set aside, for another request's answer


def install(app: Flask) -> None:
    """Say in the response what the cache did."""

    def mark(response: Response) -> Response:
        if result := g.pop("cache", None):
            response.headers[_HEADER] = result
        return response

    app.after_request(mark)


class Cache:
    """One per web process."""

    def __init__(self, settings: Settings, revision: Callable[[str], str | None], metrics: Metrics) -> None:
        self._on = settings.enable_caching
        self._patience_s = settings.sse_ping_seconds
        self._revision = revision
        self._metrics = metrics
        self._store: Store = (
            RedisStore(settings.redis_url, settings.cache_ttl)
            if settings.redis_url and settings.enable_caching
            else MemoryStore(settings.cache_size, settings.cache_mb << 20, settings.cache_ttl)
        )
        self._leaders: dict[CacheKey, Leader] = {}

    def through(
        self,
        generate: GenerateRequest,
        open_generation: Open,
        *,
        seeded: bool = False,
        disclose: Disclose = lambda _: None,
    ) -> Answering[Event]:
        """The kept answer, the one that is being made for someone else, or a new one.

        `seeded`: the client chose the seed; every other request has one of its own, by chance. `disclose`: is told what
        the engine set aside for an answer that is not made anew; of a new one its generation tells.
        """
        directives = request.headers.get("Cache-Control", "").lower()
        if not self._on or not (seeded or generate.sampling.temperature == 0) or "no-store" in directives:
            return open_generation()
        revision = self._revision(generate.model)
        if revision is None:
            return open_generation()
        key_of = partial(_key, _alike(generate), auth.owner())
        return self._answer(key_of, revision, open_generation, disclose, look="no-cache" not in directives)

    def _answer(
        self, key_of: KeyOf, revision: str, open_generation: Open, disclose: Disclose, *, look: bool = True
    ) -> Answering[Event]:
        key = key_of(revision)
        kept = decode(self._store.get(key)) if look else None
        if kept and kept.events:
            self._count("hit", "hit")
            disclose(kept.set_aside)
            return Replay(kept.events)
        leader = self._leaders.get(key)
        if leader is not None and look:
            self._count("hit", "shared")
            # a streamed follower asks again when Flask's context is gone
            again = copy_current_request_context(
                lambda: admitted(self._answer(key_of, revision, open_generation, disclose))
            )
            return Follower(leader, again, self._patience_s, disclose)
        self._count("miss", "miss")
        made = Leader(open_generation, lambda events: self._finished(key, key_of(made.revision), made, events))
        self._leaders[key] = made
        return made

    def _finished(self, asked: CacheKey, made: CacheKey, leader: Leader, events: bytes | None) -> None:
        """`asked`: by the revision that was looked for; `made`: by the one whose engine answered."""
        if self._leaders.get(asked) is leader:
            del self._leaders[asked]
        if events is not None and leader.revision and len(events) <= _LARGEST:
            self._store.put(made, events)

    def _count(self, header: str, result: str) -> None:
        g.setdefault("cache", header)
        self._metrics.cache_requests.labels(result).inc()


def _alike(generate: GenerateRequest) -> GenerateRequest:
    """The request without how it is asked for: that does not change what is answered."""
    greedy = generate.sampling.temperature == 0
    sampling = msgspec.structs.replace(generate.sampling, seed=0) if greedy else generate.sampling
    asked = msgspec.structs.replace(generate, timeout_s=None, stream=False, priority="normal", progress=False)
    return msgspec.structs.replace(asked, id="", sampling=sampling)


def _key(alike: GenerateRequest, owner: str, revision: str) -> CacheKey:
    return CacheKey(owner, hashlib.sha256(msgspec.msgpack.encode((VERSION, revision, owner, alike))).hexdigest())


class Leader:
    """Makes an answer, remembers its events, and tells those who wait for it."""

    def __init__(self, open_generation: Open, on_end: Callable[[bytes | None], None]) -> None:
        self._open = open_generation
        self._on_end = on_end
        self._inner: Made | None = None
        self._events: list[Event] = []
        self.taken, self.over = Signal(), Signal()
        self.kept: bytes | None = None

    @property
    def set_aside(self) -> tuple[str, ...]:
        admission = self._inner.admission if self._inner is not None else None
        return admission.set_aside if admission is not None else ()

    @property
    def prompt_tokens(self) -> int:
        return self._inner.prompt_tokens if self._inner is not None else 0

    @property
    def progress(self) -> PromptProgress | None:
        return self._inner.progress if self._inner is not None else None

    @property
    def revision(self) -> str:
        """What the engine that makes it has loaded; empty before it was taken."""
        return self._inner.revision if self._inner is not None else ""

    def admitted(self) -> bool:
        try:
            if self._inner is None:
                self._inner = self._open()
            if admitted := self._inner.admitted():
                self.taken.set()
            return admitted
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[list[Event]]:
        if self._inner is None:
            return
        for batch in self._inner.batches():
            self._events += batch
            if batch and isinstance(batch[-1], Finished):
                told = Admitted(0, 0, set_aside=self.set_aside)
                self._end(b"".join(map(encode, (told, *self._events))))
            yield batch

    def close(self) -> None:
        """Ended early, there is nothing to keep."""
        if self._inner is not None:
            self._inner.close()
        self._end(None)

    def _end(self, events: bytes | None) -> None:
        if not self.over.is_set():
            self.kept = events
            self._on_end(events)
            self.over.set()
            self.taken.set()


class Follower:
    """Waits for a leader's answer; if there comes none, asks again."""

    def __init__(
        self,
        leader: Leader,
        ask_again: Callable[[], Answering[Event]],
        patience_s: float,
        disclose: Disclose = lambda _: None,
    ) -> None:
        self._leader = leader
        self._disclose = disclose
        self._ask_again = ask_again
        self._patience_s = patience_s
        self._successor: Answering[Event] | None = None

    prompt_tokens = 0  # its usage says, in the end
    progress = None

    def admitted(self) -> bool:
        """When the leader is: then it is known what is set aside."""
        if not self._leader.taken.wait(self._patience_s):
            return False
        self._disclose(self._leader.set_aside)
        return True

    def batches(self) -> Iterator[list[Event]]:
        # the leader has a deadline, and ends at the latest with it
        while not self._leader.over.wait(self._patience_s):
            yield []
        if self._leader.kept is not None:
            kept = decode(self._leader.kept)
            yield kept.events if kept is not None else []
            return
        self._successor = self._ask_again()
        yield from self._successor.batches()

    def close(self) -> None:
        if self._successor is not None:
            self._successor.close()


class Replay:
    """A kept answer."""

    def __init__(self, kept: list[Event]) -> None:
        self._kept = kept

    prompt_tokens = 0  # its usage says, in the end
    progress = None

    def admitted(self) -> bool:
        """It was, when it was made."""
        return True

    def batches(self) -> Iterator[list[Event]]:
        yield self._kept

    def close(self) -> None:
        """It holds nothing."""


@dataclass(frozen=True)
class KeptAnswer:
    """A kept answer's events, and what its engine set aside."""

    events: list[Event]
    set_aside: tuple[str, ...] = ()


def decode(kept: bytes | None) -> KeptAnswer | None:
    """None when there is no kept answer, or another version kept it."""
    if kept is None:
        return None
    with suppress(FramingError):
        messages = list(Decoder().feed(kept))
        told = next((message for message in messages if isinstance(message, Admitted)), None)
        events = [message for message in messages if isinstance(message, Event)]
        return KeptAnswer(events, () if told is None else told.set_aside)
    return None
