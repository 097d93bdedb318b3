"""One streamed answer: whatever a server does is an outcome with a name, and what came is counted."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from src.bench.http import place
from src.bench.stream import Outcome, ask, error_text
from tests.unit.bench.crooked import (
    Answer,
    crooked,
    cut,
    erring,
    good,
    nonsense,
    refusing,
    stalled,
    strict,
    uncounted,
)

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 5}


def http_request(answer: Answer, key: str = "") -> Outcome:
    with crooked(answer) as server:
        return asyncio.run(ask(place(server.url, key), BODY, time.perf_counter(), 0.5))


def test_a_whole_answer() -> None:
    """Its tokens are the server's count, its times in order."""
    seen = http_request(good)
    assert (seen.failure, seen.finish, seen.tokens, seen.events, len(seen.gaps)) == (None, "length", 5, 5, 4)
    assert seen.usage is not None
    assert seen.usage.prompt_tokens == 3
    assert seen.first is not None
    assert seen.last is not None
    assert 0 <= seen.began <= seen.first <= seen.last <= seen.end


def test_without_usage_events_are_counted() -> None:
    seen = http_request(uncounted)
    assert (seen.failure, seen.usage, seen.tokens, seen.finish) == (None, None, 3, "stop")


@pytest.mark.parametrize(
    ("answer", "failure", "tokens"),
    [
        (cut, "broken off", 2),
        (stalled, "no end within 0.5 s", 1),
        (erring, "an error in the stream: out of memory", 1),
        (refusing(429, "Too many  requests."), "429: Too many requests.", 0),
        (nonsense, "not understood: the server does not speak HTTP", 0),
    ],
)
def test_a_failure_says_what_it_was(answer: Answer, failure: str, tokens: int) -> None:
    """And what came before it is counted."""
    seen = http_request(answer)
    assert (seen.failure, seen.tokens) == (failure, tokens)
    assert seen.end < 5


def test_nobody_listens() -> None:
    with socket.socket() as sock:  # bound and not listening: nobody else can take the port meanwhile
        sock.bind(("127.0.0.1", 0))
        where = place(f"http://127.0.0.1:{sock.getsockname()[1]}")
        seen = asyncio.run(ask(where, BODY, time.perf_counter(), 5))
    assert "Connect call failed" in str(seen.failure)


def test_the_key_goes_to_the_server_and_into_no_repr() -> None:
    with crooked(good) as server:
        where = place(f"{server.url}/v1/", "sk-secret")
        asyncio.run(ask(where, BODY, time.perf_counter(), 5))
        (head,) = server.heads
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"Authorization: Bearer sk-secret\r\n" in head
    assert "secret" not in repr(where)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://a:b@x/", "http://x/?key=1"])
def test_what_is_no_address(url: str) -> None:
    """A key belongs into the environment: an address with one inside is refused, too."""
    with pytest.raises(ValueError, match="not a server URL"):
        place(url)


def test_https_and_paths() -> None:
    where = place("https://api.example.com/openai/v1")
    assert (where.host, where.port, where.root, where.tls) == ("api.example.com", 443, "/openai", True)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"message": "no"}}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"detail": [{"msg": "no"}]}', "[{'msg': 'no'}]"),
        (b"<h1>Bad\n gateway", "<h1>Bad gateway"),
        (b"\xff", "�"),
    ],
)
def test_a_refusals_own_words(body: bytes, text: str) -> None:
    assert error_text(body) == text


def test_a_strict_server_takes_what_it_knows() -> None:
    assert http_request(strict("tools")).failure is None
    assert http_request(strict("messages")).failure == "400: unknown: messages"
