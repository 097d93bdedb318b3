"""`make bench-batch`: a batch beside live traffic, on an idle machine, and one of 100,000 lines. As Markdown tables.

The demo model and the fake engine. What is compared is measured in one run, in turns, on a machine with nothing else to
do: the pause of background work (`/api/gpu/pause`) is "without the batch".
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import psutil

from tests.bench.measures import Row
from tests.running import Running, service

_LINES, _TOKENS, _WIDTH = 2000, 48, 32
_LIVE, _ROUNDS, _GAP_S = 24, 4, 0.5
_MANY, _MANY_S = 100_000, 60.0
_IDLE_S = 2.0
_PATIENCE_S = 600.0
_PATH = "/v1/chat/completions"
_QUESTIONS = ("Where are the logs?", "How do I stop it?", "What is a batch?", "Which engine is used?")


def main() -> int:
    wide: dict[str, Any] = {"ocr_workers": 0, "max_num_seqs": _WIDTH, "background_max_seqs": _WIDTH}
    with service(background_idle_seconds=0, **wide) as demo:
        _show("the demo model", throughput(demo))
        _show("the batch takes every gap (BACKGROUND_IDLE_SECONDS=0)", live(demo))
    with service(background_idle_seconds=_IDLE_S, **wide) as demo:
        _show(f"the batch waits for quiet (BACKGROUND_IDLE_SECONDS={_IDLE_S:g})", live(demo))
    with service(inference_engine="fake", ocr_workers=0, background_idle_seconds=0, background_max_seqs=64) as fake:
        _show("the fake engine", many(fake))
    return 0


def _show(title: str, rows: list[Row]) -> None:
    sys.stdout.write(f"\n| {title} | Figure | Wanted |\n|---|---|---|\n")
    sys.stdout.write("".join(f"| {what} | {figure} | {wanted} |\n" for what, figure, wanted in rows))
    sys.stdout.flush()


# ---- an idle machine


def throughput(running: Running) -> list[Row]:
    """The same requests by 32 live streams and as a batch, in turns: tokens a second of each."""
    asked = [_body(at) for at in range(4 * _WIDTH)]
    _by_streams(running, asked[:_WIDTH])  # warm
    pairs = [(_by_batch(running, asked), _by_streams(running, asked)) for _ in range(2)]
    batch, streams = (statistics.median(one) for one in zip(*pairs, strict=True))
    share = statistics.median(ours / theirs for ours, theirs in pairs)
    return [
        (f"{_WIDTH} live streams, tokens/s", f"{streams:.0f}", ""),
        ("a batch on the idle machine, tokens/s", f"{batch:.0f}", ""),
        ("its share (median of pairs)", f"{share:.2f}", "≥ 0.9"),
    ]


def _by_streams(running: Running, bodies: list[dict[str, Any]]) -> float:
    with ThreadPoolExecutor(_WIDTH) as crowd, httpx.Client(timeout=_PATIENCE_S) as http:
        began = time.monotonic()
        counts = list(crowd.map(lambda body: _tokens_streamed(http, running, body), bodies))
        return sum(counts) / (time.monotonic() - began)


def _tokens_streamed(http: httpx.Client, running: Running, body: dict[str, Any]) -> int:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    with http.stream("POST", running.url + _PATH, json=body | options) as stream:
        usage = [line for line in stream.iter_lines() if '"usage":{' in line.replace(" ", "")]
    return int(json.loads(usage[-1][6:])["usage"]["completion_tokens"])


def _by_batch(running: Running, bodies: list[dict[str, Any]]) -> float:
    """From the moment at which its lines may run."""
    name = _begin(running, bodies)
    _until(lambda: _batch(running, name)["status"] != "validating")
    began = time.monotonic()
    _until(lambda: _batch(running, name)["status"] == "completed")
    took_s = time.monotonic() - began
    output = running.get(f"/v1/files/{_batch(running, name)['output_file_id']}/content")[1].decode()
    answers = [json.loads(line)["response"]["body"]["usage"]["completion_tokens"] for line in output.splitlines()]
    return float(sum(answers) / took_s)


# ---- beside live traffic


def live(running: Running) -> list[Row]:
    """Single live requests at random moments, while a batch of 2,000 fills the machine and while it is paused."""
    name = _begin(running, [_body(at) for at in range(_LINES)])
    _until(lambda: _batch(running, name)["request_counts"]["completed"] > 0)
    found: dict[bool, tuple[list[float], list[float]]] = {True: ([], []), False: ([], [])}
    for _ in range(_ROUNDS):
        for paused in (True, False):
            httpx.post(f"{running.url}/api/gpu/{'pause' if paused else 'resume'}", timeout=30).raise_for_status()
            _settle(running, paused=paused)
            for first_s, gaps in _live_requests(running):
                found[paused][0].append(first_s)
                found[paused][1].extend(gaps)
    left = _batch(running, name)["request_counts"]
    httpx.post(f"{running.url}/v1/batches/{name}/cancel", timeout=30).raise_for_status()
    return [
        *_compared("first token", found[True][0], found[False][0]),
        *_compared("between tokens", found[True][1], found[False][1]),
        ("lines of the batch done meanwhile", f"{left['completed']} of {_LINES}", ""),
    ]


def _settle(running: Running, *, paused: bool) -> None:
    """What runs ends, or begins."""
    time.sleep(0.2)
    _until(lambda: (_running(running) == 0) == paused)


def _running(running: Running) -> int:
    engine: Any = running.status()["engine"]
    return int(engine["health"]["load"]["running"])


def _live_requests(running: Running) -> Iterator[tuple[float, list[float]]]:
    dice = random.Random(7)
    with httpx.Client(timeout=60) as http:
        for at in range(_LIVE):
            time.sleep(dice.uniform(0.2, 1.8) * _GAP_S)
            yield _live_request(http, running, _body(at))


def _live_request(http: httpx.Client, running: Running, body: dict[str, Any]) -> tuple[float, list[float]]:
    """Seconds to the first token, and between the others."""
    began, at = time.perf_counter(), []
    with http.stream("POST", running.url + _PATH, json=body | {"stream": True}) as stream:
        at = [time.perf_counter() for line in stream.iter_lines() if '"content":"' in line.replace(" ", "")]
    return at[0] - began, [later - earlier for earlier, later in pairwise(at)]


def _compared(what: str, without: list[float], beside: list[float]) -> list[Row]:
    rows = []
    for name, of in (("p50", statistics.median), ("p95", lambda values: statistics.quantiles(values, n=20)[-1])):
        plain, loaded = of(without) * 1000, of(beside) * 1000
        text = f"{loaded:.1f} ms, {plain:.1f} ms without the batch: {loaded / plain:.2f}×"
        rows.append((f"live {what}, {name}", text, "≤ 1.1×" if name == "p95" else ""))
    return rows


# ---- a long batch


def many(running: Running) -> list[Row]:
    """100,000 lines: memory of web and supervisor, the first result, listings while it runs."""
    _by_batch(running, [_body(at) for at in range(500)])  # warm
    before, peak, lists = _memory(running), dict[str, float](), list[float]()
    file = _upload(running, [_body(at) for at in range(_MANY)])
    began = time.monotonic()
    name = _order(running, file)
    _until(lambda: _batch(running, name)["request_counts"]["completed"] > 0, 0.02)
    first_s = time.monotonic() - began
    while time.monotonic() - began < _MANY_S and _batch(running, name)["status"] == "in_progress":
        at = time.perf_counter()
        running.get("/v1/batches?limit=100")
        lists.append(time.perf_counter() - at)
        for process, size in _memory(running).items():
            peak[process] = max(peak.get(process, 0.0), size - before[process])
        time.sleep(0.5)
    done, took_s = _batch(running, name)["request_counts"]["completed"], time.monotonic() - began
    httpx.post(f"{running.url}/v1/batches/{name}/cancel", timeout=30)
    grown = ", ".join(f"{process} {size:.0f} MB" for process, size in peak.items())
    return [
        (f"first result of {_MANY} lines", f"{first_s:.2f} s", "≤ 2 s"),
        ("memory over idle while it runs", grown, "≤ 20 MB"),
        ("a listing while it runs, median and longest", _shown(lists), "< 50 ms"),
        (f"lines in {took_s:.0f} s", f"{done}", ""),
    ]


def _shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} ms, {max(seconds) * 1000:.1f} ms"


def _memory(running: Running) -> dict[str, float]:
    """MB of web's processes and of the supervisor."""
    web = psutil.Process(running.pid("web"))
    sizes = {"web": [web, *web.children()], "supervisor": [psutil.Process(running.process.pid)]}
    return {name: sum(one.memory_info().rss for one in those) / 1e6 for name, those in sizes.items()}


