"""What the service stands on gives way: the disk is full, its files are garbage, its supervisor stands still."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.logs import FILES
from src.ocr.fake import draw
from tests.e2e.test_faults import answered, number_running, stream, text, until
from tests.running import Running, service

pytestmark = pytest.mark.e2e

_FAKE: dict[str, Any] = {"inference_engine": "fake", "ocr_engine": "fake", "ocr_workers": 1, "heartbeat_interval": 0.2}
_ROOM = 200_000


def page(running: Running, picture: bytes) -> httpx.Response:
    return httpx.post(f"{running.url}/v1/ocr", files={"file": ("page.png", picture)}, timeout=60)


def job(running: Running, picture: bytes) -> httpx.Response:
    return httpx.post(f"{running.url}/v1/ocr/jobs", files={"file": ("page.png", picture)}, timeout=60)


def is_done(running: Running, made: httpx.Response) -> bool:
    return bool(httpx.get(f"{running.url}{made.headers['Location']}", timeout=20).json()["status"] == "done")


@pytest.mark.skipif(sys.platform != "linux", reason="lifts the limit of running processes")
def test_a_full_disk(tmp_path: Path) -> None:
    """No file may grow: answers and pages are given as ever, what must be stored is refused, until there is room."""
    for name in FILES.values():
        (tmp_path / name).write_bytes(b"\n" * _ROOM)
    limited = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({_ROOM}, -1))"
    start = f"{limited}; os.execv(sys.executable, [sys.executable, 'run.py', '--mode', 'prod'])"
    with service(command=("-c", start), log_dir=tmp_path, **_FAKE) as running:
        assert text(stream(running, "fake:count=200")) == ("abcdefghijklmnopqrstuvwxyz" * 8)[:200]
        assert page(running, draw("text=hello")).json()["text"] == "hello"
        large = draw(f"text={random.Random(1).randbytes(2 * _ROOM).hex()}")
        assert len(large) > _ROOM
        refused = job(running, large)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "backend_unavailable")
        assert "disk may be full" in refused.json()["error"]["message"]
        assert 0 < running.console().count("lines were lost") < 50
        assert {name: (tmp_path / name).stat().st_size for name in FILES.values()} == dict.fromkeys(
            FILES.values(), _ROOM
        )
        for process in running.processes():
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        made = job(running, large)
        assert made.status_code == 202, made.text
        until(lambda: is_done(running, made))
        assert (tmp_path / FILES["api"]).stat().st_size > _ROOM
        assert not [child for child in running.status().values() if child["restarts"]]


def test_garbage_where_state_should_be(runtime_dir: Path, tmp_path: Path) -> None:
    """A lock file, a job store and sockets that are none: the service starts, and keeps what might be somebody's."""
    garbage = random.Random(2).randbytes(50_000)
    for name in ("supervisor.lock", "ocr-jobs.sqlite", "engine-demo.sock", "ocr.sock", "control.sock"):
        (runtime_dir / name).write_bytes(garbage)
    for name in ("ocr-jobs.sqlite", "work.sqlite"):
        (tmp_path / name).write_bytes(garbage)
    with service(runtime_dir=runtime_dir, state_dir=tmp_path, **_FAKE) as running:
        assert answered(running)
        assert (runtime_dir / "supervisor.lock").read_text() == f"{running.process.pid}\n"
        made = job(running, draw("text=hello"))
        until(lambda: is_done(running, made))
        for name in ("ocr-jobs.damaged", "work.damaged"):
            assert (tmp_path / name).read_bytes() == garbage
        assert not [child for child in running.status().values() if child["restarts"]]


def test_a_supervisor_that_stands_still() -> None:
    """SIGSTOP: all are served on. What dies meanwhile is waited for, then replaced, and nobody else is blamed."""
    with service(**_FAKE, heartbeat_timeout=1) as running, ThreadPoolExecutor(2) as crowd:
        short = crowd.submit(stream, running, "fake:count=60 fake:delay=0.05")
        until(lambda: number_running(running) == 1)
        engine = running.pid("engine")
        os.kill(running.process.pid, signal.SIGSTOP)
        try:
            assert len(text(short.result(timeout=30))) == 60
            assert answered(running)
            assert running.get("/livez")[0] == 200
            long = crowd.submit(stream, running, "fake:count=60 fake:delay=0.05")
            time.sleep(1)
            os.kill(engine, signal.SIGKILL)
            time.sleep(3)
            assert not long.done()
        finally:
            os.kill(running.process.pid, signal.SIGCONT)
        assert len(text(long.result(timeout=30))) == 60
        until(lambda: bool(running.status()))
        assert {name: child["restarts"] for name, child in running.status().items() if child["restarts"]} == {
            "engine": {"signal": 1}
        }


def test_a_load_that_stalls() -> None:
    """START_TIMEOUT: it is killed, the reason is the answer, and nothing of it is left until it is tried again."""
    stalled = {"default_model": "fake:load=600", "start_timeout": 10, "crash_limit": 2, "ocr_workers": 0}
    with service(**(_FAKE | stalled), ready="/livez") as running:
        until(lambda: running.get("/readyz")[0] == 503 and b"not ready within 10 s" in running.get("/readyz")[1], 60)
        until(lambda: "engine" not in running.status(), 60)
        body = {"messages": [{"role": "user", "content": "hello"}]}
        reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=30)
        assert (reply.status_code, "not ready within 10 s" in reply.text) == (503, True)
        assert not [process for process in running.processes() if "src.engine.main" in process.cmdline()]
