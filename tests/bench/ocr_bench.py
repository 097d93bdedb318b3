"""`make bench-ocr`: how OCR scales: workers, a process per request, chat beside it, a long job under fire."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from threading import Event
from typing import Any

import httpx
import psutil

from src.settings import ROOT
from tests.bench import ocr_pages
from tests.running import Running, service
from tests.unit.ocr import files

_PAGES = 16
_CONCURRENT = 8
_JOB_PAGES = 100
_WAIT_S = 600.0
_ONE_PROCESS = "import sys; from rapidocr import RapidOCR; print(len(RapidOCR()(sys.argv[1]).txts))"


def main() -> None:
    out = sys.stdout
    out.write(f"{platform.platform()}, {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f} before\n\n")
    out.write("| Measure | Figure | Wanted |\n|---|---|---|\n")
    png = ocr_pages.dense().png()
    speeds = {}
    for workers in (1, 2):
        with service(inference_engine="fake", ocr_workers=workers) as running:
            speeds[workers] = _pages_per_s(running, png)
    _row("pages/s, one worker, two workers", f"{speeds[1]:.2f}, {speeds[2]:.2f}", "")
    _row("two workers to one", f"{speeds[2] / speeds[1]:.2f} ×", "≥ 1.8 ×, on idle cores")
    alone = _process_per_request(png)
    _row("a process per request", f"{alone:.2f} pages/s; we are {speeds[2] / alone:.1f} × that", "≥ 3 ×")
    with service(ocr_workers=2) as running:
        _chat(running, png)
    with service(inference_engine="fake", ocr_workers=2) as running:
        _job(running)


def _row(what: str, figure: str, wanted: str) -> None:
    sys.stdout.write(f"| {what} | {figure} | {wanted} |\n")
    sys.stdout.flush()


def _pages_per_s(running: Running, png: bytes) -> float:
    _read(running, png)
    began = time.monotonic()
    with ThreadPoolExecutor(_CONCURRENT) as crowd:
        list(crowd.map(lambda _: _read(running, png), range(_PAGES)))
    return _PAGES / (time.monotonic() - began)


def _read(running: Running, png: bytes) -> None:
    httpx.post(f"{running.url}/v1/ocr", files={"file": png}, timeout=_WAIT_S).raise_for_status()


def _process_per_request(png: bytes) -> float:
    """What a script that calls RapidOCR for each request does."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(png)
        file.flush()

        def read(_: int) -> None:
            # at our workers' priority, for whatever else the machine does
            command = ["nice", "-n", "10", sys.executable, "-c", _ONE_PROCESS, file.name]
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)

        began = time.monotonic()
        with ThreadPoolExecutor(_CONCURRENT) as crowd:
            list(crowd.map(read, range(_CONCURRENT)))
        return _CONCURRENT / (time.monotonic() - began)


# ---- chat beside OCR


def _chat(running: Running, png: bytes) -> None:
    alone = _p95_gap_s(running)
    stop = Event()

    def saturate(_: int) -> None:
        while not stop.is_set():
            _read(running, png)

    with ThreadPoolExecutor(4) as crowd:
        busy = [crowd.submit(saturate, at) for at in range(4)]
        time.sleep(2)
        try:
            beside = _p95_gap_s(running)
        finally:
            stop.set()
        for future in busy:
            future.result()
    shown = f"{1000 * alone:.1f} ms alone, {1000 * beside:.1f} ms with OCR saturated: {beside / alone:.1f} ×"
    _row("chat, p95 between tokens", shown, "≤ 3 ×")


def _p95_gap_s(running: Running) -> float:
    gaps: list[float] = []
    for question in ("Where are the logs?", "How do I load a bigger model?", "Who are you?") * 4:
        body = {"messages": [{"role": "user", "content": question}], "stream": True, "temperature": 0}
        last = None
        with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=body, timeout=_WAIT_S) as reply:
            for line in reply.iter_lines():
                if '"content":' in line:
                    now = time.monotonic()
                    gaps += [] if last is None else [now - last]
                    last = now
    return quantiles(gaps, n=20)[-1]


# ---- a long job


def _job(running: Running) -> None:
    document = files.scan([f"Page number {at}\nof the harbour book\nwritten in 2026" for at in range(_JOB_PAGES)])
    began = time.monotonic()
    posted = httpx.post(f"{running.url}/v1/ocr/jobs", files={"file": document}, timeout=60).json()
    url = f"{running.url}/v1/ocr/jobs/{posted['id']}"
    first_s = _until(lambda: _done(url) >= 1, began)
    _until(lambda: _done(url) >= 20, began)
    before = _memory_mb(running)
    _until(lambda: _done(url) >= 60, began)
    after = _memory_mb(running)
    _worker(running).kill()
    _until(lambda: _done(url) >= 70, began)
    os.kill(running.pid("ocr"), signal.SIGKILL)
    whole_s = _until(lambda: _get(url).get("status") == "done", began)
    result: Any = _get(url)["result"]
    pages = result["pages"]
    right = sum(page["text"].startswith(f"Page number {at}") for at, page in enumerate(pages))
    each_s = whole_s / _JOB_PAGES
    _row(f"job of {_JOB_PAGES} pages", f"{whole_s:.1f} s, with a worker and the broker killed", "")
    _row("its first page", f"after {first_s:.2f} s, {first_s / each_s:.1f} page-times", "≤ 2 page-times of a worker")
    _row("its memory, broker and workers", f"{before:.0f} MB at page 20, {after:.0f} MB at page 60", "flat")
    _row("its pages after kill -9 of both", f"{len(pages)} there, {right} right", "none lost")


def _get(url: str) -> dict[str, object]:
    try:
        found: dict[str, object] = httpx.get(url, timeout=30).json()
    except (httpx.HTTPError, json.JSONDecodeError):
        return {}
    return found


def _done(url: str) -> int:
    return int(str(_get(url).get("pages_done", 0)))


def _until(condition: Callable[[], bool], began: float) -> float:
    """Seconds since `began` when it holds."""
    while not condition():
        if time.monotonic() - began > _WAIT_S:
            raise TimeoutError("it did not happen")
        time.sleep(0.02)
    return time.monotonic() - began


def _memory_mb(running: Running) -> float:
    broker = psutil.Process(running.pid("ocr"))
    return sum(process.memory_info().rss for process in (broker, *broker.children(recursive=True))) / 1e6


def _worker(running: Running) -> psutil.Process:
    children = psutil.Process(running.pid("ocr")).children()
    return next(child for child in children if "spawn_main" in " ".join(child.cmdline()))


if __name__ == "__main__":
    main()
