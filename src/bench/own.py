"""Starts this service for a measurement: the user's settings, on a free port, in a temporary folder."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from src.bench.http import ServerAddress, http_request
from src.engine.upstream.process import free_port
from src.settings import ROOT, Settings, child_environment
from src.supervisor.preflight import findings

_ASK_S = 5.0
_POLL_S = 0.1
_STOP_MARGIN_S = 30.0
_CONSOLE_CHARS = 2000  # characters of console output shown when it fails to start


class _Readiness(msgspec.Struct, frozen=True):
    """What /readyz answers: 200 without reasons, 503 with some."""

    reasons: dict[str, str]


class BenchError(Exception):
    """The measurement cannot run; the text says why."""


@contextmanager
def service(settings: Settings, model: str, engine: str | None = None) -> Iterator[ServerAddress]:
    """Its address, once `model` is loaded, by the `engine` if one is named. Without OCR, protected by a random key.

    Raises:
        Unusable: it cannot serve.
    """
    key, port = secrets.token_urlsafe(), free_port()
    with tempfile.TemporaryDirectory(prefix="stoker-", dir="/tmp") as folder:  # private; short, for sockets
        own = {
            "host": "127.0.0.1",
            "port": port,
            "runtime_dir": Path(folder),
            "state_dir": Path(folder),
            "log_dir": Path(folder),
        }
        own |= {"default_model": model, "lazy_load": False, "ocr_workers": 0}
        own |= {"enable_log_file": False, "drain_notice": 0}
        own |= {"inference_engine": engine} if engine is not None else {}
        _check(settings.model_copy(update=own))
        console = Path(folder) / "console"
        process = _start({**own, "api_keys": f"bench:user:{key}"}, console)
        try:
            place = ServerAddress("127.0.0.1", port, key=key)
            _wait(place, process, console, settings.start_timeout)
            yield place
        finally:
            process.terminate()
            _reap(process, settings.stop_seconds + _STOP_MARGIN_S)


def _check(settings: Settings) -> None:
    problems = [finding.problem for finding in findings(settings) if finding.problem]
    if problems:
        raise BenchError("The service cannot serve here: " + "; ".join(problems))


def _start(changes: dict[str, object], console: Path) -> subprocess.Popen[bytes]:
    """Start it; it exits with this process (`--lifeline`)."""
    command = [sys.executable, "run.py", "--mode", "prod", "--lifeline", str(os.getpid())]
    environment = child_environment(**{name.upper(): str(value) for name, value in changes.items()})
    with console.open("wb") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def _reap(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(place: ServerAddress, process: subprocess.Popen[bytes], console: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while (reasons := asyncio.run(_not_ready(place))) != {}:
        failed = any(why.startswith("failed") for why in (reasons or {}).values())
        if failed or process.poll() is not None or time.monotonic() > deadline:
            said = console.read_text(errors="replace").strip()[-_CONSOLE_CHARS:]
            what = "could not load the model" if failed else "did not start"
            raise BenchError(f"The service {what}. Its last output:\n{said}")
        time.sleep(_POLL_S)


async def _not_ready(place: ServerAddress) -> dict[str, str] | None:
    """Why it cannot serve yet, by part; empty when it can, None while it does not answer."""

    async def read() -> dict[str, str]:
        async with http_request(place, "/readyz") as reply:
            return msgspec.json.decode(await reply.whole(), type=_Readiness).reasons

    try:
        return await asyncio.wait_for(read(), _ASK_S)
    except (OSError, EOFError, ValueError, msgspec.MsgspecError):
        return None
