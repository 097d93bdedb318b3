"""The queue before the upstream server: so many requests at once, the others wait here, by priority, keys by turns.

Event loop's thread. The order is the one of every engine (`engine.queue`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from src.engine.queue import batch_share, waiting_queue
from src.engine.upstream.exchange import UpstreamRequest
from src.fairness import FairQueue
from src.ipc.messages.chat import GenerateRequest


@dataclass(eq=False)
class QueuedRequest:
    """A request and its position. `set_aside`: what of it is not asked of the server."""

    request: GenerateRequest
    arrived: float
    called: asyncio.Future[None]
    set_aside: tuple[str, ...] = ()
    upstream: UpstreamRequest | None = None

    @property
    def begun(self) -> bool:
        """Whether the client has been shown some of its answer."""
        return self.upstream is not None and self.upstream.begun

    @property
    def resumable(self) -> bool:
        """Whether the next engine may go on with it."""
        return self.upstream is None or self.upstream.resumable


class RequestQueue:
    """`enter` at arrival, `leave` at every end."""

    def __init__(self, places: int, ageing_s: float, clock: Callable[[], float]) -> None:
        self.places = places
        self._clock = clock
        self._waiting: FairQueue[QueuedRequest] = waiting_queue(ageing_s)
        self._running: set[QueuedRequest] = set()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def enter(self, request: GenerateRequest, set_aside: tuple[str, ...] = ()) -> QueuedRequest:
        """Enqueue it; it is admitted when `called` is done."""
        turn = QueuedRequest(request, self._clock(), asyncio.get_running_loop().create_future(), set_aside)
        self._waiting.push(turn, turn.arrived)
        self._call()
        return turn

    def leave(self, turn: QueuedRequest) -> None:
        if turn in self._running:
            self._running.discard(turn)
        else:
            self._waiting.remove(turn)
        self._call()

    def _call(self) -> None:
        while self.running < self.places:
            turn = self._waiting.first(self._may_run)
            if turn is None:
                return
            self._waiting.take(turn)
            self._running.add(turn)
            turn.called.set_result(None)

    def _may_run(self, salt: str) -> bool:
        return sum(one.request.salt == salt for one in self._running) < batch_share(self.places, salt)
