"""Requests that were left: closed on this side, they end in the engine too, and never come back as resumed ones."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e

_LONG = "fake:count=2000 fake:delay=0.01"


def load(running: Running) -> dict[str, int]:
    health = json.loads(running.get("/v1/system/status")[1])["children"]
    (engine,) = (child for child in health if child["name"].startswith("engine"))
    return {name: engine["health"]["load"][name] for name in ("running", "waiting")}


def metric(running: Running, name: str) -> float:
    lines = running.get("/metrics")[1].decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_siblings_of_a_failed_prompt_end_with_it() -> None:
    """One of three prompts fails in the queue: the running one is closed while it is read, and is gone for good."""
    with service(inference_engine="fake", ocr_workers=0, max_num_seqs=1, queue_timeout=1, heartbeat_interval=0.2) as it:
        body = {"prompt": [_LONG, "second", "third"], "max_tokens": 2000}
        reply = httpx.post(f"{it.url}/v1/completions", json=body, timeout=30)
        assert reply.status_code in (503, 504), reply.text
        deadline = time.monotonic() + 5
        while (now := load(it)) != {"running": 0, "waiting": 0} and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        assert now == load(it) == {"running": 0, "waiting": 0}
        assert metric(it, "stoker_requests_resumed_total") == 0
        assert metric(it, "stoker_requests_in_flight") == 0
        assert "Traceback" not in it.console()
