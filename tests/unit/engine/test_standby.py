"""The engine standby as a process: it becomes the engine of the model that it is told, or ends with its parent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.errors import ExitCode
from src.ipc import client, runtime
from src.ipc.framing import encode
from src.ipc.messages.control import Ping, ServeModel
from src.ipc.messages.status import Health
from src.settings import ROOT, Settings, process_environment


@contextmanager
def standby(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = Settings.model_validate(
        {"runtime_dir": folder, "inference_engine": "fake", "enable_log_file": False, "log_level": "ERROR"}
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "src.engine.main", "--standby"],
        cwd=ROOT,
        env=process_environment("engine", settings),
        stdin=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ready(path: Path) -> Health:
    """Its health, once it is ready."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            answer = client.ask(path, Ping(), 5)
        except client.Unanswered:
            answer = None
        if isinstance(answer, Health) and answer.state == "ready":
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{path.name} is not ready")


def test_it_becomes_the_engine_of_the_model_that_it_is_told(runtime_dir: Path) -> None:
    """The same process, on the model's socket; the standby's own is free for the next."""
    with standby(runtime_dir) as process:
        waiting = ready(runtime.standby_socket(runtime_dir))
        assert (waiting.pid, waiting.model, waiting.load) == (process.pid, None, None)
        assert waiting.memory.rss_bytes > 0
        assert process.stdin is not None
        process.stdin.write(encode(ServeModel(("--model", "other"))))
        process.stdin.flush()
        serving = ready(runtime.engine_socket(runtime_dir, "other"))
        assert serving.pid == process.pid
        assert serving.model is not None
        assert serving.model.name == "other"
        assert not runtime.standby_socket(runtime_dir).exists()
        process.stdin.close()  # the lifeline holds for the engine, too
        assert process.wait(10) == ExitCode.PARENT_GONE


def test_it_ends_with_its_parent(runtime_dir: Path) -> None:
    """Its standard input is the supervisor's pipe, also before a model is named."""
    with standby(runtime_dir) as process:
        ready(runtime.standby_socket(runtime_dir))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == ExitCode.PARENT_GONE
