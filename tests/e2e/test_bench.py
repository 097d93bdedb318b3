"""`run.py bench` against the real service: one that runs, and one that it starts and stops itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.settings import ROOT
from tests.running import service

pytestmark = pytest.mark.e2e

_KEY = "sk-bench-0123456789"
_SMALL = ("--streams", "1,4", "--prompt", "200", "--tokens", "16", "--rounds", "2", "--json")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "run.py", "bench", *_SMALL, *arguments]


def environment(folder: Path, **changes: str) -> dict[str, str]:
    return os.environ | {"INFERENCE_ENGINE": "fake", "LOG_DIR": str(folder / "logs")} | changes


def bench(folder: Path, *arguments: str, **changes: str) -> dict[str, Any]:
    done = subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(folder, **changes), capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_service_that_runs(tmp_path: Path) -> None:
    """With its key from the environment; its own count of tokens is what the rate is made of."""
    with service(inference_engine="fake", ocr_workers=0, api_keys=f"bench:{_KEY}") as running:
        found = bench(tmp_path, "--url", running.url, BENCH_API_KEYS=_KEY)
    rounds = [one for result in found["results"] for one in result["rounds"]]
    assert [one["tokens"] for one in rounds] == [16, 16, 64, 64]
    assert all(one["rate"] > 0 and not one["failures"] for one in rounds)
    assert all(one["uncounted"] == one["early"] == 0 for one in rounds)
    assert all(160 <= one["prompt"] <= 240 for one in rounds)
    assert _KEY not in json.dumps(found)


def test_one_of_its_own(tmp_path: Path) -> None:
    """The user's keys and folders stay untouched: it has its own; nothing of it is left."""
    found = bench(tmp_path, "--workload", "mixed", API_KEYS=f"user:{_KEY}", PORT="1")
    assert found["models"] == {"stoker": "demo"}
    assert all(one["tokens"] and not one["failures"] for result in found["results"] for one in result["rounds"])
    assert not (tmp_path / "logs").exists()


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    """SIGTERM in the middle of a round."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command("--rounds", "100000"), cwd=ROOT, env=environment(tmp_path), stdout=quiet, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        while b"round 1 of" not in process.stderr.readline():
            assert process.poll() is None
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) >= 3
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        deadline = time.monotonic() + 10
        while any(one.is_running() and one.status() != "zombie" for one in started):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait(10)
