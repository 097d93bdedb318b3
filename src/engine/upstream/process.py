"""An upstream server started here: tied to its parent's life, its log lines in ours, its last output when it ends."""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from collections import deque
from contextlib import suppress

import psutil

from src import logs
from src.engine.upstream.command import HOST
from src.settings import ROOT, foreign_environment, home

_CHUNK = 1 << 16
_LONGEST_LINE = 500
_LAST_LINES = 5
_REAP_S = 8.0  # longer than `parent_death` waits
_KEY_NAMES = ("VLLM_API_KEY", "LLAMA_API_KEY", "API_KEY")  # vllm's, llama-server's, llama_cpp.server's


# below the ephemeral ports: an outgoing connection could take one before the server binds it, and a probe of whether
# the server listens yet could connect to itself
_PORTS = range(20_000, 32_768)


def free_port() -> int:
    """A port that is free at the moment."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as sock, suppress(OSError):
            sock.bind((HOST, port))
            return port


class UpstreamProcess:
    """Owns the process. `key` is made for this start: others on this machine cannot pass our API by."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self._argv = argv
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._process: asyncio.subprocess.Process
        self.key = secrets.token_urlsafe(24)

    async def start(self) -> None:
        # the key goes by the environment, which only this user can read; a command line everybody can
        keys = dict.fromkeys(_KEY_NAMES, self.key)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "src.engine.upstream.parent_death", str(home()), *self._argv),
            cwd=ROOT,
            env=foreign_environment(**keys, PYTHONUNBUFFERED="1"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def ended(self) -> int:
        """Pass its log lines on until its end; its exit status."""
        output, rest = self._process.stdout, b""
        while output is not None and (data := await output.read(_CHUNK)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._pass_on(line)
            rest = rest[-_CHUNK:]
        return await self._process.wait()

    def _pass_on(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode(errors="replace").strip()
        if text:
            self._last.append(text)
            logs.model.bind(source="upstream").info("upstream: {}", text)

    @property
    def exit_output(self) -> str:
        """Its last lines of output, for a reason that can be shown."""
        return " / ".join(self._last) or "it printed nothing"

    def memory(self) -> int:
        """Resident bytes of the server and all below it."""
        try:
            top = psutil.Process(self._process.pid)
            return sum(int(process.memory_info().rss) for process in (top, *top.children(recursive=True)))
        except psutil.NoSuchProcess:
            return 0

    async def stop(self) -> None:
        """Close its standard input (`parent_death` ends it then), and wait until nothing is left."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _REAP_S)
        except TimeoutError:
            logs.model.error(
                "the upstream server did not end within {:g} s; the supervisor kills its process group", _REAP_S
            )
