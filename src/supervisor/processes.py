"""Real processes and probes: the `ProcessLauncher` that `main.py` passes to `child.py`.

A child's standard input is its lifeline: a pipe that only the supervisor holds open, so the child exits with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

from src.errors import DeadlineExceeded, InternalError
from src.ipc import runtime
from src.ipc.framing import Decoder, FramingError, encode
from src.ipc.messages.base import Failed, Message
from src.ipc.messages.chat import ChatMessage, Finished, GenerateRequest
from src.ipc.messages.control import Ping
from src.ipc.messages.status import Health
from src.ipc.messages.wire import AnyMessage
from src.settings import ROOT, ProcessKind
from src.supervisor.earlier import StartedProcesses
from src.supervisor.launcher import Activity, Probe, ProbeError
from src.supervisor.specs import ChildSpec

Answer = TypeVar("Answer", bound=Message)

_CHUNK = 1 << 16
_PROBE_PROMPT = (ChatMessage("user", "Hello"),)
# failures of a probe generation that mean a broken engine; a full queue or a missing chat template do not
_FAULT_CODES = frozenset({DeadlineExceeded.code, InternalError.code})


class LocalLauncher:
    """Starts processes on this machine, each with the environment of its kind."""

    def __init__(self, environment: Callable[[ProcessKind], dict[str, str]], started: StartedProcesses) -> None:
        self._environment = environment
        self._started = started

    def spawn(self, spec: ChildSpec) -> LocalProcess:
        # its own session: ^C in the terminal reaches the supervisor only, and killpg reaches the child with its workers
        popen = subprocess.Popen(
            spec.argv,
            cwd=ROOT,
            env=self._environment(spec.kind),
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=spec.pass_fds,
        )
        self._started.add(popen.pid, tuple(spec.argv))
        return LocalProcess(popen)

    def probe(self, spec: ChildSpec, pid: int) -> Probe:
        return SocketProbe(spec.address, pid, spec.model) if isinstance(spec.address, Path) else HttpProbe(spec.address)

    def take_over(self, spec: ChildSpec) -> None:
        if isinstance(spec.address, Path):
            runtime.beside(spec.address).rename(spec.address)  # atomic: there is a socket at any time

    def free_bytes(self) -> int:
        return int(psutil.virtual_memory().available)


class LocalProcess:
    """A child process; a thread waits for its exit, so that it is reaped at once."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.pid = popen.pid
        self._popen = popen
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def write(self, data: bytes) -> None:
        if self._popen.stdin is None:
            raise BrokenPipeError("it has no standard input")
        self._popen.stdin.write(data)
        self._popen.stdin.flush()

    def activity(self) -> Activity | None:
        try:
            process = psutil.Process(self.pid)
            state, times = process.status(), process.cpu_times()
        except psutil.Error:
            return None
        stopped = state in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        unknown = sys.platform == "darwin" and not stopped  # psutil tells nothing of the disk there
        return Activity(times.user + times.system, stopped, unknown or state == psutil.STATUS_DISK_SLEEP)

    def kill_group(self) -> None:
        # already exited; macOS returns "not permitted" for a group of zombies
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._popen.stdin is not None:
            with suppress(
                OSError
            ):  # what it was no longer told is flushed again; the descriptor is closed all the same
                self._popen.stdin.close()

    def _wait(self) -> None:
        status = self._popen.wait()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._set, status)

    def _set(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(status)


def is_alive(process: psutil.Process) -> bool:
    """Whether it is still the same process: no reused pid, no zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class SocketProbe:
    """Pings a back end; with `model`, also generates one token on request."""

    def __init__(self, path: Path, pid: int, model: str | None = None) -> None:
        self._path = path
        self._model = model
        self._group = pid
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, timeout_s: float) -> Health:
        try:
            health = await asyncio.wait_for(self._exchange(), timeout_s)
        except (TimeoutError, OSError, FramingError) as error:
            self.close()  # a late reply must not be read as the next one
            raise ProbeError(str(error) or "no reply") from None
        self._check(health)
        return health

    async def probe_generation(self, timeout_s: float) -> None:
        if self._model is None:
            return
        request = GenerateRequest("probe", self._model, _PROBE_PROMPT, max_tokens=1)
        try:
            answer = await asyncio.wait_for(outcome(self._path, request, Finished, Failed), timeout_s)
        except (TimeoutError, OSError, FramingError) as error:
            raise ProbeError(str(error) or f"no token within {timeout_s:g} s") from None
        if isinstance(answer, Failed) and answer.code in _FAULT_CODES:
            raise ProbeError(answer.message)

    async def _exchange(self) -> Health:
        if self._connection is None:
            self._connection = await asyncio.open_unix_connection(str(self._path))
        reader, writer = self._connection
        writer.write(encode(Ping()))
        decoder = Decoder()
        while data := await reader.read(_CHUNK):
            for message in decoder.feed(data):
                if isinstance(message, Health):
                    return message
        raise ConnectionResetError("connection closed")

    def _check(self, health: Health) -> None:
        """The reply must come from this child, not from one of an earlier supervisor that is still exiting."""
        if health.pid == self._group:
            return  # even if it has exited since: its last words are the reason
        with suppress(ProcessLookupError):
            if os.getpgid(health.pid) == self._group:
                return
        self.close()
        raise ProbeError(f"answered by another process, pid {health.pid}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection[1].transport.abort()
            self._connection = None


async def outcome(path: Path, request: AnyMessage, *kinds: type[Answer]) -> Answer:
    """Send one request on its own connection; the first reply of these kinds. Raises OSError, FramingError."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(encode(request))
        decoder = Decoder()
        while data := await reader.read(_CHUNK):
            for message in decoder.feed(data):
                if isinstance(message, kinds):
                    return message
        raise ConnectionResetError("connection closed")
    finally:
        writer.transport.abort()


class HttpProbe:
    """GETs a URL that must answer 200. The connection is persistent: while clients hold all of web's connections, a
    new one would have to wait, and a busy web would count as hung."""

    def __init__(self, url: str) -> None:
        authority, _, path = url.removeprefix("http://").partition("/")
        host, _, port = authority.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._request = f"GET /{path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: stoker-supervisor\r\n\r\n".encode()
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def probe_generation(self, timeout_s: float) -> None:
        """Nothing to generate: `ask` is the whole health check."""

    async def ask(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._exchange_retrying_stale(), timeout_s)
        except (TimeoutError, OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            self.close()
            raise ProbeError(str(error) or "no reply") from None

    async def _exchange_retrying_stale(self) -> None:
        """The persistent connection may have been closed as idle."""
        kept = self._connection is not None
        try:
            await self._exchange()
        except (OSError, EOFError):
            self.close()
            if not kept:
                raise
            await self._exchange()

    async def _exchange(self) -> None:
        if self._connection is None:
            self._connection = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._connection
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        await reader.readexactly(int(headers.get("content-length", "0")))
        if "content-length" not in headers or headers.get("connection") == "close":
            self.close()
        if status.split(" ")[1:2] != ["200"]:
            raise ValueError(f"answered {status}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection[1].transport.abort()
            self._connection = None
