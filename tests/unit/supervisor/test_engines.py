"""How a move reaches an engine's process: a real socket, fake children."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from src.ipc import runtime
from src.ipc.messages.base import Failed
from src.ipc.messages.control import MoveWeights
from src.ipc.messages.status import ChildStatus, Health, MemoryReading
from src.ipc.server import Peer, Server
from src.settings import Settings
from src.supervisor.children import Children
from src.supervisor.engines import EngineProcesses
from src.supervisor.models import MoveFailed


class Table:
    """Fake children: one engine's pid, and the health recorded for it."""

    def __init__(self) -> None:
        self.pid = 1
        self.orders = 0
        self.said: list[tuple[str, Health]] = []

    def status_of(self, name: str) -> ChildStatus:
        return ChildStatus(name, "ready", self.pid, 1.0, {})

    def update_health(self, name: str, health: Health) -> None:
        self.said.append((name, health))


def away(pid: int) -> Health:
    return Health("ready", pid, MemoryReading(1), location="cpu")


def moved(directory: Path, table: Table, answer: Callable[[Peer], None]) -> None:
    """Order `demo` off the device; its engine does `answer` with each order."""

    async def serve(peer: Peer) -> None:
        assert await peer.receive() == MoveWeights("cpu")
        table.orders += 1
        answer(peer)

    async def story() -> None:
        server = Server(runtime.engine_socket(directory, "demo"), serve)
        await server.start()
        try:
            await EngineProcesses(cast(Children, table), Settings(_env_file=None), directory).move("demo", "cpu")
        finally:
            await server.close()

    asyncio.run(story())


def test_health_returned_by_a_move_is_used_at_once(runtime_dir: Path) -> None:
    """The table does not wait for the next heartbeat."""
    table = Table()
    moved(runtime_dir, table, lambda peer: peer.send(away(1)))
    assert (table.orders, table.said) == (1, [("engine:demo", away(1))])


def test_a_move_is_repeated_when_a_standby_took_over_meanwhile(runtime_dir: Path) -> None:
    """The standby holds the device: it is moved as well. Likewise when the old process exits without a reply."""
    for last_word in (away(1), None):
        table = Table()

        def answer(peer: Peer, table: Table = table, last_word: Health | None = last_word) -> None:
            if table.orders > 1:
                peer.send(away(2))
            elif last_word is not None:
                peer.send(last_word)
            table.pid = 2

        moved(runtime_dir, table, answer)
        assert (table.orders, table.said) == (2, [("engine:demo", away(2))])


def test_move_failures(runtime_dir: Path) -> None:
    with pytest.raises(MoveFailed, match="not loaded yet"):
        moved(runtime_dir, Table(), lambda peer: peer.send(Failed("backend_unavailable", "not loaded yet")))
    with pytest.raises(MoveFailed):
        moved(runtime_dir, Table(), lambda _: None)
