"""Batches and background responses on the real service: killed without a warning in the middle, paused, cancelled, and
through `run.py batch`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from src.settings import ROOT
from tests.running import Running, service

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with service(inference_engine="fake", ocr_workers=0, background_idle_seconds=0, background_max_seqs=4) as started:
        yield started


def lines(count: int, text: str) -> bytes:
    body = {"messages": [{"role": "user", "content": text}]}
    made = ({"custom_id": f"c{at}", "method": "POST", "url": CHAT, "body": body} for at in range(count))
    return b"".join(json.dumps(line).encode() + b"\n" for line in made)


def begin(running: Running, data: bytes) -> str:
    sent = httpx.post(f"{running.url}/v1/files", files={"file": data}, data={"purpose": "batch"}, timeout=20).json()
    body = {"input_file_id": sent["id"], "endpoint": CHAT, "completion_window": "24h"}
    return str(httpx.post(f"{running.url}/v1/batches", json=body, timeout=20).json()["id"])


def batch(running: Running, name: str) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{running.url}/v1/batches/{name}", timeout=20).json()
    return found


def completed(running: Running, name: str) -> int:
    counts = batch(running, name)["request_counts"]
    assert isinstance(counts, dict)
    return int(counts["completed"])


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def respond(running: Running, text: str) -> str:
    body = {"input": text, "background": True}
    return str(httpx.post(f"{running.url}/v1/responses", json=body, timeout=20).json()["id"])


def response(running: Running, name: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{running.url}/v1/responses/{name}", timeout=20).json()
    return found


def events(running: Running, name: str, after: int = -1) -> Iterator[dict[str, Any]]:
    where = f"{running.url}/v1/responses/{name}?stream=true&starting_after={after}"
    with httpx.stream("GET", where, timeout=30) as stream:
        yield from (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))


def test_kill_9_loses_no_line_and_answers_none_twice(running: Running) -> None:
    """Every process of the service at once, in the middle of a batch."""
    name = begin(running, lines(24, "answer fake:delay=0.03"))
    until(lambda: completed(running, name) >= 4)
    for process in running.processes():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    running.start_again()
    running.wait()
    assert 4 <= completed(running, name) < 24
    until(lambda: batch(running, name)["status"] == "completed")
    ended = batch(running, name)
    assert ended["request_counts"] == {"total": 24, "completed": 24, "failed": 0}
    output = running.get(f"/v1/files/{ended['output_file_id']}/content")[1].decode().splitlines()
    assert [json.loads(line)["custom_id"] for line in output] == [f"c{at}" for at in range(24)]


def test_a_response_goes_on_after_kill_9(running: Running) -> None:
    """Its stream is read on where it broke: every event comes once, and the text is whole."""
    text = "0123456789" * 4
    name, seen = respond(running, f"{text} fake:delay=0.05"), list[dict[str, Any]]()
    for event in events(running, name):
        seen.append(event)
        if len(seen) >= 12:
            break
    for process in running.processes():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    running.start_again()
    running.wait()
    seen += events(running, name, seen[-1]["sequence_number"])
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    assert seen[-1]["type"] == "response.completed"
    said = "".join(event["delta"] for event in seen if event["type"].endswith("text.delta"))
    assert said.count(text) == 1
    assert said == response(running, name)["output"][0]["content"][0]["text"]


def test_a_running_response_is_cancelled(running: Running) -> None:
    name = respond(running, "xxxxxxxxxxxxxxxxxxxx fake:delay=0.3")
    until(lambda: response(running, name)["status"] == "in_progress")
    ended = httpx.post(f"{running.url}/v1/responses/{name}/cancel", timeout=20).json()
    assert ended["status"] == "cancelled"
    assert [event["type"] for event in events(running, name)][-1] != "response.completed"
    until(lambda: "stoker_requests_in_flight 0.0" in running.get("/metrics")[1].decode(), 10)


def test_live_requests_go_first(running: Running) -> None:
    """What runs in the background leaves the engine for a live request, and goes on behind its tokens."""
    text = "0123456789" * 3
    name = respond(running, f"{text} fake:delay=0.15")
    until(lambda: response(running, name)["status"] == "in_progress")
    time.sleep(1)  # also for the step of another's that was cancelled
    body = {"messages": [{"role": "user", "content": "now"}]}
    began = time.monotonic()
    assert httpx.post(f"{running.url}{CHAT}", json=body, timeout=20).status_code == 200
    assert time.monotonic() - began < 3
    until(lambda: response(running, name)["status"] == "completed")
    until(
        lambda: re.search(r"stoker_background_preempted_total.* [1-9]", running.get("/metrics")[1].decode()) is not None
    )
    found = list(events(running, name))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert response(running, name)["output"][0]["content"][0]["text"].count(text) == 1


def test_no_line_begins_while_paused_and_a_cancel_ends_what_runs(running: Running) -> None:
    httpx.post(f"{running.url}/api/gpu/pause", timeout=20)
    name = begin(running, lines(2, "hi"))
    until(lambda: batch(running, name)["status"] == "in_progress")
    time.sleep(0.5)
    assert completed(running, name) == 0
    httpx.post(f"{running.url}/api/gpu/resume", timeout=20)
    until(lambda: batch(running, name)["status"] == "completed")
    slow = begin(running, lines(2, "x fake:delay=2"))
    until(lambda: 'stoker_batch_requests_unfinished{state="running"} 2.0' in running.get("/metrics")[1].decode())
    httpx.post(f"{running.url}/v1/batches/{slow}/cancel", timeout=20)
    until(lambda: batch(running, slow)["status"] == "cancelled", 10)
    assert batch(running, slow)["request_counts"] == {"total": 2, "completed": 0, "failed": 2}


def test_the_command(running: Running, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(lines(3, "hi"))
    environment = os.environ | {"PORT": str(running.port), "RUNTIME_DIR": str(running.folder / "run")}
    command = [sys.executable, "run.py", "batch", str(source), "-o", str(target)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(target.read_text().splitlines()) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl"}
    source.write_bytes(b"{}\n")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "url" in done.stderr) == (1, True)
