"""Part of `make bench`: what open pages of the console cost, by their stream of the status, `/v1/system/events`."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import psutil

from tests.bench.measures import Row
from tests.running import Running

_WINDOW_S, _SETTLE_S = 15.0, 2.0
_STREAMS, _TOKENS, _ROUNDS = 16, 100, 4
_CONTENT = b'"content":'


def rows(service: Running) -> list[Row]:
    """CPU of all processes of the service, then the gaps of streams beside a page. The engine is the fake one."""
    idle, one, many = (_cpu(service, pages) for pages in (0, 1, 50))
    alone, beside = _gaps(service)
    return [
        ("CPU of the idle service, no page open", f"{idle:.2%} of a core", ""),
        ("one open page adds", f"{one - idle:.2%} of a core", "≤ 1 %"),
        ("50 open pages add (one question a second for all)", f"{many - idle:.2%} of a core", ""),
        (
            f"{_STREAMS} streams beside an open page, p95 between tokens",
            f"{beside * 1000:.1f} ms, {alone * 1000:.1f} ms without: {beside / alone:.2f}×",
            "≤ 1.05×",
        ),
    ]


def _cpu(service: Running, pages: int) -> float:
    """Seconds of CPU a second."""
    with ExitStack() as stack:
        for _ in range(pages):
            stack.enter_context(_page(service.port))
        time.sleep(_SETTLE_S)
        before, began = _cpu_s(service), time.monotonic()
        time.sleep(_WINDOW_S)
        return (_cpu_s(service) - before) / (time.monotonic() - began)


def _cpu_s(service: Running) -> float:
    times: list[psutil.Process] = service.processes()
    return sum(sum(process.cpu_times()[:2]) for process in times)


@contextmanager
def _page(port: int) -> Iterator[None]:
    """A page's stream, read by a thread as a browser would."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /v1/system/events HTTP/1.1\r\nHost: bench\r\n\r\n")
        reader = threading.Thread(target=_drain, args=(sock,), daemon=True)
        reader.start()
        yield
        sock.shutdown(socket.SHUT_RDWR)
        reader.join(5)


def _drain(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        pass


def _gaps(service: Running) -> tuple[float, float]:
    """p95 of the seconds between tokens: without a page and beside one, in turns, each the median of its rounds."""
    alone, beside = [], []
    for _ in range(_ROUNDS):
        alone.append(_p95(service.port))
        with _page(service.port):
            beside.append(_p95(service.port))
    return statistics.median(alone), statistics.median(beside)


def _p95(port: int) -> float:
    with ThreadPoolExecutor(_STREAMS) as crowd:
        found = [gap for gaps in crowd.map(lambda _: _stream(port), range(_STREAMS)) for gap in gaps]
    return statistics.quantiles(found, n=20)[-1]


def _stream(port: int) -> list[float]:
    text = f"fake:count={_TOKENS} fake:delay=0.02"
    body = json.dumps({"messages": [{"role": "user", "content": text}], "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode() + body)
        at = []
        while data := sock.recv(1 << 16):
            at += [time.perf_counter()] * data.count(_CONTENT)
    return [later - earlier for earlier, later in pairwise(at[1:])]
