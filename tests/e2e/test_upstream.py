"""A server that the engine starts: it answers through us, is replaced when it dies, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e

COMMAND = f"{sys.executable} -m tests.unit.engine.upstream.standin {{port}}"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with service(inference_engine="vllm", vllm_command=COMMAND, ocr_workers=0, heartbeat_interval=0.2) as running:
        yield running


def chat(running: Running, content: str, *, stream: bool = False) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": content}], "stream": stream}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)


def beneath(running: Running) -> psutil.Process:
    """The server below the engine and its leash."""
    lines = {process: process.cmdline() for process in running.processes()}
    (server,) = (process for process, line in lines.items() if line[:3] == COMMAND.split()[:3])
    return server


def test_its_answers_are_ours(running: Running) -> None:
    """Started from the template, ready, and its log lines among ours."""
    answer = chat(running, "hello").json()
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert answer["usage"]["completion_tokens"] == 5
    assert "standin: loading" in (running.logs / "model_operations.log").read_text()


def test_only_the_server_dies(running: Running) -> None:
    """The engine process goes with it, and the next request is answered by the next two."""
    engine = running.pid("engine")
    os.kill(beneath(running).pid, signal.SIGKILL)
    assert chat(running, "still here").json()["choices"][0]["message"]["content"] == "still here"
    assert running.pid("engine") != engine


def test_a_request_that_kills_the_server(running: Running) -> None:
    """In the middle of its answer: that one fails, and says so; the others are served."""
    stream = chat(running, "crash please", stream=True).text
    last = json.loads(stream.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "engine_crashed"
    assert chat(running, "hello").status_code == 200


def test_an_answer_goes_on_at_the_next_server(running: Running) -> None:
    """It dies in the middle of a greedy answer: the client sees a pause, and every character once."""
    text = "once upon a time"
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0, "stream": True}
    body |= {"stream_options": {"include_usage": True}}
    engine = running.pid("engine")
    stream = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60).text
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    assert running.pid("engine") != engine
    said = [choice["delta"].get("content") or "" for event in events for choice in event["choices"]]
    assert "".join(said) == text
    assert (events[-1]["usage"]["prompt_tokens"], events[-1]["usage"]["completion_tokens"]) == (17, 16)


def test_nothing_is_left(running: Running) -> None:
    """The supervisor killed without a word: the server ends, too."""
    everything = running.processes()
    running.process.kill()
    _, left = psutil.wait_procs(everything, 20)
    assert left == []
