"""`make soak HOURS=24`: mixed work on a service of its own for as long as told; one table at the end.

A quarter of a minute of it runs in CI (tests/e2e/test_soak.py). Leaks show as slopes: memory, open files. The first
third is left out of the slopes, for caches and pools fill then.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import psutil

from tests.e2e import pictures
from tests.running import Running, service

_SAMPLE_EVERY = 60  # samples of a run, at least


@dataclass
class Soak:
    """What a run gave. `memory`: (seconds, bytes) of all processes together; `files` likewise."""

    seconds: float
    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    memory: list[tuple[float, int]] = field(default_factory=list)
    files: list[tuple[float, int]] = field(default_factory=list)
    restarts: int = 0

    @property
    def memory_slope(self) -> float:
        """MiB an hour."""
        return slope(self.memory) * 3600 / (1 << 20)

    @property
    def files_slope(self) -> float:
        """Files an hour."""
        return slope(self.files) * 3600

    def p95(self, kind: str) -> float:
        times = sorted(self.latencies.get(kind, [0.0]))
        return times[int(len(times) * 0.95)] if times else 0.0

    def table(self) -> str:
        lines = [f"{'':<14}{'requests':>10}{'errors':>8}{'p95 s':>9}"]
        lines += [
            f"{kind:<14}{self.requests[kind]:>10}{self.errors[kind]:>8}{self.p95(kind):>9.3f}"
            for kind in sorted(self.requests)
        ]
        first, last = self.memory[0][1] >> 20, self.memory[-1][1] >> 20
        lines += [
            f"{'seconds':<14}{self.seconds:>10.0f}",
            f"{'memory':<14}{first:>10} → {last} MiB, {self.memory_slope:+.1f} MiB/h",
            f"{'open files':<14}{self.files[0][1]:>10} → {self.files[-1][1]}, {self.files_slope:+.1f}/h",
            f"{'restarts':<14}{self.restarts:>10}",
        ]
        return "\n".join(lines)


def slope(points: list[tuple[float, int]], left_out: float = 1 / 3) -> float:
    """Least squares over all but a first share, per second."""
    tail = points[int(len(points) * left_out) :]
    if len(tail) < 2:
        return 0.0
    mean_x, mean_y = sum(x for x, _ in tail) / len(tail), sum(y for _, y in tail) / len(tail)
    below = sum((x - mean_x) ** 2 for x, _ in tail)
    return sum((x - mean_x) * (y - mean_y) for x, y in tail) / below if below else 0.0


def soak(running: Running, seconds: float) -> Soak:
    """Keep it busy until the time is over."""
    result, over = Soak(seconds), threading.Event()
    page = pictures.line("Berth 47 is free")
    with httpx.Client(base_url=running.url, timeout=60) as http:
        kinds: dict[str, Callable[[], bool]] = {
            "chat": lambda: _ok(http.post("/v1/chat/completions", json=_chat("Where are the logs?"))),
            "stream": lambda: http.post("/v1/chat/completions", json=_chat("Hi", stream=True)).text.endswith(
                "[DONE]\n\n"
            ),
            "left": lambda: _leave(running),
            "ocr": lambda: "Berth" in http.post("/v1/ocr", files={"file": page}).text,
            "status": lambda: _ok(http.get("/v1/system/status")) and _ok(http.get("/metrics")),
            "wrong": lambda: http.post("/v1/chat/completions", content=b"{").status_code in (400, 415),
        }
        threads = [threading.Thread(target=_work, args=(kind, act, result, over)) for kind, act in kinds.items()]
        for thread in threads:
            thread.start()
        _watch(running, result, seconds)
        over.set()
        for thread in threads:
            thread.join(90)
    result.restarts = sum(sum(counts.values()) for counts in running.restarts().values())
    return result


def _chat(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 24, "temperature": 0, **more}


def _ok(reply: httpx.Response) -> bool:
    return reply.status_code == 200


def _leave(running: Running) -> bool:
    """A client that goes after the first line."""
    with httpx.stream(
        "POST", f"{running.url}/v1/chat/completions", json=_chat("Hello", stream=True), timeout=60
    ) as reply:
        next(reply.iter_lines(), None)
        return reply.status_code == 200


def _work(kind: str, act: Callable[[], bool], result: Soak, over: threading.Event) -> None:
    times = result.latencies.setdefault(kind, [])
    while not over.wait(0.05):
        began = time.monotonic()
        try:
            good = act()
        except httpx.HTTPError:
            good = False
        result.requests[kind] += 1
        result.errors[kind] += not good
        times.append(time.monotonic() - began)
        del times[:-100_000]


def _watch(running: Running, result: Soak, seconds: float) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        memory = files = 0
        for process in running.processes():
            with suppress(psutil.Error):  # one that has just ended
                memory += process.memory_info().rss
                files += process.num_fds()
        result.memory.append((passed, memory))
        result.files.append((passed, files))
        time.sleep(max(0.5, seconds / _SAMPLE_EVERY / 4))


def main(hours: float) -> int:
    with service() as running:
        result = soak(running, hours * 3600)
    print(result.table())
    return 1 if sum(result.errors.values()) or result.restarts else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    sys.exit(main(parser.parse_args().hours))
