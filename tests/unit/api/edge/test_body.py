"""The bounds of a body: bytes, a slot, and memory for all."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from gunicorn.http.errors import InvalidChunkSize

from src.api.body import BODY_KEY, BodyMemory, BoundedBody, leave_slot
from src.api.generation.inflight import InFlight
from src.errors import InvalidRequest, Overloaded, PayloadTooLarge
from tests.unit.api.bodies import open_body

FREE = 256 << 10
MB = 1 << 20


class Broken:
    """A client's connection that ends in the middle."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int = -1) -> bytes:
        raise self._error

    readline = read


@pytest.mark.parametrize("error", [TimeoutError("slow"), OSError("reset"), InvalidChunkSize(b"SECRET")])
def test_a_broken_body_is_the_clients_fault(error: Exception) -> None:
    """A chunk that cannot be parsed, or a client that stops sending, is a 400 that repeats nothing of the body."""
    with pytest.raises(InvalidRequest, match="Could not read") as caught:
        open_body(Broken(error), 100).read()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


WAYS: list[Callable[[BoundedBody], bytes]] = [
    lambda body: body.read(),
    b"".join,
    lambda body: b"".join(iter(lambda: body.read(7), b"")),
]


@pytest.mark.parametrize("read", WAYS, ids=["whole", "lines", "pieces"])
@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_every_way_of_reading_counts(read: Callable[[BoundedBody], bytes], size: int, fits: bool) -> None:
    """Whole, by line or in pieces: more than the limit never gets through."""
    body = open_body(io.BytesIO((b"xxxxxxxxx\n" * 20)[:size]), 100)
    if fits:
        assert len(read(body)) == size
    else:
        with pytest.raises(PayloadTooLarge):
            read(body)


def test_a_body_holds_a_slot_from_its_first_byte() -> None:
    """Whoever reads it: the cap counts it until the request has a slot of its own, or the response has ended."""
    inflight = InFlight(1)
    first, second, third = (open_body(io.BytesIO(b"x" * 10), 100, inflight) for _ in range(3))
    first.read(1)
    with pytest.raises(Overloaded, match="bodies being read: 1"):
        second.read(1)
    leave_slot({BODY_KEY: first})
    ticket = inflight.enter(lambda: None)
    first.close()
    with pytest.raises(Overloaded, match="in flight"):
        second.read(1)
    inflight.leave(ticket)
    assert second.read() == b"x" * 10
    with pytest.raises(Overloaded):
        third.read(1)
    second.close()
    second.close()
    assert third.read() == b"x" * 10


def test_bodies_that_do_not_arrive_keep_nobody_out() -> None:
    """One owner's half-sent bodies end at its share: another's is read, and its requests work."""
    inflight = InFlight(8)

    def half_sent(owner: str) -> None:
        open_body(io.BytesIO(b"x" * 10), 100, inflight, owner=owner).read(1)

    for _ in range(6):
        half_sent("bob")
    with pytest.raises(Overloaded, match="6; the rest of 8 is for others"):
        half_sent("bob")
    half_sent("alice")
    for _ in range(6):
        inflight.enter(lambda: None, "alice")


def test_all_bodies_share_a_memory() -> None:
    """Half-sent ones count by what has come; what is over is given back at the end, once."""
    memory = BodyMemory(2 * MB)
    bodies = [open_body(io.BytesIO(b"x" * 4 * MB), 8 * MB, memory=memory) for _ in range(3)]
    for body in bodies[:2]:
        body.read(MB)
    assert memory.held == 2 * (MB - FREE)
    with pytest.raises(Overloaded, match="MAX_BODIES_MB") as caught:
        bodies[2].read()
    assert caught.value.retry_after_s
    assert memory.held <= 2 * MB
    for body in (*bodies, *bodies):
        body.close()
    assert memory.held == 0


def test_a_small_body_always_has_room() -> None:
    """However much the others hold: who sends little is not kept out."""
    memory = BodyMemory(1)
    memory.take(1)
    assert len(open_body(io.BytesIO(b"x" * FREE), MB, memory=memory).read()) == FREE


def test_a_route_may_take_less() -> None:
    """By what the body says of itself, and by what comes; the error names the limit."""
    body = open_body(io.BytesIO(b"x" * 2000), MB)
    with pytest.raises(PayloadTooLarge, match="1 KiB, the limit of this route"):
        body.narrow(1024, 2000)
    with pytest.raises(PayloadTooLarge):
        body.read()
