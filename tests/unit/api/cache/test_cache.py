"""The response cache: what is kept, for whom, and how those who ask at once are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest
from flask import Flask, g

from src.api.cache.cache import Cache, Leader, decode
from src.api.cache.stores import CacheKey, MemoryStore, RedisStore
from src.api.generation.streaming import Answering, Event, admitted
from src.errors import EngineCrashed
from src.ipc.messages.chat import Admitted, ChatMessage, Delta, Finished, GenerateRequest, Sampling, Timings, Usage
from src.metrics import Metrics, Readings
from tests.conftest import MakeSettings
from tests.unit.clock import Clock

_END = Finished("stop", Usage(3, 2), Timings(0, 0, 0))


class Engine:
    """Stands for the engine: counts what it is asked, answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = 0
        self.gate = gevent.event.Event()
        self.gate.set()
        self.failing = 0

    def open(self) -> Engine:
        self.asked += 1
        return self

    prompt_tokens = 3
    progress = None
    admission: Admitted | None = None
    revision = "r1"

    def admitted(self) -> bool:
        return True

    def batches(self) -> Iterator[list[Event]]:
        self.gate.wait(5)
        if self.failing:
            self.failing -= 1
            raise EngineCrashed("gone")
        yield [Delta((1,), "Hel")]
        yield [Delta((2,), "lo"), _END]

    def close(self) -> None:
        self.closed += 1


def asked(text: str = "hi", temperature: float | None = 0, **more: Any) -> GenerateRequest:
    fields: dict[str, Any] = {"id": "x", "model": "demo", "max_tokens": 9, "stop": (), "timeout_s": 5.0}
    return GenerateRequest(
        messages=(ChatMessage("user", text),), sampling=Sampling(temperature=temperature, top_p=None), **(fields | more)
    )


def text(answer: Answering[Event]) -> str:
    try:
        admitted(answer)
        events = [event for batch in answer.batches() for event in batch]
    finally:
        answer.close()
    assert events[-1] == _END
    return "".join(event.text for event in events if isinstance(event, Delta))


@pytest.fixture
def engine() -> Engine:
    return Engine()


Ask = Callable[..., str]


@pytest.fixture
def ask(make_settings: MakeSettings, engine: Engine) -> Ask:
    """Send a request through a cache: text and X-Cache, with a space between."""
    metrics, app, revision = Metrics(Readings), Flask("test"), ["r1"]
    settings = make_settings(enable_caching=True, cache_size=2, sse_ping_seconds=0.05)
    cache = Cache(settings, lambda _: revision[0], metrics)

    def send(
        request: GenerateRequest, *, key: str = "", now: str = "r1", told: str | None = None, **headers: str
    ) -> str:
        revision[0], engine.revision = now, now if told is None else told
        with app.test_request_context("/", headers=headers, environ_base={"stoker.key": key}):
            return f"{text(cache.through(request, engine.open))} {g.get('cache', '-')}"

    return send


def test_a_repeated_request_is_answered_from_memory(ask: Ask, engine: Engine) -> None:
    """The second time the engine is not asked, and the answer is the same; the id and deadline do not matter."""
    assert ask(asked()) == "Hello miss"
    assert ask(asked(id="y", timeout_s=9.0)) == "Hello hit"
    assert engine.asked == 1


@pytest.mark.parametrize(
    "other",
    [
        {"request": asked("ho")},
        {"request": asked(max_tokens=8)},
        {"request": asked(stop=("x",))},
        {"key": "bob"},
        {"now": "r2"},
    ],
)
def test_whatever_makes_the_answer_is_in_the_key(ask: Ask, engine: Engine, other: dict[str, Any]) -> None:
    """Another text, limit, stop string, API key or model revision is another answer."""
    ask(asked(), key="alice")
    assert ask(**({"request": asked(), "key": "alice"} | other)).endswith("miss")
    assert engine.asked == 2


def test_an_answer_is_kept_for_the_weights_that_made_it(ask: Ask, engine: Engine) -> None:
    """The engine was replaced since it was last seen: what the new one says is not the old one's, but its own."""
    assert ask(asked(), now="r1", told="r2") == "Hello miss"
    assert ask(asked(), now="r1") == "Hello miss"
    assert ask(asked(), now="r2") == "Hello hit"
    assert engine.asked == 2


def test_what_an_engine_that_tells_nothing_made_is_not_kept(ask: Ask, engine: Engine) -> None:
    """Whose weights it would be kept for is unknown."""
    assert [ask(asked(), told="") for _ in range(2)] == ["Hello miss"] * 2
    assert engine.asked == 2


