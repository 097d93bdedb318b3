"""A model over two ranks on loopback: the text of one process, also when a rank dies or hangs; no rank is left."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e

_STREAMS = 16
_TOKENS = 96
_MOST_OF_THE_WEIGHTS = 0.7
_LOSSES = [(1, signal.SIGKILL), (1, signal.SIGSTOP)]
if os.environ.get("ALL_LOSSES"):
    _LOSSES.append((0, signal.SIGKILL))


@pytest.fixture(scope="module")
def even_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint whose heads two ranks can share, with more in its layers than in its vocabulary."""
    from src.gpu import blas

    blas.preload()
    from training.demo.checkpoint import write_random_checkpoint

    folder = tmp_path_factory.mktemp("models") / "even"
    write_random_checkpoint(folder, hidden=128, layers=4, vocab=1024)
    return folder


@pytest.fixture(scope="module")
def one(even_model: Path) -> Iterator[Running]:
    with service(default_model=even_model, ocr_workers=0) as running:
        yield running


@pytest.fixture(scope="module")
def two(even_model: Path) -> Iterator[Running]:
    hosts: dict[str, Any] = {"engine_hosts": "127.0.0.1,127.0.0.1", "heartbeat_interval": 0.2, "restart_free": 10}
    with service(default_model=even_model, ocr_workers=0, **hosts) as running:
        yield running


def stream(running: Running, number: int) -> str:
    """Text of a greedy answer, or of one with a seed, with log-probabilities, or in the form of a schema."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"question number {number} " * (number % 5 + 1)}],
        "max_tokens": _TOKENS,
        "temperature": number % 2,
        "seed": number,
        "frequency_penalty": 0.5 if number % 4 == 1 else 0.0,
    }
    if number % 8 == 3:
        form = {"type": "object", "properties": {"n": {"type": "string", "maxLength": 9}}, "required": ["n"]}
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "schema": form}}
    reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


def leave_early(running: Running) -> None:
    """A client that goes in the middle of its answer."""
    body = {"messages": [{"role": "user", "content": "bye"}], "max_tokens": 900, "temperature": 0, "stream": True}
    with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=body, timeout=60) as reply:
        for at, _ in enumerate(reply.iter_lines()):
            if at > 20:
                return


def ranks(running: Running) -> list[psutil.Process]:
    """Processes that are ranks other than 0."""
    return [each for each in running.processes() if "src.engine.ranks.follower" in each.cmdline()]


def until_replaced(running: Running, engine: int) -> float:
    """Seconds until the engine is another one, and ready."""
    began = time.monotonic()
    while (now := running.status()["engine"])["pid"] in (engine, None) or now["state"] != "ready":
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    return time.monotonic() - began


def test_two_ranks_say_what_one_process_says(one: Running, two: Running) -> None:
    """Greedy and seeded, with penalties and schemas, in one batch, while others leave; a rank has its part alone."""
    with ThreadPoolExecutor(_STREAMS + 2) as crowd:
        expected = list(crowd.map(lambda number: stream(one, number), range(_STREAMS)))
        leaving = [crowd.submit(leave_early, two) for _ in range(2)]
        assert list(crowd.map(lambda number: stream(two, number), range(_STREAMS))) == expected
        assert all(each.exception(30) is None for each in leaving)
    models: list[Any] = [running.status()["engine"]["health"] for running in (one, two)]
    whole, part = (health["model"] for health in models)
    assert (whole["ranks"], part["ranks"]) == (1, 2)
    assert part["parameters"] == whole["parameters"]
    assert part["weight_bytes"] <= _MOST_OF_THE_WEIGHTS * whole["weight_bytes"]


@pytest.mark.skipif(sys.platform != "linux", reason="a stopped process is found by /proc")
def test_a_rank_that_dies_or_hangs_costs_no_stream(two: Running) -> None:
    """Killed or stopped in the middle of 16 answers; `make test-ranks` kills rank 0, the engine itself, too."""
    with ThreadPoolExecutor(_STREAMS) as crowd:
        expected = list(crowd.map(lambda number: stream(two, number), range(_STREAMS)))
        for lost, sent in _LOSSES:
            engine, (other,) = two.pid("engine"), ranks(two)
            answers = [crowd.submit(stream, two, number) for number in range(_STREAMS)]
            time.sleep(0.3)
            os.kill(other.pid if lost else engine, sent)
            until_replaced(two, engine)
            assert [each.result(timeout=60) for each in answers] == expected
            assert not other.is_running()
            assert len(ranks(two)) == 1


def test_no_rank_is_left_when_the_supervisor_is_killed(two: Running) -> None:
    """The last test of this service."""
    (other,) = ranks(two)
    os.kill(two.process.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while other.is_running() and time.monotonic() < until:
        time.sleep(0.05)
    assert not other.is_running()
