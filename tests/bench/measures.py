"""The measurements of `make bench`: each takes a running service and returns rows of (what, figure, wanted)."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from src.ipc import client, runtime
from src.ipc.messages.chat import ChatMessage, Delta, Finished, GenerateRequest
from src.ipc.messages.control import Ping
from src.ipc.messages.status import Health
from src.settings import ROOT
from tests.bench import streams
from tests.e2e import pictures
from tests.running import Running, free_port

Row = tuple[str, str, str]

_STREAMS, _TOKENS, _ROUNDS = 50, 1000, 5
_MB = 1 << 20


def throughput(service: Running) -> list[Row]:
    """Events per second over 50 streams, and its share of what bare gunicorn + Flask does in the same run."""
    ours, bare = [], []
    with bare_gunicorn() as port:
        for _ in range(_ROUNDS):
            ours.append(_events_per_second(service.port, "/v1/chat/completions"))
            bare.append(_events_per_second(port, "/bare"))
    share = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    return [
        ("one-token SSE events/s, 50 streams, fake engine", _range(ours), "≥ 20,000"),
        ("the same from bare gunicorn + Flask", _range(bare), ""),
        ("share (median of pairs)", f"{share:.0%}", ""),
    ]


def _events_per_second(port: int, path: str) -> float:
    command = [sys.executable, "-m", "tests.bench.streams", "--port", str(port), "--path", path]
    command += ["--streams", str(_STREAMS), "--tokens", str(_TOKENS)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout.split()
    return int(out[0]) / float(out[1])


@contextmanager
def bare_gunicorn() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "/dev/null", "-k", "gevent", "-b", f"127.0.0.1:{port}"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command, "tests.bench.bare:application"], cwd=ROOT, stdout=quiet, stderr=quiet)
    try:
        _wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _wait_for_port(port: int) -> None:
    def listens() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    _until(listens)


def latency(service: Running) -> list[Row]:
    """What web and wire add to the first token: over HTTP on a kept connection, against the engine's socket itself."""
    engine = runtime.engine_socket(service.folder / "run", "demo")
    over_http, direct = [], []
    with socket.create_connection(("127.0.0.1", service.port)) as sock:
        for _ in range(300):
            direct.append(_timed(lambda: _first_token_direct(engine)))
            over_http.append(_timed(lambda: _first_token_http(sock)))
    added = (statistics.median(over_http) - statistics.median(direct)) * 1000
    return [
        ("first token, the engine's own socket", f"{statistics.median(direct) * 1000:.2f} ms", ""),
        ("first token over HTTP", f"{statistics.median(over_http) * 1000:.2f} ms", ""),
        ("web + wire add (median)", f"{added:.2f} ms", "≤ 2 ms"),
    ]


def _timed(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _first_token_direct(path: Path) -> None:
    request = GenerateRequest("bench", "demo", (ChatMessage("user", "x"),), max_tokens=1)
    with client.connect(path, 5) as stream:
        stream.send(request, 5)
        while not isinstance(stream.receive(10), Delta):
            pass


def _first_token_http(sock: socket.socket) -> None:
    sock.sendall(streams.request("/v1/chat/completions", 0).replace(b"Connection: close\r\n", b""))
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        data += sock.recv(1 << 16)


def cancellation(service: Running) -> list[Row]:
    """From a client's leaving to the engine's empty batch: mid-stream, in prefill, waiting for a whole answer."""
    cases = {
        "mid-stream": {"content": "fake:count=9999 fake:delay=0.02", "stream": True},
        "during prefill": {"content": "fake:prefill=0.05 " + "x" * 50_000, "stream": True},
        "whole answer": {"content": "fake:count=9999 fake:delay=0.02", "stream": False},
    }
    rows = []
    for name, case in cases.items():
        times = [_leave(service, str(case["content"]), bool(case["stream"])) for _ in range(5)]
        rows.append((f"client leaves {name}: out of the batch after", _range_ms(times), "≤ step + 100 ms"))
    return rows


def _leave(service: Running, content: str, stream: bool) -> float:
    body = json.dumps({"messages": [{"role": "user", "content": content}], "stream": stream, "max_tokens": 9999})
    engine = runtime.engine_socket(service.folder / "run", "demo")
    with client.connect(engine, 5) as health, socket.create_connection(("127.0.0.1", service.port)) as sock:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: b\r\nContent-Length: {len(body)}\r\n"
        sock.sendall((head + f"Content-Type: application/json\r\n\r\n{body}").encode())
        _until(lambda: _running(health) == 1)
        time.sleep(0.2)
        sock.close()
        return _timed(lambda: _until(lambda: _running(health) == 0))


def _running(health: client.Stream) -> int:
    health.send(Ping(), 5)
    answer = health.receive(5)
    assert isinstance(answer, Health)
    assert answer.load is not None
    return answer.load.running


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.002)


