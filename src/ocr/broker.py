"""The OCR process's side of the wire: one connection asks for health, or brings one page and gets its one outcome.

Belongs to the broker's event loop; pages go through `admission` to the `pool`. Images are passed on unopened.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import psutil
from loguru import logger

from src import logs
from src.errors import InvalidRequest, ServiceError
from src.ipc.messages import Failed, Health, MemoryReading, OcrLoad, OcrRequest, OcrResult, Ping
from src.ipc.server import Peer
from src.ocr.admission import Admission
from src.ocr.pool import Pool

_LAST_ANSWERS_S = 1.0


class Broker:
    """What `ipc.server` calls for each connection."""

    def __init__(self, pool: Pool, admission: Admission) -> None:
        self._pool = pool
        self._admission = admission
        self._answering: set[asyncio.Future[None]] = set()
        self._self = psutil.Process()

    def start(self) -> None:
        self._pool.start(self._admission.pump)

    async def close(self) -> None:
        """Give every page its outcome, then end the workers."""
        await self._admission.close()
        if self._answering:
            await asyncio.wait(self._answering, timeout=_LAST_ANSWERS_S)
        await self._pool.close()

    async def serve(self, peer: Peer) -> None:
        """One connection, until its page is answered or the peer closes."""
        while (message := await peer.receive()) is not None:
            if isinstance(message, Ping):
                peer.send(self.health())
            elif isinstance(message, OcrRequest):
                return await self._answer(peer, message)
            else:
                return peer.send(Failed.of(InvalidRequest("OCR takes OcrRequest and Ping.")))
        return None

    def health(self) -> Health:
        pool, admission = self._pool, self._admission
        load = OcrLoad(
            workers=pool.loaded,
            busy=admission.busy,
            waiting=admission.waiting,
            model_loads=pool.model_loads,
            pages=admission.pages,
            failures=admission.failures,
            worker_restarts=pool.restarts,
        )
        memory = MemoryReading(self._self.memory_info().rss)
        return Health(pool.state, os.getpid(), memory, pool.detail, pool.engine, ocr=load)

    async def _answer(self, peer: Peer, request: OcrRequest) -> None:
        """One outcome, or none if the peer closes first: then nobody wants it."""
        logs.request_id.set(request.id)  # this task is the connection's own, and so is its context
        try:
            page = self._admission.submit(request)
        except ServiceError as error:
            return _send(peer, Failed.of(error))
        answered = asyncio.get_running_loop().create_future()
        self._answering.add(answered)
        try:
            ends: set[asyncio.Future[Any]] = {page.outcome, peer.gone}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if page.outcome.done():
                return _send(peer, page.outcome.result())
            return logger.info("a page was given up by its client")
        finally:
            self._admission.abandon(page)
            self._answering.discard(answered)
            answered.set_result(None)


def _send(peer: Peer, outcome: OcrResult | Failed) -> None:
    peer.send(outcome)
    if isinstance(outcome, Failed):
        return logger.warning("a page was refused or failed: {} ({})", outcome.code, outcome.message)
    times = outcome.timings
    return logger.info(
        "a page of {} × {} pixels was read: {} lines; waited {:.3f} s, decoded in {:.3f} s, recognized in {:.3f} s",
        outcome.width,
        outcome.height,
        len(outcome.lines),
        times.queue_s,
        times.decode_s,
        times.recognize_s,
    )
