"""Whether anybody still wants what a view waits for, where no `Generation` watches: around `ModelLease.wait`. Web."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import request

from src.api import owner
from src.api.body import leave_slot
from src.api.generation.client_watch import ClientWatch
from src.api.generation.generation import ClientGone
from src.api.service import service
from src.errors import ShuttingDown


@contextmanager
def interest() -> Iterator[Callable[[], None]]:
    """Of this request: gives a check, which raises ClientGone or ShuttingDown once nobody waits any more.

    Raises:
        ShuttingDown, Overloaded: as `InFlight.enter`.
    """
    ends: list[Exception] = []

    def check() -> None:
        if ends:
            raise ends[0]

    inflight = service().inflight
    leave_slot(request.environ)
    ticket = inflight.enter(lambda: ends.append(_draining()), owner.of(request.environ))
    watch = ClientWatch(request.environ, lambda: ends.append(ClientGone()))
    try:
        yield check
    finally:
        watch.stop()
        inflight.leave(ticket)


def _draining() -> ShuttingDown:
    return ShuttingDown("The service is shutting down.", retry_after_s=5.0)
