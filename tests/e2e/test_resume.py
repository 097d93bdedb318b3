"""No request is lost: the engine dies under real MLX streams, and their greedy text is what it would have been."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e

_STREAMS = 20
_TOKENS = 160


@pytest.fixture(scope="module")
def random(random_model: Path) -> Iterator[Running]:
    """The service on a random-weight checkpoint, whose answers are long and never end by chance."""
    with service(default_model=random_model, ocr_workers=0, heartbeat_interval=0.2, restart_free=10) as running:
        yield running


def answer(running: Running, number: int, stream: bool) -> tuple[str, dict[str, int]]:
    """Text and usage of one greedy answer."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"question number {number} " * (number % 5 + 1)}],
        "temperature": 0,
        "max_tokens": _TOKENS,
        "stream": stream,
    }
    if not stream:
        reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=120).json()
        return reply["choices"][0]["message"]["content"], counted(reply["usage"])
    body["stream_options"] = {"include_usage": True}
    with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=body, timeout=120) as reply:
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", lines[-1]
    chunks = [json.loads(line) for line in lines[:-1]]
    pieces = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    return "".join(pieces), counted(chunks[-1]["usage"])


def counted(usage: dict[str, Any]) -> dict[str, int]:
    """But for what a cache saved: a fresh engine's is empty."""
    return {name: count for name, count in usage.items() if name != "prompt_tokens_details"}


@pytest.mark.parametrize(("kills", "stream"), [(1, True), (3, True), (1, False)])
def test_greedy_text_survives_the_engine(kills: int, stream: bool, random: Running) -> None:
    """kill -9 during 20 concurrent answers: all 20 have exactly the text and usage of an undisturbed run."""
    with ThreadPoolExecutor(_STREAMS) as crowd:
        undisturbed = list(crowd.map(lambda number: answer(random, number, stream), range(_STREAMS)))
        futures = [crowd.submit(answer, random, number, stream) for number in range(_STREAMS)]
        for _ in range(kills):
            before = random.pid("engine")
            time.sleep(0.8)
            os.kill(before, signal.SIGKILL)
            while random.status()["engine"]["pid"] in (before, None) or random.status()["engine"]["state"] != "ready":
                time.sleep(0.05)
        assert [future.result(timeout=120) for future in futures] == undisturbed
    assert all(usage["completion_tokens"] == _TOKENS for _, usage in undisturbed)
