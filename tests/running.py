"""A real service for benchmarks and end-to-end tests: in folders of its own, on a free port, ended by pid."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from src.settings import ROOT
from src.supervisor.processes import is_alive

_READY_S = 60.0
_STOP_S = 30.0
_ASK_S = 5.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Running:
    """A started service: where it listens, what it runs, how it ends."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], port: int, folder: Path) -> None:
        self._start = start
        self.process = start()
        self.port = port
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def get(self, path: str, timeout_s: float = 10.0) -> tuple[int, bytes]:
        """Status and body of a GET; 0 when nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as reply:  # noqa: S310  # loopback
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def status(self) -> dict[str, dict[str, object]]:
        """The supervisor's children by kind: `engine` is the only one's; empty while it does not answer.

        A 503 is asked again: on a busy machine the supervisor misses one question of web now and then.
        """
        deadline = time.monotonic() + _ASK_S
        while (reply := self.get("/v1/system/status"))[0] == 503 and time.monotonic() < deadline:
            time.sleep(0.1)
        code, body = reply
        return {child["name"].partition(":")[0]: child for child in json.loads(body)["children"]} if code == 200 else {}

    def restarts(self) -> dict[str, dict[str, int]]:
        """By process and reason, also of processes that have left."""
        counts: dict[str, dict[str, int]] = json.loads(self.get("/v1/system/status")[1])["restarts"]
        return counts

    def pid(self, child: str) -> int:
        return int(str(self.status()[child]["pid"]))

    def wait(self, path: str = "/readyz", timeout_s: float = _READY_S) -> float:
        """Seconds until `path` answers 200."""
        began = time.monotonic()
        while time.monotonic() - began < timeout_s:
            if self.get(path)[0] == 200:
                return time.monotonic() - began
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{path} did not answer; the console said:\n{self.console()[-4000:]}")

    def console(self) -> str:
        return (self.folder / "console").read_text(errors="replace")

    def remove_runtime_dir(self) -> None:
        """At once: a process that writes a file there meanwhile would end a removal file by file."""
        directory = self.folder / "run"
        shutil.rmtree(directory.rename(self.folder / f"run-removed-{time.monotonic_ns()}"), ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all below it; a process that has ended and waits to be reaped is none."""
        try:
            top = psutil.Process(self.process.pid)
            return [process for process in (top, *top.children(recursive=True)) if is_alive(process)]
        except psutil.NoSuchProcess:
            return []

    def start_again(self) -> None:
        """As systemd does when the supervisor has been killed."""
        self.process.wait(_STOP_S)
        self.process = self._start()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for whatever is left."""
        everything = self.processes()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_S)
        for left in everything:
            with suppress(psutil.NoSuchProcess):
                left.kill()


@contextmanager
def service(
    *, command: tuple[str, ...] = ("run.py", "--mode", "prod"), ready: str | None = "/readyz", **settings: object
) -> Iterator[Running]:
    """Run the service with these settings (lower-case names) until the block ends. They win over a developer's .env.

    It is `ready` with its model loaded, unless LAZY_LOAD is asked for.
    """
    folder = Path(tempfile.mkdtemp(prefix="stk-"))
    port = int(str(settings.pop("port", 0))) or free_port()
    defaults: dict[str, object] = {"log_dir": folder / "logs", "runtime_dir": folder / "run"}
    defaults |= {"state_dir": folder / "state", "graceful_timeout": 5, "drain_notice": 0}
    defaults["engine_standby"] = "false"  # its imports cost every service two CPU-seconds
    defaults["lazy_load"] = False
    chosen = {name.upper(): str(value) for name, value in (defaults | settings | {"port": port}).items()}
    environment = {key: value for key, value in os.environ.items() if key not in chosen} | chosen

    def start() -> subprocess.Popen[bytes]:
        with (folder / "console").open("ab") as console:
            return subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=environment, stdout=console, stderr=console
            )

    running = Running(start, port, folder)
    try:
        if ready is not None:
            running.wait(ready)
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
