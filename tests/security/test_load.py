"""One client against all others: texts that are long, left, or many. On the demo model, whose context is 2,048."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import psutil
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e

WORDS = "hello world foo bar "
TEXT = WORDS * (6_000_000 // len(WORDS))
SAY = [{"role": "user", "content": "hi"}]
# hundreds of times what it takes, and far less than it took: 7 s for one text, 49 s behind eight
SOON_S = 3.0
BODIES_MB = 100
ROUTES: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": TEXT}]}, "messages"),
    ("/v1/completions", {"prompt": TEXT}, "prompt"),
    ("/v1/messages", {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 4, "model": "demo"}, "messages"),
    ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": TEXT}], "model": "demo"}, "messages"),
    ("/v1/responses", {"input": TEXT}, "input"),
    ("/v1/embeddings", {"input": TEXT}, "input"),
    ("/tokenize", {"prompt": TEXT}, "prompt"),
    ("/detokenize", {"tokens": [5] * 100_000}, "tokens"),
]


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    with service(ocr_workers=0, max_num_seqs=2, max_queue_size=4, max_bodies_mb=BODIES_MB) as running:
        yield running


def post(demo: Running, path: str, body: object) -> httpx.Response:
    return httpx.post(demo.url + path, json=body, timeout=60)


def first_token_s(demo: Running) -> float:
    """Seconds until another client's chat says something."""
    began = time.monotonic()
    body = {"messages": SAY, "stream": True, "max_tokens": 4}
    with httpx.stream("POST", f"{demo.url}/v1/chat/completions", json=body, timeout=60) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
                return time.monotonic() - began
    raise AssertionError(f"no token came: {reply.status_code}")


def left(demo: Running, path: str, body: object, seconds: float) -> None:
    """Ask, and leave without the answer."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", demo.port)) as sock:
        sock.sendall(head.encode() + data)
        time.sleep(seconds)


@pytest.mark.parametrize(("path", "body", "param"), ROUTES, ids=[route[0] for route in ROUTES])
def test_a_text_that_cannot_fit_is_refused_unread(demo: Running, path: str, body: dict[str, Any], param: str) -> None:
    """6 MB for a context of 2,048 tokens is a 400 with its numbers, on every route that takes text, at once."""
    began = time.monotonic()
    reply = post(demo, path, body)
    error = reply.json()["error"]
    assert reply.status_code == 400, error
    if path.startswith("/v1/messages"):
        assert error["type"] == "invalid_request_error"
    else:
        assert (error["code"], error["param"]) == ("context_length_exceeded", param)
    assert "2048" in error["message"]
    assert time.monotonic() - began < SOON_S


def test_texts_whose_clients_left_delay_nobody(demo: Running) -> None:
    """Eight long texts are sent and left; another client's first token comes as if they were not."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(left, demo, "/tokenize", {"prompt": TEXT}, 0.3)
    assert first_token_s(demo) < SOON_S


def test_texts_that_may_fit_delay_nobody_either(demo: Running) -> None:
    """Beside texts just within the bound, of twenty clients, another's first token comes soon."""
    fits = {"prompt": WORDS * 1000}
    with ThreadPoolExecutor(20) as pool:
        for _ in range(20):
            pool.submit(post, demo, "/tokenize", fits)
        assert first_token_s(demo) < SOON_S


def test_a_text_of_more_tokens_than_twice_the_context_is_counted_no_further(demo: Running) -> None:
    """Within the bound of bytes, yet certainly too long: the error says how much was read."""
    error = post(demo, "/tokenize", {"prompt": "a1" * 10_000}).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "more than 4096 tokens" in error["message"]


def half_sent(demo: Running, path: str, size: int) -> socket.socket:
    """A request whose body never ends: all but its last byte is sent."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    sock = socket.create_connection(("127.0.0.1", demo.port))
    sock.settimeout(10)
    with suppress(OSError):  # refused while it sends
        sock.sendall(head.encode() + b" " * (size - 1))
    return sock


def test_half_sent_bodies_hold_a_bounded_memory(demo: Running) -> None:
    """24 bodies of 31 MiB but for a byte, on all routes: web holds MAX_BODIES_MB, and small ones pass."""
    web = psutil.Process(demo.pid("web"))
    workers = web.children() or [web]
    before = sum(worker.memory_info().rss for worker in workers)
    paths = [path for path, _, _ in ROUTES] * 3
    with ExitStack() as stack, ThreadPoolExecutor(24) as pool:
        for sock in pool.map(lambda path: half_sent(demo, path, 31 << 20), paths):
            stack.enter_context(sock)
        grown = sum(worker.memory_info().rss for worker in workers) - before
        assert grown < (BODIES_MB + 64) << 20
        assert first_token_s(demo) < SOON_S


@pytest.mark.parametrize("path", ["/v1/models/load", "/v1/models/unload", "/api/gpu/timeout", "/api/gpu/offload"])
def test_small_routes_take_small_bodies(demo: Running, path: str) -> None:
    """Who names a model or a number needs no 128 KiB."""
    reply = post(demo, path, {"model_name": "x" * 140_000, "timeout": 1})
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "payload_too_large")


def test_answers_are_counted_not_requests(demo: Running) -> None:
    """MAX_NUM_SEQS + MAX_QUEUE_SIZE is 6 here: seven answers are a 400, and of many fours most are 429."""
    body = {"messages": SAY, "max_tokens": 200, "ignore_eos": True}
    refused = post(demo, "/v1/chat/completions", {**body, "n": 7})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: post(demo, "/v1/chat/completions", {**body, "n": 4}), range(6)))
    codes = sorted(reply.status_code for reply in replies)
    assert codes[0] == 200
    assert codes[-1] == 429
    assert all(reply.headers.get("Retry-After") for reply in replies if reply.status_code == 429)