def memory(service: Running) -> list[Row]:
    """Resident memory, and that web has no MLX library mapped (Linux)."""
    rows = []
    workers = psutil.Process(service.pid("web")).children()
    for name, process, limit in [
        ("web worker", workers[0], 150),
        ("supervisor", psutil.Process(service.process.pid), 80),
    ]:
        rows.append((f"{name}, resident", f"{process.memory_info().rss / _MB:.0f} MB", f"< {limit} MB"))
    if sys.platform == "linux":
        mapped = any("libmlx" in line for line in Path(f"/proc/{workers[0].pid}/maps").read_text().splitlines())
        rows.append(("web has MLX mapped", "yes" if mapped else "no", "no"))
    return rows


def decode_speed(service: Running) -> list[Row]:
    """The demo model's own speed through the engine's socket, alone and over 16 streams."""
    engine = runtime.engine_socket(service.folder / "run", "demo")
    rows = []
    for count in (1, 16):
        speeds = [_tokens_per_second(engine, count) for _ in range(3)]
        rows.append((f"demo model, {count} stream(s), tokens/s", _range(speeds), ""))
    return rows


def _tokens_per_second(engine: Path, count: int) -> float:
    request = GenerateRequest("bench", "demo", (ChatMessage("user", "Where are the logs?"),), max_tokens=128)
    began = time.perf_counter()
    open_streams = [client.connect(engine, 5) for _ in range(count)]
    for stream in open_streams:
        stream.send(request, 5)
    total = 0
    for stream in open_streams:
        while not isinstance(event := stream.receive(60), Finished):
            pass
        total += event.usage.completion_tokens
        stream.close()
    return total / (time.perf_counter() - began)


def recovery(service: Running) -> list[Row]:
    """From `kill -9` of the engine under no load to the next whole answer."""
    engine = runtime.engine_socket(service.folder / "run", "demo")
    times = []
    for _ in range(3):
        os.kill(service.pid("engine"), signal.SIGKILL)
        times.append(_timed(lambda: _until(lambda: _answers(engine))))
    return [("engine killed: answers again after", _range_ms(times), "")]


def _answers(engine: Path) -> bool:
    try:
        _first_token_direct(engine)
    except (client.ConnectError, client.Disconnected):
        return False
    return True


def pages(service: Running) -> list[Row]:
    """Twenty one-line pictures at once on two workers."""

    def read(_: int) -> None:
        picture = pictures.line("Berth 47 is free")
        httpx.post(f"{service.url}/v1/ocr", files={"file": picture}, timeout=60).raise_for_status()

    def read_all() -> None:
        with ThreadPoolExecutor(20) as crowd:
            list(crowd.map(read, range(20)))

    times = [_timed(read_all) for _ in range(3)]
    return [("20 one-line pictures at once, 2 workers: all read after", _range_ms(times), "")]


def _range(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def _range_ms(seconds: list[float]) -> str:
    values = [value * 1000 for value in seconds]
    return f"{statistics.median(values):.0f} ms ({min(values):.0f}–{max(values):.0f})"