# ---- batches


def _body(number: int) -> dict[str, Any]:
    content = f"{_QUESTIONS[number % len(_QUESTIONS)]} ({number})"
    return {"messages": [{"role": "user", "content": content}], "max_tokens": _TOKENS, "temperature": 0}


def _begin(running: Running, bodies: list[dict[str, Any]]) -> str:
    return _order(running, _upload(running, bodies))


def _upload(running: Running, bodies: list[dict[str, Any]]) -> str:
    lines = [
        json.dumps({"custom_id": str(at), "method": "POST", "url": _PATH, "body": body})
        for at, body in enumerate(bodies)
    ]
    file = ("in.jsonl", "\n".join(lines).encode())
    made = httpx.post(f"{running.url}/v1/files", data={"purpose": "batch"}, files={"file": file}, timeout=120)
    return str(made.raise_for_status().json()["id"])


def _order(running: Running, file: str) -> str:
    order = {"input_file_id": file, "endpoint": _PATH, "completion_window": "24h"}
    return str(httpx.post(f"{running.url}/v1/batches", json=order, timeout=60).raise_for_status().json()["id"])


def _batch(running: Running, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(running.get(f"/v1/batches/{name}")[1])
    return found


def _until(condition: Callable[[], bool], pause_s: float = 0.1) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time")
        time.sleep(pause_s)


if __name__ == "__main__":
    sys.exit(main())
