"""An engine that is renewed as planned: nobody who is being answered notices, and nobody has to wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.test_faults import answered, number_running, stream, text, until
from tests.running import Running, service

pytestmark = pytest.mark.e2e

_FAKE: dict[str, Any] = {"inference_engine": "fake", "ocr_workers": 0, "heartbeat_interval": 0.1}


def renewals(running: Running) -> int:
    restarts = running.status()["engine"]["restarts"]
    assert isinstance(restarts, dict)
    assert set(restarts) <= {"recycle"}, restarts
    return int(restarts.get("recycle", 0))


def again_and_again(act: Callable[[], bool], over: Callable[[], bool]) -> None:
    """It succeeds each time, until `over`."""
    while not over():
        assert act()


def test_nobody_notices_a_renewal() -> None:
    """ENGINE_MAX_REQUESTS: three renewals under streams; all texts whole, always ready, all others answered."""
    with service(**_FAKE, engine_max_requests=12) as running, ThreadPoolExecutor(8) as crowd:
        streams = [crowd.submit(stream, running, "fake:count=100 fake:delay=0.02") for _ in range(4)]
        pings = crowd.submit(again_and_again, lambda: running.get("/readyz")[0] == 200, lambda: renewals(running) >= 3)
        again_and_again(lambda: answered(running), lambda: renewals(running) >= 3)
        pings.result(timeout=30)
        assert {text(future.result(timeout=30)) for future in streams} == {("abcdefghijklmnopqrstuvwxyz" * 4)[:100]}
        assert number_running(running) == 0


def test_a_crash_costs_no_import() -> None:
    """ENGINE_STANDBY: the next engine is the process that waited for it, and streams go on there."""
    with service(**_FAKE, engine_standby="true") as running, ThreadPoolExecutor(2) as crowd:
        until(lambda: running.status().get("standby", {}).get("state") == "ready")
        waiting = running.pid("standby")
        both = [crowd.submit(stream, running, "fake:count=100 fake:delay=0.02") for _ in range(2)]
        until(lambda: number_running(running) == 2)
        os.kill(running.pid("engine"), signal.SIGKILL)
        assert {len(text(future.result(timeout=30))) for future in both} == {100}
        assert running.pid("engine") == waiting
        until(lambda: running.status().get("standby", {}).get("state") == "ready")
        assert running.pid("standby") != waiting
        assert running.get("/readyz")[0] == 200


def test_an_answer_longer_than_the_grace_moves_on() -> None:
    """ENGINE_MAX_TOKENS, and streams that outlive ENGINE_DRAIN_TIMEOUT: they go on in the new engine, unsuspected."""
    with service(**_FAKE, engine_max_tokens=50, engine_drain_timeout=0.5) as running, ThreadPoolExecutor(2) as crowd:
        both = [crowd.submit(stream, running, "fake:count=600 fake:delay=0.02") for _ in range(2)]
        assert [len(text(future.result(timeout=60))) for future in both] == [600, 600]
        assert renewals(running) >= 3
        until(lambda: len(running.processes()) <= 4)
