"""Rate limits: whose share, which scope, what a refused client is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient

from src.api.edge.concurrency import MemoryLeases
from src.api.service import EXTENSION, Service
from src.api.state.usage import UsageCounts
from tests.unit.api.conftest import MakeApp

_KEYS = "alice:sk-alice-0123456789,bob:sk-bob-0123456789"


# written by hand, not taken from the table of roles
WORK = (
    *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/ocr"),
    *("/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/responses/compact", "/v1/ocr/jobs"),
    *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/tokenize", "/detokenize"),
)


def slow(app: Flask, path: str) -> FlaskClient:
    """A client of a route whose response is a stream."""
    with app.test_request_context(path, method="POST"):
        app.view_functions[str(request.endpoint)] = lambda: Response(iter([b"a", b"b"]))
    return app.test_client()


def asking(app: Flask, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer sk-{name}-0123456789"}


def test_requests_are_counted_by_key(make_app: MakeApp) -> None:
    """Alice's third request a minute is refused with OpenAI's headers; Bob and the probes are not concerned."""
    app = make_app(api_keys=_KEYS, rate_limit_requests=2)
    client = app.test_client()
    replies = [client.get("/v1/models", headers=asking(app, "alice"), buffered=True) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[0].headers["x-ratelimit-remaining-requests"] == "1"
    assert replies[2].get_json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(replies[2].headers["Retry-After"]) <= 61
    assert client.get("/v1/models", headers=asking(app, "bob")).status_code == 200
    assert all(client.get("/livez").status_code == 200 for _ in range(9))
    assert 'stoker_rate_limited_total{scope="requests"} 1.0' in client.get("/metrics", headers=asking(app, "bob")).text


def test_requests_without_keys_are_counted_by_address(make_app: MakeApp) -> None:
    """One address's requests do not use up another's share; a trusted proxy's word is taken, nobody else's."""
    app = make_app(rate_limit_requests=1, trusted_proxies="127.0.0.1")
    client = app.test_client()
    for address, status in (("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200)):
        assert client.get("/v1/models", headers={"X-Forwarded-For": f"x, {address}"}).status_code == status
    for status in (200, 429):
        forged = {"X-Forwarded-For": f"198.51.100.{status % 250}"}
        assert client.get("/v1/models", headers=forged, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == status


def test_tokens_are_charged_after_the_answer(make_app: MakeApp) -> None:
    """A request may start while tokens are left; once they are used up, the next gets 429."""
    app = make_app(rate_limit_tokens=100)
    service: Service = app.extensions[EXTENSION]
    client = app.test_client()
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 503  # let through: no engine runs
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": "127.0.0.1"}):
        service.limits.spender("fake")(UsageCounts(1, 200, 0, 50))
    refused = client.post("/v1/chat/completions", json=body)
    assert refused.status_code == 429
    assert "tokens per minute" in refused.get_json()["error"]["message"]
    assert client.get("/v1/models").status_code == 200


def test_requests_in_flight_are_counted_until_the_response_ends(make_app: MakeApp) -> None:
    """The lease of a streamed answer is held until its last byte, and given back on every end."""
    app = make_app(rate_limit_concurrent=1)
    client, path = slow(app, "/v1/chat/completions"), "/v1/chat/completions"
    first = client.post(path, buffered=False)
    assert client.post(path).status_code == 429
    first.close()
    assert client.post(path, buffered=True).status_code == 200
    assert client.post(path, buffered=True).status_code == 200


@pytest.mark.parametrize("path", WORK)
def test_no_inference_route_is_outside_the_limits(path: str, make_app: MakeApp) -> None:
    """Each takes a lease of RATE_LIMIT_CONCURRENT, and none starts when RATE_LIMIT_TOKENS are used up."""
    app = make_app(rate_limit_concurrent=1, rate_limit_tokens=100)
    client = slow(app, path)
    first = client.post(path, buffered=False)
    assert (first.status_code, client.post(path).status_code) == (200, 429)
    first.close()
    service: Service = app.extensions[EXTENSION]
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": "127.0.0.1"}):
        service.limits.spender("fake")(UsageCounts(1, 100))
    assert client.post(path).status_code == 429
    assert client.post("/api/show", json={"model": "demo"}).status_code != 429


def test_a_dead_redis_costs_the_limits_not_the_service(make_app: MakeApp) -> None:
    """With nobody at REDIS_URL requests are answered, and still counted: in memory."""
    app = make_app(rate_limit_requests=2, rate_limit_concurrent=3, rate_limit_tokens=9, redis_url="redis://127.0.0.1:1")
    client = app.test_client()
    body = {"messages": [{"role": "user", "content": "hi"}]}
    statuses = [client.post("/v1/chat/completions", json=body).status_code for _ in range(3)]
    assert statuses == [503, 503, 429]


@pytest.mark.parametrize("taken", [1, 3])
def test_leases_in_memory_leave_nothing_behind(taken: int) -> None:
    """Owners who hold nothing are forgotten: a million addresses do not fill the memory."""
    leases = MemoryLeases()
    held = [leases.take("a", 3) for _ in range(taken)]
    assert (leases.take("a", taken)) is None
    give: Callable[[str, str], None] = leases.give_back
    for lease in held:
        assert lease is not None
        give("a", lease)
    assert not leases._out
