"""The wait for the service that is measured."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from src.bench import own
from src.bench.http import ServerAddress
from src.bench.own import BenchError

Answers = list[tuple[int, dict[str, str]]]


@contextmanager
def ready_after(answers: Answers) -> Iterator[ServerAddress]:
    """A server whose /readyz has these reasons, one after the other; the last for good."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, reasons = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "", "reasons": reasons}).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield ServerAddress("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that runs until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


def test_it_is_waited_for(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    answers: Answers = [(503, {"engine:m": "starting"}), (503, {"web": "backoff"}), (200, {})]
    with ready_after(answers) as where:
        own._wait(where, process, tmp_path / "console", 60)
    assert answers == [(200, {})]


def test_a_model_that_failed_is_not_waited_for(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The service itself would try it again for ever; what measures it wants to know why."""
    answers: Answers = [(503, {"engine:m": "failed"})]
    (tmp_path / "console").write_text("m: load failed: no such architecture")
    with ready_after(answers) as where, pytest.raises(BenchError, match=r"(?s)not load.*no such architecture"):
        own._wait(where, process, tmp_path / "console", 60)


def test_a_service_that_ended_is_not_waited_for(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Its last output is shown."""
    (tmp_path / "console").write_text("the port is taken")
    process.kill()
    process.wait()
    with pytest.raises(BenchError, match="port is taken"):
        own._wait(ServerAddress("127.0.0.1", 1), process, tmp_path / "console", 60)
