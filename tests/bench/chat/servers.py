"""What is measured: our service, the peers in an environment of their own (`.venv-peers`), the bare model.

Each is a process that ends, by its pid, with the block that started it; one that does not come or goes is `Gone`.
"""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.bench.http import ServerAddress, http_request
from src.bench.own import BenchError
from src.bench.target import BenchTarget, ready
from src.bench.workloads import Prompts, Workload
from src.gpu import blas
from src.settings import ROOT
from tests.bench.chat.plan import SINGLE
from tests.running import free_port, service

FOLDER = ROOT / ".bench"
VENV = ROOT / ".venv-peers"
PACKAGES = ("mlx-lm==0.32.2", "mlx-vlm==0.7.10")
ROUND_S = 900.0
_MAKE_S = 1800.0
_READY_S = 180.0
_ASK_S = 5.0
_STOP_S = 20.0
_LAST = 1500  # characters of a log


class Gone(Exception):
    """A server that does not come, or that failed; the text says how."""


class Seconds(msgspec.Struct):
    """The bare model's: all prompts, all steps, the longest chunk of prompts."""

    prefill: float
    decode: float
    chunk: float


@contextmanager
def ours(model: Path) -> Iterator[BenchTarget]:
    """This checkout as `run.py --mode prod` starts it; no request runs out of time for waiting."""
    with service(
        default_model=str(model),
        ocr_workers=0,
        health_probe_interval=0,
        queue_timeout=ROUND_S,
        request_timeout=ROUND_S,
        stream_timeout=ROUND_S,
        stream_timeout_max=ROUND_S,
    ) as running:
        yield _warm("stoker", running.port, model)


@contextmanager
def peer(module: str, model: Path, library: Path | None) -> Iterator[BenchTarget]:
    """`mlx_lm` or `mlx_vlm`, as installed, or with a BLAS loaded before all else.

    Raises:
        Gone: it does not answer.
    """
    port, log = free_port(), FOLDER / f"{module}.log"
    command = [str(VENV / "bin" / "python"), "-m", f"{module}.server", "--model", str(model), "--port", str(port)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if library is not None:
        environment |= {"LD_PRELOAD": str(library)}
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--host", "127.0.0.1"], env=environment, stdout=file, stderr=file)
    try:
        _wait(module, port, process, log)
        yield _warm(peer_name(module, fast=library is not None), port, model)
    finally:
        process.terminate()
        _reap(process)


def peer_name(module: str, *, fast: bool) -> str:
    return f"{module}.server{' + OpenBLAS' if fast else ''}"


def _warm(name: str, port: int, model: Path) -> BenchTarget:
    """Ready, with prompts of exact sizes, and one answer given."""
    prompts = Prompts(model / "tokenizer.json")
    # the model never ends its answer, and a mask on its end would be work that the peers do not do
    target = BenchTarget(name, ServerAddress("127.0.0.1", port), str(model), prompts, ROUND_S, without=("ignore_eos",))
    try:
        target = ready(target, SINGLE.prompt)
    except BenchError as error:
        raise Gone(str(error)) from None
    target.round(SINGLE, 0)
    return target


def _wait(module: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while process.poll() is None and time.monotonic() < deadline:
        if asyncio.run(_answers(port)):
            return
        time.sleep(0.2)
    how = f"ended with {process.returncode}" if process.poll() is not None else f"did not answer in {_READY_S:g} s"
    raise Gone(f"{module}.server {how}. Its last words ({log}):\n{log.read_text(errors='replace')[-_LAST:]}")


async def _answers(port: int) -> bool:
    async def status() -> int:
        async with http_request(ServerAddress("127.0.0.1", port), "/v1/models") as reply:
            return reply.status

    try:
        return await asyncio.wait_for(status(), _ASK_S) == 200
    except (TimeoutError, OSError, EOFError, ValueError):
        return False


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP_S)


@dataclass(frozen=True)
class Bare:
    """The bare model's process."""

    process: subprocess.Popen[bytes]

    def seconds(self, rows: int, prompt: int, tokens: int) -> Seconds:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # then there is no answer either
            self.process.stdin.write(msgspec.json.encode((rows, prompt, tokens)) + b"\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline() if select.select([self.process.stdout], [], [], ROUND_S)[0] else b""
        if not line:
            raise Gone(f"The bare model gave no figure for {rows} rows of {prompt} + {tokens} tokens.")
        return msgspec.json.decode(line, type=Seconds)

    def rate(self, work: Workload) -> float:
        """The limit of a workload, tokens a second."""
        seconds = self.seconds(work.streams, work.prompt, work.tokens)
        return work.streams * work.tokens / (seconds.prefill + seconds.decode)


@contextmanager
def bare(model: Path) -> Iterator[Bare]:
    command = [sys.executable, "-m", "tests.bench.chat.limit", str(model)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Bare(process)
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_S)


def fast_blas() -> Path | None:
    """The library this service finds; None where MLX brings a fast one (macOS)."""
    if sys.platform != "linux":
        return None
    found = next(blas.candidates(), None)
    if found is None:
        raise Gone("No OpenBLAS is here: apt-get install libopenblas0-pthread")
    return found


def make_peers() -> None:
    """The environment of the peers: what a user gets who installs them today, at the versions named here.

    Raises:
        Gone: it cannot be made.
    """
    if (VENV / "made").is_file():
        return
    sys.stderr.write(f"making {VENV} with {', '.join(PACKAGES)} (minutes)\n")
    extra = ("mlx[cpu]",) if sys.platform == "linux" else ()
    pip = str(VENV / "bin" / "pip")
    try:
        for command in ([sys.executable, "-m", "venv", str(VENV)], [pip, "install", "--quiet", *PACKAGES, *extra]):
            subprocess.run(command, check=True, timeout=_MAKE_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise Gone(f"The peers' environment cannot be made: {error}") from None
    (VENV / "made").touch()
