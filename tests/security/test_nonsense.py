"""A hundred thousand requests of no sense leave nothing behind: no memory, no series, no line in errors.log.

8,000 of them here, or what fits in half a minute; `make nonsense` sends all.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from tests.running import Running, service
from tests.security.conftest import AUTH, KEY
from tests.security.nonsense import MARK, Nonsense, attack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

_ALL = "NONSENSE" in os.environ
_COUNT = int(os.environ.get("NONSENSE", "8000"))
_SECONDS = 3000.0 if _ALL else 30.0
_WARM_UP = 4000  # until each kind of answer has been given, and what Python keeps for itself is there
_WARM_UP_S = 300.0 if _ALL else 20.0
_CLIENTS = 4
_MOST_GROWTH = 10 << 20
_STATUSES = {200, 202, 400, 401, 404, 405, 413, 415, 429}


@pytest.fixture(autouse=True)
def _still_answers() -> None:
    """In place of the folder's own: this service ends with its test."""


def send(running: Running, count: int, seconds: float, seed: int) -> Counter[int]:
    """From several clients at once; the answers by status."""
    sources = [Nonsense(seed + number, KEY) for number in range(_CLIENTS)]
    with ThreadPoolExecutor(_CLIENTS) as crowd:
        found = crowd.map(lambda source: attack(running.port, source, count // _CLIENTS, seconds), sources)
        return sum(found, Counter())


def web_memory(running: Running) -> int:
    """Resident bytes of web, gunicorn's master included."""
    status = httpx.get(f"{running.url}/v1/system/status", headers=AUTH, timeout=10).json()
    top = psutil.Process(next(child["pid"] for child in status["children"] if child["name"] == "web"))
    return sum(process.memory_info().rss for process in (top, *top.children(recursive=True)))


def scrape(running: Running) -> str:
    return httpx.get(f"{running.url}/metrics", headers=AUTH, timeout=30).text


def test_nonsense_leaves_nothing_behind() -> None:
    """Web's memory stays within 10 MiB and /metrics within 5 % of before; no answer is a 500."""
    settings: dict[str, Any] = {"api_keys": f"tester:{KEY}", "response_store_mb": 1, "body_timeout": 5}
    settings |= {"inference_engine": "fake", "ocr_engine": "fake", "ocr_workers": 1}
    with service(ready=None, rate_limit_failed_logins=1_000_000, **settings) as running:
        running.wait("/readyz")
        send(running, _WARM_UP, _WARM_UP_S, 1_000)
        before, series = web_memory(running), scrape(running)
        statuses = send(running, _COUNT, _SECONDS, 2_000)
        grown, after = web_memory(running) - before, scrape(running)
        told = f"{statuses.total()} requests: {dict(statuses)}; web {before >> 20} MiB {grown / (1 << 20):+.1f} MiB"
        told += f"; /metrics {len(series)} to {len(after)} bytes"
        print(told)  # what `make nonsense` shows
        assert statuses.total() == _COUNT if _ALL else statuses.total() > 500
        assert set(statuses) <= _STATUSES, told
        assert grown <= _MOST_GROWTH, told
        assert abs(len(after) - len(series)) <= 0.05 * len(series), told
        assert MARK not in after
        assert (running.logs / "errors.log").read_text() == ""
