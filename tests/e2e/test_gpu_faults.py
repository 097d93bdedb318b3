"""Errors of the GPU, in Metal's own words from the fake engine: it is replaced, and may go on without a GPU."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from src.ipc import client, runtime
from src.ipc.messages.base import Accepted
from src.ipc.messages.control import RestartRequest
from tests.e2e.test_faults import answered, stream, text, until
from tests.running import Running, service

pytestmark = pytest.mark.e2e

_FAKE: dict[str, Any] = {"inference_engine": "fake", "ocr_workers": 0, "heartbeat_interval": 0.2}


def device(running: Running) -> str | None:
    """Where an answer says it was computed, if not where it should be."""
    body = {"messages": [{"role": "user", "content": "where"}]}
    reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=20)
    assert reply.status_code == 200
    value: str | None = reply.headers.get("X-Device-Fallback")
    return value


def gauge(running: Running) -> bytes:
    lines = running.get("/metrics")[1].splitlines()
    return next(line for line in lines if line.startswith(b"stoker_engine_fallback{")).split()[-1]


def test_a_gpu_that_fails_is_left_for_the_cpu() -> None:
    """GPU_FALLBACK=cpu, and the breaker opens: answers go on there; status, answers and metrics say so."""
    with service(**_FAKE, gpu_fallback="cpu", crash_limit=2) as running:
        assert (device(running), gauge(running)) == (None, b"0.0")
        with ThreadPoolExecutor(2) as crowd:
            good = crowd.submit(stream, running, "fake:count=100 fake:delay=0.02")
            bad = crowd.submit(stream, running, "fake:gpu abcdef")
            assert len(text(good.result(timeout=30))) == 100
            assert text(bad.result(timeout=30)) == "fake:gpu abcdef"
        engine = running.status()["engine"]
        assert (engine["restarts"], engine["fallback"]) == ({"gpu": 2}, "cpu")
        assert (device(running), gauge(running)) == ("cpu", b"1.0")
        os.kill(running.pid("engine"), signal.SIGKILL)  # it stays there
        assert device(running) == "cpu"
        control = runtime.control_socket(running.folder / "run")
        assert client.ask(control, RestartRequest("engine:demo"), 5) == Accepted()
        until(lambda: answered(running) and device(running) is None)
        assert "fallback" not in running.status()["engine"] or running.status()["engine"]["fallback"] is None


def test_without_a_fallback_the_process_is_replaced() -> None:
    """The restart says what it was; the request that does it alone, twice, is not tried again."""
    with service(**_FAKE) as running, ThreadPoolExecutor(1) as crowd:
        lines = crowd.submit(stream, running, "fake:gpu abcdef").result(timeout=30)
        assert "engine_crashed" in lines[-1]
        until(lambda: answered(running))
        assert running.status()["engine"]["restarts"] == {"gpu": 2}
        assert b'stoker_engine_restarts_total{reason="gpu"} 2.0' in running.get("/metrics")[1]
