"""The broker's connections: health, one outcome a page, and the peer that leaves."""

from __future__ import annotations

import asyncio
from typing import cast

from src.ipc.messages.base import Failed
from src.ipc.messages.control import Ping, StatusRequest
from src.ipc.messages.ocr import OcrRequest, OcrResult
from src.ipc.messages.status import Health, OcrLoad
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer
from src.ocr.broker import Broker
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import Staff, settled


class FakePeer:
    """A connection that says what it is given, then stays silent until it leaves."""

    def __init__(self, *messages: AnyMessage) -> None:
        self._inbox: asyncio.Queue[AnyMessage | None] = asyncio.Queue()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.got: list[AnyMessage] = []
        for message in messages:
            self._inbox.put_nowait(message)

    async def receive(self) -> AnyMessage | None:
        return await self._inbox.get()

    def send(self, message: AnyMessage) -> None:
        self.got.append(message)

    def leave(self) -> None:
        self._inbox.put_nowait(None)
        self.gone.set_result(None)


def connect(broker: Broker, *messages: AnyMessage) -> tuple[FakePeer, asyncio.Task[None]]:
    peer = FakePeer(*messages)
    return peer, asyncio.create_task(broker.serve(cast("Peer", peer)))


async def opened(staff: Staff) -> Broker:
    broker = Broker(staff.settings, staff.pool, staff.admission, staff.jobs, staff.spool)
    await broker.start()
    await settled()
    return broker


def test_repeated_pings(run: Run) -> None:
    """One connection gets an answer for every ping, with the figures of the pool."""

    async def story() -> None:
        broker = await opened(Staff(ocr_workers=2))
        peer, task = connect(broker, Ping(), Ping())
        await settled()
        assert not task.done()
        first, second = peer.got
        assert first == second
        assert isinstance(first, Health)
        assert (first.state, first.engine, first.ocr) == ("ready", "fake", OcrLoad(2, 0, 0, 2, 0, 0, 0))
        assert first.memory.rss_bytes > 0
        peer.leave()
        await task
        await broker.close()

    run(story())


def test_a_page_gets_exactly_one_outcome(run: Run) -> None:
    """The result is sent and the connection is over."""

    async def story() -> None:
        staff = Staff()
        broker = await opened(staff)
        peer, task = connect(broker, OcrRequest("a", b"image"))
        await settled()
        await staff.answer("a")
        await task
        assert [type(message) for message in peer.got] == [OcrResult]
        await broker.close()

    run(story())


def test_a_rejected_page_fails_at_once(run: Run) -> None:
    """A full line answers `overloaded` with the time to come back."""

    async def story() -> None:
        staff = Staff(ocr_queue_size=1)
        broker = await opened(staff)
        for name in ("reading", "waiting"):
            connect(broker, OcrRequest(name, b"image"))
            await settled()
        peer, task = connect(broker, OcrRequest("refused", b"image"))
        await task
        (answer,) = peer.got
        assert isinstance(answer, Failed)
        assert answer.code == "overloaded"
        assert answer.retry_after_s is not None
        await broker.close()

    run(story())


def test_a_disconnect_abandons_the_page(run: Run) -> None:
    """Closing the connection is the cancellation: nothing is sent, the line is shorter."""

    async def story() -> None:
        staff = Staff()
        broker = await opened(staff)
        connect(broker, OcrRequest("reading", b"image"))
        await settled()
        peer, task = connect(broker, OcrRequest("leaving", b"image"))
        await settled()
        assert staff.admission.waiting == 1
        peer.leave()
        await task
        assert (staff.admission.waiting, peer.got) == (0, [])
        await broker.close()

    run(story())


def test_other_requests_are_refused(run: Run) -> None:
    """What OCR does not do is said, not ignored."""

    async def story() -> None:
        broker = await opened(Staff())
        peer, task = connect(broker, StatusRequest())
        await task
        (answer,) = peer.got
        assert isinstance(answer, Failed)
        assert answer.code == "invalid_value"
        await broker.close()

    run(story())


def test_stopping_fails_all_pages(run: Run) -> None:
    """Connections with a page get `server_shutdown` before the broker is closed."""

    async def story() -> None:
        broker = await opened(Staff())
        peers = [connect(broker, OcrRequest(name, b"image"))[0] for name in "ab"]
        await settled()
        await broker.close()
        assert [message.code for peer in peers for message in peer.got if isinstance(message, Failed)] == [
            "server_shutdown",
            "server_shutdown",
        ]

    run(story())