def test_what_is_random_or_not_to_be_stored_passes_by(ask: Ask, engine: Engine) -> None:
    """Without temperature 0, or with no-store, nothing is looked up or kept; no-cache asks anew and keeps."""
    kept_off: list[tuple[GenerateRequest, dict[str, str]]] = [
        (asked(temperature=0.7), {}),
        (asked(temperature=None), {}),
        (asked(), {"Cache-Control": "no-store"}),
    ]
    for request, headers in kept_off:
        assert [ask(request, **headers) for _ in range(2)] == ["Hello -", "Hello -"]
    assert engine.asked == 6
    assert ask(asked(), **{"Cache-Control": "no-cache"}) == "Hello miss"
    assert ask(asked()) == "Hello hit"


def test_identical_requests_at_once_are_one(ask: Ask, engine: Engine) -> None:
    """Twenty ask while the first is at work: one answer is made, twenty are given."""
    engine.gate.clear()
    crowd = [gevent.spawn(ask, asked()) for _ in range(20)]
    gevent.sleep(0.1)
    engine.gate.set()
    gevent.joinall(crowd, timeout=5)
    assert sorted(greenlet.value for greenlet in crowd) == ["Hello hit"] * 19 + ["Hello miss"]
    assert engine.asked == 1


def test_a_failed_answer_is_nobody_elses(ask: Ask, engine: Engine) -> None:
    """When the one at work fails, the next in line asks for itself; a failure is never kept."""
    engine.failing = 1
    engine.gate.clear()
    crowd = [gevent.spawn(ask, asked()) for _ in range(5)]
    gevent.sleep(0.1)
    engine.gate.set()
    gevent.joinall(crowd, timeout=5)
    assert [greenlet.value for greenlet in crowd[1:]] == ["Hello hit"] * 4
    assert isinstance(crowd[0].exception, EngineCrashed)
    assert engine.asked == 2
    assert engine.closed == 2


def test_a_leader_that_is_left_keeps_nothing() -> None:
    """A client that goes in the middle leaves no half answer behind."""
    kept: list[bytes | None] = []
    leader = Leader(Engine().open, kept.append)
    assert leader.admitted()
    next(leader.batches())
    leader.close()
    leader.close()
    assert kept == [None]
    assert leader.over.is_set()


def test_memory_is_bounded_by_number_bytes_and_age() -> None:
    """The least recently used goes first, large ones make room, one larger than all pushes nothing out; old ones go."""
    clock = Clock()
    store = MemoryStore(3, 10, 60, clock)
    for key in "abc":
        store.put(CacheKey("", key), b"xx")
    assert store.get(CacheKey("", "a")) == b"xx"
    store.put(CacheKey("", "d"), b"xx")
    assert store.get(CacheKey("", "b")) is None
    store.put(CacheKey("", "e"), b"123456")
    assert (store.get(CacheKey("", "c")), store.get(CacheKey("", "d")), store.get(CacheKey("", "e"))) == (
        None,
        b"xx",
        b"123456",
    )
    store.put(CacheKey("", "f"), b"x" * 11)
    assert len(store) == 3
    assert store.get(CacheKey("", "f")) is None
    store.put(CacheKey("", "a"), b"x")
    clock.now += 61
    assert [store.get(CacheKey("", key)) for key in "ade"] == [None] * 3
    assert len(store) == 0


def test_without_redis_nothing_is_found_and_nothing_fails() -> None:
    """A Redis that is away is a miss."""
    store = RedisStore("redis://127.0.0.1:1", 60)
    store.put(CacheKey("", "a"), b"x")
    assert store.get(CacheKey("", "a")) is None


def test_what_is_kept_is_what_came() -> None:
    """Events survive the store as they were, token ids included."""
    kept: list[bytes | None] = []
    leader = Leader(Engine().open, kept.append)
    assert leader.admitted()
    events = [event for batch in leader.batches() for event in batch]
    assert kept[0] is not None
    whole = decode(kept[0])
    assert whole is not None
    assert whole.events == events


@pytest.mark.parametrize("kept", [None, b"\0\0\0\3abc", b"\0\0\0\2\x91\xa1"])
def test_what_another_version_kept_is_a_miss(kept: bytes | None) -> None:
    """A Redis shared by an older and a newer instance misleads neither."""
    assert decode(kept) is None
