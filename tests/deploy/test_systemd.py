"""systemd's own tools on the rendered units; its notification and its socket, spoken to the running service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from src.commands import install
from src.settings import ROOT, Settings
from tests.deploy import tools
from tests.running import Running, free_port, service

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("user", [False, True])
def test_the_units_are_what_systemd_understands(folder: Path, monkeypatch: pytest.MonkeyPatch, *, user: bool) -> None:
    """`systemd-analyze verify` has nothing to say about any of the rendered files."""
    program = tools.need("systemd-analyze")
    planned = install.plan(Settings(_env_file=None), folder, user=user, platform="linux")
    install.write(planned)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    done = tools.run(program, *(["--user"] if user else []), "verify", *planned.files)
    # the one complaint that is about this machine: it has no user stoker, or no manager of a user's own
    said = [line for line in done.stderr.splitlines() if "stoker" in line and "nknown user" not in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("nvidia", [False, True])
def test_the_unit_is_hardened(folder: Path, *, nvidia: bool) -> None:
    """Exposure 2.0 at most, as `systemd-analyze security` counts it; the NVIDIA variant too."""
    program = tools.need("systemd-analyze")
    install.write(install.plan(Settings(_env_file=None), folder, user=False, platform="linux"))
    unit = folder / "stoker.service"
    if nvidia:
        unit.write_text(unit.read_text() + (tools.DEPLOY / "systemd" / "nvidia.conf").read_text())
    done = tools.run(program, "security", "--offline=true", "--threshold=20", unit)
    assert done.returncode == 0, done.stdout[-300:]


def said(systemd: socket.socket) -> str:
    """The next thing that is not a sign of life: those come every 5 s, also before READY."""
    while (text := systemd.recv(500).decode()) == "WATCHDOG=1":
        continue
    return text


@pytest.mark.parametrize("lazy", [False, True])
def test_systemd_is_told_when_it_is_ready_alive_and_stopping(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, lazy: bool
) -> None:
    """READY when the model answers, or lazy loading is armed; WATCHDOG; STOPPING at the end; none from a child."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        with service(inference_engine="fake", ocr_workers=0, ready=None, lazy_load=lazy) as running:
            assert said(systemd).startswith("READY=1")
            assert running.get("/readyz")[0] == 200
            assert ("engine" in running.status()) != lazy
            chat = {"messages": [{"role": "user", "content": "hi"}]}
            assert httpx.post(f"{running.url}/v1/chat/completions", json=chat, timeout=30).status_code == 200
            assert systemd.recv(500) == b"WATCHDOG=1"
        assert said(systemd) == "STOPPING=1"


def test_connections_wait_while_web_is_replaced(folder: Path) -> None:
    """With a socket unit the port outlives web: a request sent while gunicorn is dead is answered, not refused."""
    with _activated(folder) as running:
        running.wait("/readyz")
        web = psutil.Process(running.pid("web"))
        for process in (web, *web.children(recursive=True)):
            process.kill()
        assert httpx.get(f"{running.url}/v1/models", timeout=30).status_code == 200
        assert running.status()["web"]["restarts"] == {"signal": 1}


@contextmanager
def _activated(folder: Path) -> Iterator[Running]:
    program, port = tools.need("systemd-socket-activate"), free_port()
    chosen = {"RUNTIME_DIR": str(folder / "run"), "LOG_DIR": str(folder / "logs"), "INFERENCE_ENGINE": "fake"}
    names = {**chosen, "OCR_WORKERS": "0", "GRACEFUL_TIMEOUT": "2", "PATH": os.environ["PATH"]}
    passed = [f"--setenv={name}={value}" for name, value in names.items()]
    argv = [program, "-l", f"127.0.0.1:{port}", *passed, sys.executable, "run.py", "--mode", "prod"]

    def start() -> subprocess.Popen[bytes]:
        with (folder / "console").open("wb") as console:
            return subprocess.Popen(argv, cwd=ROOT, stdout=console, stderr=console)

    running = Running(start, port, folder)
    try:
        time.sleep(0.3)
        running.get("/livez", 30)  # the first connection starts it
        yield running
    finally:
        running.stop()
