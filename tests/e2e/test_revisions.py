"""A model's files are replaced while its engine runs: no text of one revision is passed off as another's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.settings import ROOT
from tests.running import Running, service

pytestmark = pytest.mark.e2e


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the demo model that a test may change."""
    return Path(shutil.copytree(ROOT / "models" / "demo", tmp_path / "demo"))


@pytest.fixture
def running(model: Path) -> Iterator[Running]:
    """The service on that copy, with the response cache."""
    with service(models_dir=model.parent, ocr_workers=0, enable_caching=True, heartbeat_interval=0.2) as it:
        yield it


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Where are the logs?"}], "temperature": 0, **fields}


def ask(running: Running) -> str:
    reply = httpx.post(f"{running.url}/v1/chat/completions", json=body(max_tokens=16), timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.headers["X-Cache"]


def kill_engine(running: Running) -> None:
    pid = running.pid("engine")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        engine = running.status().get("engine", {})
        if engine.get("pid") not in (pid, None) and engine["state"] == "ready":
            return
        time.sleep(0.05)
    raise AssertionError(running.console()[-2000:])


def replace(model: Path) -> None:
    file = model / "model.safetensors"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


def told(running: Running) -> str:
    health = running.status()["engine"]["health"]
    assert isinstance(health, dict)
    return str(health["model"]["revision"])


def test_kept_answers_are_of_the_weights_that_were_loaded(running: Running, model: Path) -> None:
    """Files replaced before the first cacheable request: what the old weights say is not kept for the new ones."""
    first = told(running)
    replace(model)
    assert [ask(running), ask(running)] == ["miss", "hit"]
    assert told(running) == first
    kill_engine(running)
    time.sleep(1.5)
    assert told(running) != first
    assert [ask(running), ask(running)] == ["miss", "hit"]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_stream_is_not_ended_by_other_weights(running: Running, model: Path, replaced: bool) -> None:
    """Weights replaced and the engine killed in the middle: an error event says so. Untouched ones go on."""
    lines: list[str] = []
    wanted = body(max_tokens=400, ignore_eos=True, stream=True)
    with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=wanted, timeout=90) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: "):
                lines.append(line.removeprefix("data: "))
            if len(lines) == 20 and line:
                if replaced:
                    replace(model)
                os.kill(running.pid("engine"), signal.SIGKILL)
    if not replaced:
        assert lines[-1] == "[DONE]"
        return
    error = json.loads(lines[-1])["error"]
    assert error["code"] == "engine_crashed"
    assert "replaced" in error["message"]
