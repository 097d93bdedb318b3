"""Two instances and a real Redis: one share of limits, one cache; responses there; and what happens when Redis goes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import httpx
import msgspec
import pytest
import redis

from src.api.edge.concurrency import RedisLeases
from src.api.openai.response_store import ResponseMemory
from src.api.openai.schemas_responses import ResponseOut
from src.api.openai.shared_responses import SharedResponses, _Kept
from tests.deploy import tools
from tests.running import Running, service

pytestmark = pytest.mark.e2e

_ALICE = {"Authorization": "Bearer sk-alice-0123456789"}
_BOB = {"Authorization": "Bearer sk-bob-0123456789abc"}
_CAROL = {"Authorization": "Bearer sk-carol-0123456789"}
_OPS = {"Authorization": "Bearer sk-ops-0123456789abc"}
_SETTINGS: dict[str, Any] = {
    "inference_engine": "fake",
    "ocr_workers": 0,
    "api_keys": "alice:user:sk-alice-0123456789,bob:user:sk-bob-0123456789abc,"
    "carol:user:sk-carol-0123456789,ops:admin:sk-ops-0123456789abc",
    "rate_limit_requests": 12,
    "rate_limit_concurrent": 2,
    "enable_caching": True,
}
_RESPONSE = ResponseOut("resp_x", 1, "demo", "completed", (), True, "auto", (), {})


def chat(one: Running, text: str, headers: dict[str, str] = _ALICE, **more: object) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}
    return httpx.post(f"{one.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Running, Running]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        tools.redis_server(Path(folder)) as url,
        service(**_SETTINGS, redis_url=url) as first,
        service(**_SETTINGS, redis_url=url) as second,
    ):
        yield first, second


def test_an_answer_of_one_instance_is_a_hit_at_the_other(pair: tuple[Running, Running]) -> None:
    """Kept by the first, given by the second, streamed as well as whole; not to another key."""
    first, second = pair
    assert chat(first, "remember me").headers["X-Cache"] == "miss"
    again = chat(second, "remember me")
    assert again.headers["X-Cache"] == "hit"
    assert again.json()["choices"][0]["message"]["content"] == "remember me"
    streamed = chat(second, "remember me", stream=True)
    assert streamed.headers["X-Cache"] == "hit"
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert chat(second, "remember me", _BOB).headers["X-Cache"] == "miss"
    bare = chat(second, "remember me", {**_ALICE, "Cache-Control": "no-store"})
    assert "X-Cache" not in bare.headers


def test_a_file_of_another_state_dir_is_said_to_be_there(pair: tuple[Running, Running]) -> None:
    """By name, to an admin by its address; also when it is another key's, or deleted: its id tells no more."""
    first, second = pair
    sent = {"file": b'{"custom_id": "1"}\n'}
    made = httpx.post(f"{first.url}/v1/files", files=sent, data={"purpose": "user_data"}, headers=_CAROL, timeout=20)
    name = made.json()["id"]
    batch = {"input_file_id": name, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    refused = [
        httpx.post(f"{second.url}/v1/batches", json=batch, headers=_CAROL, timeout=20),
        httpx.get(f"{second.url}/v1/files/{name}", headers=_CAROL, timeout=20),
        httpx.get(f"{second.url}/v1/files/{name}", headers=_OPS, timeout=20),
    ]
    assert [reply.status_code for reply in refused] == [404, 404, 404]
    texts = [reply.json()["error"]["message"] for reply in refused]
    assert all(re.search(r"Its id is one of instance-[0-9a-f]{8}'s", text) for text in texts[:2]), texts
    assert f":{first.port}'s" in texts[2]
    assert str(first.port) not in texts[0]
    missing = httpx.get(f"{first.url}/v1/files/{name[:-1]}", headers=_CAROL, timeout=20)
    assert "instance" not in missing.json()["error"]["message"]


def test_the_oldest_responses_of_a_key_make_room(tmp_path: Path) -> None:
    """Of that key alone; what is deleted makes room, too."""
    with tools.redis_server(tmp_path) as url:
        size = len(msgspec.json.encode(_Kept("alice", _RESPONSE, [])))
        store = SharedResponses(url, ResponseMemory(1 << 20), size * 3 + 1, 60)
        for at in range(4):
            store.put("alice", msgspec.structs.replace(_RESPONSE, id=f"resp_{at}"), [])
        store.put("bob00", msgspec.structs.replace(_RESPONSE, id="resp_b"), [])
        kept = [at for at in range(4) if store.get("alice", f"resp_{at}") is not None]
        assert kept == [1, 2, 3]
        assert store.get("bob00", "resp_b") is not None
        assert store.delete("alice", "resp_2")
        store.put("alice", msgspec.structs.replace(_RESPONSE, id="resp_5"), [])
        assert [store.get("alice", f"resp_{at}") is not None for at in (1, 2, 3, 5)] == [True, False, True, True]


@pytest.mark.parametrize("evicted", ["responses", "responses-bytes"])
def test_a_redis_that_evicts_keeps_new_responses_nevertheless(tmp_path: Path, evicted: str) -> None:
    """Of a key's list of responses and its count of bytes either may go: that is no reason to keep none, or all."""
    with tools.redis_server(tmp_path) as url:
        size = len(msgspec.json.encode(_Kept("alice", _RESPONSE, [])))
        store = SharedResponses(url, ResponseMemory(1 << 20), size * 3 + 1, 60)
        for at in range(6):
            if at == 3:
                redis.Redis.from_url(url).delete(f"stoker:{evicted}:alice")
            store.put("alice", msgspec.structs.replace(_RESPONSE, id=f"resp_{at}"), [])
        assert [store.get("alice", f"resp_{at}") is not None for at in (3, 4, 5)] == [True, True, True]
        if evicted == "responses-bytes":
            assert not any(store.get("alice", f"resp_{at}") for at in range(3))


def test_streams_in_flight_are_counted_over_both(pair: tuple[Running, Running]) -> None:
    """Two slow streams, one at each instance: the third is refused by either."""
    first, second = pair
    slow = {"messages": [{"role": "user", "content": "fake:delay=0.1 fake:count=30 x"}], "stream": True}
    with (
        httpx.stream("POST", f"{first.url}/v1/chat/completions", json=slow, headers=_BOB) as one,
        httpx.stream("POST", f"{second.url}/v1/chat/completions", json=slow, headers=_BOB) as two,
    ):
        assert (one.status_code, two.status_code) == (200, 200)
        assert chat(first, "x", _BOB).status_code == 429
        assert chat(second, "x", _BOB).status_code == 429


def test_requests_are_counted_over_both(pair: tuple[Running, Running]) -> None:
    """Of one share of 12 a minute, both instances take; then both refuse."""
    statuses = [
        httpx.get(f"{one.url}/v1/models", headers=_ALICE, timeout=10).status_code for _ in range(8) for one in pair
    ]
    assert statuses.count(200) <= 12
    assert statuses[-2:] == [429, 429]


def test_when_redis_goes_the_service_stays(folder: Path) -> None:
    """Redis is killed: requests are answered, limits go on in memory."""
    settings = {**_SETTINGS, "rate_limit_requests": 5}
    with tools.redis_server(folder) as url:
        started = service(**settings, redis_url=url)
        running = started.__enter__()
        assert chat(running, "hi").status_code == 200
    try:
        statuses = [chat(running, f"hi {number}").status_code for number in range(7)]
        assert statuses == [200] * 5 + [429] * 2
    finally:
        started.__exit__(None, None, None)


def test_a_lease_lasts_as_long_as_its_request(tmp_path: Path) -> None:
    """Renewed while it is held, however long that is; of an instance that was killed it ends by itself."""
    with tools.redis_server(tmp_path) as url:
        first, second, killed = (RedisLeases(url, lease_s=0.6) for _ in range(3))
        held = first.take("key:alice", 1)
        assert held is not None
        gevent.sleep(1.5)
        assert second.take("key:alice", 1) is None
        first.give_back("key:alice", held)
        assert killed.take("key:alice", 1) is not None
        assert killed._renewer is not None
        killed._renewer.kill()
        assert second.take("key:alice", 1) is None
        gevent.sleep(0.8)
        assert second.take("key:alice", 1) is not None


def test_a_lease_that_is_given_back_while_it_is_renewed_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renewal that was under way does not bring it back."""
    with tools.redis_server(tmp_path) as url:
        leases = RedisLeases(url)
        held = leases.take("key:bob", 1)
        assert held is not None
        pipeline = leases._redis.pipeline

        def given_back_meanwhile() -> Any:
            leases.give_back("key:bob", held)
            return pipeline()

        with monkeypatch.context() as patch:
            patch.setattr(leases._redis, "pipeline", given_back_meanwhile)
            leases.renew()
        assert leases.take("key:bob", 1) is not None
