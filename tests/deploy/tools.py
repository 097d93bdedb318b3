"""Real tools from Debian packages: started on free loopback ports, in folders of their own, ended by pid."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.settings import ROOT
from tests.running import free_port

DEPLOY = ROOT / "deploy"
_START_S = 20.0


def need(program: str) -> str:
    """Its path. CI installs every one (.ci/run); on another machine the test is skipped."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def run(*argv: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60)


@contextmanager
def started(argv: Sequence[object], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run it until the block ends; the block begins when it listens."""
    with (folder / "console").open("ab") as console:
        process = subprocess.Popen(list(map(str, argv)), stdout=console, stderr=console, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process, folder)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as sock:
            sock.settimeout(1)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError((folder / "console").read_text(errors="replace")[-3000:])


# ---- nginx


def nginx_config(name: str, folder: Path, ports: Sequence[int], tls: int, balancing: str = "least_conn;") -> Path:
    """deploy/nginx/NAME as it stands, but for names, ports, certificate and log places; two ports drop the third."""
    text = re.sub(r"192\.0\.2\.(\d):8000 ", r"127.0.0.1:800\1 ", (DEPLOY / "nginx" / name).read_text())
    theirs = (8000,) if len(ports) == 1 else (8001, 8002, 8003)[: len(ports)]
    if len(ports) == 2:
        text = "".join(line for line in text.splitlines(keepends=True) if "127.0.0.1:8003" not in line)
    changes = {f"127.0.0.1:{old} ": f"127.0.0.1:{new} " for old, new in zip(theirs, ports, strict=True)}
    changes |= {"    least_conn;": f"    {balancing}"} if len(ports) > 1 else {}
    changes |= {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{tls} ssl http2;",
        "stoker.example.com": "localhost",
        "/etc/nginx/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "stoker.conf").write_text(text)
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy"))
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; user root; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ {temporary} include {folder}/stoker.conf; }}\n"
    )
    return main


def certificate(folder: Path) -> Path:
    """A self-signed one for localhost, in place; its path, for clients to trust."""
    run(
        *(need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", folder / "stoker.key", "-out", folder / "stoker.crt", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
    ).check_returncode()
    return folder / "stoker.crt"


@contextmanager
def nginx(name: str, folder: Path, ports: Sequence[int], balancing: str = "least_conn;") -> Iterator[int]:
    """nginx with one of our files before services on these ports; its TLS port."""
    program, tls = need("nginx"), free_port()
    certificate(folder)
    config = nginx_config(name, folder, ports, tls, balancing)
    with started([program, "-c", config, "-e", folder / "error.log", "-p", folder], tls, folder):
        yield tls


# ---- redis


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """An empty Redis that keeps nothing; its URL."""
    program, port = need("redis-server"), free_port()
    argv = [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    with started(argv, port, folder):
        yield f"redis://127.0.0.1:{port}/0"
