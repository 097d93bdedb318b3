"""How an order to move reaches an engine's process: a real socket that answers, children that are told."""

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
    """The children, as far as moving needs them: one engine's pid, and what was heard of it."""

    def __init__(self) -> None:
        self.pid = 1
        self.orders = 0
        self.said: list[tuple[str, Health]] = []

    def status_of(self, name: str) -> ChildStatus:
        return ChildStatus(name, "ready", self.pid, 1.0, {})

    def heard(self, name: str, health: Health) -> None:
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


def test_what_an_engine_says_after_a_move_counts_at_once(runtime_dir: Path) -> None:
    """The table does not show for a heartbeat what the device held before."""
    table = Table()
    moved(runtime_dir, table, lambda peer: peer.send(away(1)))
    assert (table.orders, table.said) == (1, [("engine:demo", away(1))])


def test_a_process_that_was_relieved_meanwhile_is_not_the_one_that_counts(runtime_dir: Path) -> None:
    """Its successor came to the device: it is told as well. Likewise when the old one ends without an answer."""
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


def test_why_an_engine_did_not_move(runtime_dir: Path) -> None:
    with pytest.raises(MoveFailed, match="not loaded yet"):
        moved(runtime_dir, Table(), lambda peer: peer.send(Failed("backend_unavailable", "not loaded yet")))
    with pytest.raises(MoveFailed):
        moved(runtime_dir, Table(), lambda _: None)
