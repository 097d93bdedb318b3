"""Connections that only stand there: they are nobody's outage. Services of their own, real sockets on loopback."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e

_FAKE: dict[str, Any] = {"inference_engine": "fake", "ocr_workers": 0}
_LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_MODELS = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def _still_answers() -> None:
    """In place of the folder's own: these services end with their tests."""


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    """This side of the connections needs files too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(running: Running, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), 5, (source, 0))


def crowd(stack: ExitStack, running: Running, count: int, source: str = "127.0.0.1") -> list[socket.socket]:
    return [stack.enter_context(connect(running, source)) for _ in range(count)]


def ask(sock: socket.socket, request: bytes, timeout_s: float = 5.0) -> bytes:
    """The head of the answer; empty when the connection was closed instead."""
    sock.settimeout(timeout_s)
    try:
        sock.sendall(request)
        return sock.recv(65536)
    except (ConnectionError, TimeoutError):
        return b""


def livez(running: Running, source: str = "127.0.0.1") -> float:
    """Seconds until a probe was answered."""
    began = time.monotonic()
    with connect(running, source) as sock:
        assert ask(sock, _LIVEZ).startswith(b"HTTP/1.1 200")
    return time.monotonic() - began


def is_open(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_idle_connections_are_no_outage() -> None:
    """1,200 of them from one address, more than may be open: probes are answered at once, the oldest had to go."""
    with service(max_connections_per_address=0, **_FAKE) as running, ExitStack() as stack:
        silent = crowd(stack, running, 1200)
        assert max(livez(running) for _ in range(9)) < 2
        assert ask(silent[-1], _MODELS).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)
        states = [is_open(sock) for sock in silent[:-1]]
        assert 900 < sum(states) <= 1024
        assert not any(states[:100])
        assert all(states[-100:])


def test_an_address_has_its_share() -> None:
    """It fills its own; another address's connection, idle for longer than all of these, is still served."""
    with service(max_connections_per_address=100, **_FAKE) as running, ExitStack() as stack:
        other = crowd(stack, running, 1, "127.0.0.2")[0]
        silent = crowd(stack, running, 300)
        assert livez(running) < 2
        time.sleep(0.5)
        assert sum(map(is_open, silent)) <= 100
        assert ask(other, _MODELS).startswith(b"HTTP/1.1 200")


def test_probes_are_answered_where_all_are_at_work() -> None:
    """Sixteen streams hold the sixteen connections there may be: others are refused and closed, probes are answered."""
    turn = {"role": "user", "content": "fake:count=5000 fake:delay=0.1"}
    body = json.dumps({"messages": [turn], "stream": True, "max_tokens": 5000}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with service(worker_connections=16, **_FAKE) as running, ExitStack() as stack:
        streams = crowd(stack, running, 16)
        for sock in streams:
            sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(1.0)
        assert livez(running) < 2
        late = stack.enter_context(connect(running))
        answer = ask(late, _MODELS)
        while more := ask(late, b""):
            answer += more
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"WORKER_CONNECTIONS" in answer
        assert b"Connection: close" in answer
        assert b'stoker_rate_limited_total{scope="connections"} 1.0' in running.get("/metrics")[1]
        streams.pop().close()
        time.sleep(0.5)
        assert ask(stack.enter_context(connect(running)), _MODELS).startswith(b"HTTP/1.1 200")
