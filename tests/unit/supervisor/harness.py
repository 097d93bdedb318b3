"""Starts the supervisor over stand-ins (`service.py`) and looks at it from outside; for tests with real processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from src.ipc import client, runtime
from src.ipc.messages.control import StatusRequest
from src.ipc.messages.status import ChildStatus, SystemStatus
from src.settings import ROOT
from src.supervisor.processes import is_alive

LIMITS = {
    "CONSOLE_LOG_LEVEL": "INFO",
    "HEARTBEAT_INTERVAL": "0.1",
    "HEARTBEAT_TIMEOUT": "2",
    "RESTART_BACKOFF_MAX": "0.3",
    "BREAKER_RETRY": "0.5",
    "CRASH_LIMIT": "4",
    "RESTART_FREE": "1",
    "ENABLE_LOG_FILE": "false",
}


def eventually(condition: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for it; how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - began


class Service:
    """One supervisor in a directory of its own, and all it ever started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "run"
        self.journal = directory / "journal"
        self.output = directory / "output"
        self.journal.touch()
        self._seen: dict[int, psutil.Process] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]

    def start(self, *flags: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.unit.supervisor.service", "--journal", str(self.journal), *flags]
        own = {"RUNTIME_DIR": str(self.directory), "PORT": str(self.port)}
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | LIMITS | own | environment, stdin=subprocess.DEVNULL, stderr=output
            )
        self._started.append(process)
        return process

    def remove_directory(self) -> None:
        """At once, as its processes see it: one that writes a file meanwhile would end a removal file by file."""
        aside = self.directory.rename(self.directory.with_name(f"removed-{time.monotonic_ns()}"))
        shutil.rmtree(aside, ignore_errors=True)

    def status(self) -> SystemStatus | None:
        try:
            answer = client.ask(runtime.control_socket(self.directory), StatusRequest(), 2)
        except client.Unanswered:
            return None
        assert isinstance(answer, SystemStatus)
        for child in answer.children:
            self._remember(child.pid)
        return answer

    def child(self, name: str) -> ChildStatus | None:
        status = self.status()
        return status.child(name) if status else None

    def pid(self, name: str) -> int:
        child = self.child(name)
        assert child is not None
        assert child.pid is not None
        return child.pid

    def ready(self) -> bool:
        status = self.status()
        return status is not None and {child.state for child in status.children} == {"ready"}

    def in_state(self, name: str, state: str) -> bool:
        child = self.child(name)
        return child is not None and child.state == state

    def notes(self, *names: str) -> list[str]:
        lines = self.journal.read_text().splitlines()
        return [line for line in lines if line.split()[1] in names]

    def all_gone(self) -> bool:
        return not any(is_alive(process) for process in self._seen.values())

    def close(self) -> None:
        """End whatever is left, by pid."""
        for process in self._started:
            process.kill()
            process.wait()
        for child in self._seen.values():
            if is_alive(child):
                child.kill()

    def _remember(self, pid: int | None) -> None:
        if pid is not None and pid not in self._seen:
            try:
                self._seen[pid] = psutil.Process(pid)
            except psutil.NoSuchProcess:
                return


@contextmanager
def service() -> Iterator[Service]:
    """A service to start; whatever is left of it in the end is ended."""
    with tempfile.TemporaryDirectory(prefix="stoker-test-") as directory:
        running = Service(Path(directory))
        try:
            yield running
        finally:
            running.close()
