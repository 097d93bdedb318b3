"""A request's place: given by the supervisor, waited for while it is alive, done without when it is not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.api.generation.inflight import ClientGone
from src.api.generation.model_lease import ModelLease
from src.ipc.client import Cancelled
from src.ipc.messages.control import AcquireModel, StatusRequest
from src.ipc.messages.status import SystemStatus
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer
from tests.unit.clock import Clock
from tests.unit.ipc.conftest import ServerThread

STATUS = SystemStatus("0", 1, 1.0, ())


class Giver:
    """Takes wishes and grants none of them."""

    def __init__(self) -> None:
        self.asked: list[AnyMessage] = []
        self.left = threading.Event()

    async def __call__(self, peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            self.asked.append(message)
            if isinstance(message, StatusRequest):
                peer.send(STATUS)
            else:
                await asyncio.shield(peer.gone)
                self.left.set()


@pytest.fixture
def deaf(runtime_dir: Path) -> Iterator[Path]:
    """A supervisor that stands still: the kernel takes the connection, nobody reads."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(runtime_dir / "control.sock"))
        sock.listen(8)
        yield runtime_dir / "control.sock"


def test_a_place_is_waited_for_while_the_supervisor_lives(runtime_dir: Path) -> None:
    """A load may take minutes: as long as the one who gives the place answers at all, it is waited for."""
    giver, clock = Giver(), Clock()
    with ServerThread(runtime_dir / "control.sock", giver):
        place = ModelLease(runtime_dir / "control.sock", AcquireModel("demo"), clock)
        for _ in range(5):
            assert not place.acquire()
            clock.now += 10
        assert StatusRequest() in giver.asked
        place.close()
        assert giver.left.wait(5)


def test_who_waits_for_a_place_may_be_told_to_stop(runtime_dir: Path) -> None:
    """Its client has left: the place is asked for no more."""
    giver, calls = Giver(), iter(range(3))

    def still() -> None:
        if next(calls) == 2:
            raise ClientGone

    with ServerThread(runtime_dir / "control.sock", giver):
        place = ModelLease(runtime_dir / "control.sock", AcquireModel("demo"), Clock())
        with pytest.raises(ClientGone):
            place.wait(60, still)
        place.close()
        assert giver.left.wait(5)


def test_a_supervisor_that_stands_still_gives_no_places(deaf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few seconds of silence the request goes to the engine without."""
    monkeypatch.setattr("src.api.generation.model_lease._ANSWER_S", 0.1)
    clock = Clock()
    place = ModelLease(deaf, AcquireModel("demo"), clock)
    assert not place.acquire()
    clock.now += 3
    assert place.acquire()
    assert place.acquire()
    place.close()


def test_a_place_that_was_closed_is_not_asked_for_again(runtime_dir: Path) -> None:
    """Also when it is closed while it is waited for: whoever waited gets no lease that nobody would give back."""
    giver, calls = Giver(), iter(range(9))
    with ServerThread(runtime_dir / "control.sock", giver):
        place = ModelLease(runtime_dir / "control.sock", AcquireModel("demo"), Clock())

        def still() -> None:
            if next(calls) == 1:
                place.close()

        with pytest.raises(Cancelled):
            place.wait(60, still)
        assert giver.left.wait(5)
    assert giver.asked == [AcquireModel("demo")]


def test_without_a_supervisor_none_is_needed(runtime_dir: Path) -> None:
    """Whoever answers, serves."""
    assert ModelLease(runtime_dir / "control.sock", AcquireModel("demo")).acquire()
