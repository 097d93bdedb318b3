"""What an operator does in a year: logs rotate by a fast clock, keys change by SIGHUP, models by `pull --update`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from src import keys
from src.settings import ROOT, LogSettings
from src.supervisor.janitor import Janitor
from tests.running import Running
from tests.unit.hub.loopback import MODEL, Repository

WITHIN_S = 60.0
_DAY_S = 86400.0


def new_key(file: Path, name: str, role: keys.Role) -> str:
    key, line = keys.create(name, role)
    keys.append(file, line)
    return key


@dataclass
class Operator:
    """One for a service; `admin` is a key of the role. Each deed ends when the service shows its effect."""

    key_file: Path
    admin: str
    repository: Repository
    models: Path
    hub: str
    logs: LogSettings
    http: httpx.Client
    running: Running = field(init=False)
    began: float = field(default_factory=time.time)
    _day: int = 0
    _key: str | None = None

    def rotate_logs(self, day: int) -> None:
        """As the janitor does at the first minutes of a day: everything written so far is of the day before."""
        self._day = day
        Janitor(self.running.logs, self.logs, lambda: self.began + self._day * _DAY_S).tidy()

    def change_key(self, day: int) -> None:
        """A key for each day: the new one works and the old one does not, once the service has read the file again."""
        old, self._key = self._key, new_key(self.key_file, f"day-{day}", "user")
        if old is not None:
            keys.remove(self.key_file, f"day-{day - 1}")
        self.running.process.send_signal(signal.SIGHUP)
        new = self._key
        _wait(lambda: self._status(new) == 200, f"the key of day {day}")
        _wait(lambda: old is None or self._status(old) == 401, f"the end of the key of day {day - 1}")

    def update_model(self) -> None:
        """A new revision on the hub: it is pulled beside the served one, and loaded in its place."""
        before = self.revision()
        self.repository.files["model.safetensors"] = _changed(self.repository.files["model.safetensors"])
        self.pull("--update")
        self._http("POST", "/v1/models/unload", json={"model_name": MODEL}).raise_for_status()
        _wait(lambda: self.revision() not in ("", before), "the new revision")

    def pull(self, *more: str) -> None:
        environment = os.environ | {"HF_ENDPOINT": self.hub, "HF_HUB_OFFLINE": "0", "MODELS_DIR": str(self.models)}
        argv = [sys.executable, "run.py", "pull", MODEL, *more]
        subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, timeout=WITHIN_S, check=True)

    def revision(self) -> str:
        """Of the weights that are loaded; empty while none are."""
        engine = self._children().get("engine", {})
        health = engine.get("health") or {}
        return str((health.get("model") or {}).get("revision", ""))

    def pid(self, child: str) -> int:
        return int(self._children()[child]["pid"])

    def restarts(self) -> dict[str, dict[str, int]]:
        """By process and reason."""
        counts: dict[str, dict[str, int]] = self._system_status()["restarts"]
        return counts

    def metrics(self) -> str:
        return self._http("GET", "/metrics").raise_for_status().text

    def _children(self) -> dict[str, dict[str, Any]]:
        """By kind: `engine` is the only one's."""
        return {child["name"].partition(":")[0]: child for child in self._system_status()["children"]}

    def _system_status(self) -> Any:
        return self._http("GET", "/v1/system/status").raise_for_status().json()

    def _status(self, key: str) -> int:
        return self._http("GET", "/v1/models", key).status_code

    def _http(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or self.admin}"}
        return self.http.request(method, self.running.url + path, headers=headers, **more)


def _changed(weights: bytes) -> bytes:
    """The lowest bit of one weight: other weights by their digest, the same model by what it says."""
    return weights[:-2] + bytes([weights[-2] ^ 1]) + weights[-1:]


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not show within {WITHIN_S:.0f} s")
        time.sleep(0.1)
