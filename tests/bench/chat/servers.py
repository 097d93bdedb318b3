"""The servers under test: ours, and the peers in an environment of their own, made once (`.venv-peers`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from src.gpu import blas
from src.settings import ROOT
from tests.running import free_port, service

PEERS = ROOT / ".venv-peers"
PACKAGES = ("mlx-lm==0.32.2", "mlx-vlm==0.7.10")
_READY_S = 180.0
_STOP_S = 20.0


@dataclass(frozen=True)
class Server:
    """One that runs: its name in the tables, where it listens, what it calls the model."""

    name: str
    port: int
    model: str


@contextmanager
def ours(model: Path) -> Iterator[Server]:
    """This checkout as `run.py --mode prod` starts it."""
    with service(default_model=str(model), ocr_workers=0, health_probe_interval=0, queue_timeout=900) as running:
        yield Server("stoker", running.port, str(model))


@contextmanager
def peer(module: str, model: Path, *, fast: bool) -> Iterator[Server]:
    """`mlx_lm` or `mlx_vlm`, as installed, or with the BLAS that ours finds loaded before all else (`fast`)."""
    port = free_port()
    command = [str(PEERS / "bin" / "python"), "-m", f"{module}.server", "--model", str(model), "--port", str(port)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if fast:
        environment |= {"LD_PRELOAD": str(next(blas.candidates()))}
    with Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen([*command, "--host", "127.0.0.1"], env=environment, stdout=nowhere, stderr=nowhere)
    try:
        _wait(port, process)
        yield Server(f"{module}.server{' + OpenBLAS' if fast else ''}", port, str(model))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)


def make_peers() -> None:
    """The environment of the peers: what a user gets who installs them today, at the versions named here."""
    if (PEERS / "made").is_file():
        return
    subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    extra = ("mlx[cpu]",) if sys.platform == "linux" else ()
    subprocess.run([str(PEERS / "bin" / "pip"), "install", "--quiet", *PACKAGES, *extra], check=True)
    (PEERS / "made").touch()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"{process.args!r} did not answer on its port")
