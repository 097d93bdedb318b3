"""`make bench-ocr`: how OCR scales: workers, a process per request, chat beside it, a long job and its first page.

`python -m tests.bench.ocr_bench chat first` measures these parts alone.
"""

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
from statistics import median, quantiles
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
_FIRST_JOBS = 5
_FEW_PAGES = 12
_WAIT_S = 600.0
_ONE_PROCESS = "import sys; from rapidocr import RapidOCR; print(len(RapidOCR()(sys.argv[1]).txts))"


def main() -> None:
    out = sys.stdout
    out.write(f"{platform.platform()}, {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f} before\n\n")
    out.write("| Measure | Figure | Wanted |\n|---|---|---|\n")
    for part in sys.argv[1:] or _PARTS:
        _PARTS[part]()


def _workers() -> None:
    png = ocr_pages.dense().png()
    speeds = {}
    for workers in (1, 2):
        with service(inference_engine="fake", ocr_workers=workers) as running:
            speeds[workers] = _pages_per_s(running, png)
    _row("pages/s, one worker, two workers", f"{speeds[1]:.2f}, {speeds[2]:.2f}", "")
    _row("two workers to one", f"{speeds[2] / speeds[1]:.2f} ×", "≥ 1.8 ×, on idle cores")
    alone = _process_per_request(png)
    _row("a process per request", f"{alone:.2f} pages/s; we are {speeds[2] / alone:.1f} × that", "≥ 3 ×")


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


def _chat() -> None:
    png = ocr_pages.dense().png()
    with service(ocr_workers=2) as running:
        _chat_beside(running, png)


def _chat_beside(running: Running, png: bytes) -> None:
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


def _document() -> bytes:
    return files.scan([f"Page number {at}\nof the harbour book\nwritten in 2026" for at in range(_JOB_PAGES)])


def _post(running: Running, document: bytes) -> str:
    posted = httpx.post(f"{running.url}/v1/ocr/jobs", files={"file": document}, timeout=60).json()
    return f"{running.url}/v1/ocr/jobs/{posted['id']}"


def _first() -> None:
    """Several jobs, the first on workers that have read nothing yet."""
    document = _document()
    with service(inference_engine="fake", ocr_workers=2) as running:
        found = [_first_page(running, document) for _ in range(_FIRST_JOBS)]
    shown = ", ".join(f"{first_s / page_s:.2f}" for first_s, page_s in found)
    first_s, page_s = median(first_s for first_s, _ in found), median(page_s for _, page_s in found)
    middle = median(first_s / page_s for first_s, page_s in found)
    figure = f"{first_s:.2f} s for pages of {page_s:.2f} s: {middle:.2f} page-times ({shown})"
    _row(f"first page of {_FIRST_JOBS} jobs of {_JOB_PAGES} pages", figure, "≤ 2 page-times of a worker")


def _first_page(running: Running, document: bytes) -> tuple[float, float]:
    """Seconds from the upload's start to the first page, and what a worker took over one of the first pages."""
    began, first_s, times = time.monotonic(), 0.0, []
    url = _post(running, document)
    with httpx.stream("GET", f"{url}/events", timeout=_WAIT_S) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: ") and (timings := json.loads(line[6:]).get("timings")):
                first_s = first_s or time.monotonic() - began
                times.append((timings["decode_ms"] + timings["recognize_ms"]) / 1000)
            if len(times) == _FEW_PAGES:
                break
    httpx.delete(url, timeout=30)
    time.sleep(1)  # pages that were begun are read to their end
    return first_s, median(times)


def _job() -> None:
    with service(inference_engine="fake", ocr_workers=2) as running:
        _job_under_fire(running)


def _job_under_fire(running: Running) -> None:
    began = time.monotonic()
    url = _post(running, _document())
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
    _row(f"job of {_JOB_PAGES} pages", f"{whole_s:.1f} s, with a worker and the broker killed", "")
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


_PARTS = {"workers": _workers, "chat": _chat, "first": _first, "job": _job}

if __name__ == "__main__":
    main()
