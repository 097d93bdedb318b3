"""How a process is asked whether it is well: back ends over their socket, web over HTTP."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.ipc.messages.status import Health, MemoryReading
from src.ipc.server import Peer, Server
from src.supervisor.launcher import ProbeError
from src.supervisor.processes import HttpProbe, SocketProbe

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


class Web:
    """Answers each request with the next of its answers, and counts connections."""

    def __init__(self, *answers: bytes) -> None:
        self._probe_health: Iterator[bytes] = iter(answers)
        self.connections = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(next(self._probe_health, b""))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def start(self) -> HttpProbe:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return HttpProbe(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/livez")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 10))


def test_one_http_connection_serves_all_heartbeats() -> None:
    """A web whose connections are all taken still answers on the one we have."""

    async def test() -> None:
        web = Web(OK, OK, OK)
        probe = await web.start()
        for _ in range(3):
            await probe.ask(2)
        assert web.connections == 1
        probe.close()

    run(test())


def test_a_connection_web_closes_is_opened_again() -> None:
    """`Connection: close`, as a draining worker says, is obeyed."""

    async def test() -> None:
        web = Web(CLOSING, OK)
        probe = await web.start()
        await probe.ask(2)
        await probe.ask(2)
        assert web.connections == 2
        probe.close()

    run(test())


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", b"nonsense\r\n\r\n", b""]
)
def test_anything_but_200_is_a_probe_error(answer: bytes) -> None:
    """An error, garbage and silence all raise ProbeError, and the next try may succeed."""

    async def test() -> None:
        probe = await Web(answer, OK).start()
        with pytest.raises(ProbeError):
            await probe.ask(0.2)
        await probe.ask(2)
        probe.close()

    run(test())


def test_a_refused_connection_is_a_probe_error(tmp_path: Path) -> None:
    """Refused and missing addresses raise ProbeError, nothing else."""

    async def test() -> None:
        for probe in (HttpProbe("http://127.0.0.1:1/livez"), SocketProbe(tmp_path / "x.sock", 1)):
            with pytest.raises(ProbeError):
                await probe.ask(2)

    run(test())


async def _ask_backend(path: Path, says_pid: int, group: int) -> Health:
    async def pong(peer: Peer) -> None:
        while await peer.receive() is not None:
            peer.send(Health("ready", says_pid, MemoryReading(1)))

    server = Server(path, pong)
    await server.start()
    probe = SocketProbe(path, group)
    try:
        await probe.ask(2)
        return await probe.ask(2)
    finally:
        probe.close()
        await server.close()


def test_a_back_end_is_pinged_over_one_connection(tmp_path: Path) -> None:
    """Health comes back, again and again."""

    async def test() -> None:
        health = await _ask_backend(tmp_path / "a.sock", os.getpid(), os.getpgid(0))
        assert health.state == "ready"

    run(test())


def test_a_reply_from_another_process_is_a_probe_error(tmp_path: Path) -> None:
    """What an earlier supervisor left behind must not make a fresh child look ready."""

    async def test() -> None:
        with pytest.raises(ProbeError, match="another process"):
            await _ask_backend(tmp_path / "a.sock", os.getpid(), group=1)

    run(test())


def test_the_last_words_of_a_process_that_has_exited_count(tmp_path: Path) -> None:
    """It says why it cannot go on, and exits before its answer is read: the reason must not be lost."""

    with subprocess.Popen(["true"]) as gone:
        pass

    async def test() -> None:
        assert (await _ask_backend(tmp_path / "a.sock", gone.pid, gone.pid)).pid == gone.pid

    run(test())
