"""What is in flight: the cap, the drain, and the end of all."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest

from src.api.generation.inflight import InFlight
from src.errors import Overloaded, ShuttingDown
from tests.unit.clock import Clock


def nothing() -> None:
    return


def test_the_cap_is_kept() -> None:
    """One more than the limit is refused with Retry-After; a slot that is given back can be taken again."""
    inflight = InFlight(2)
    first = inflight.enter(nothing)
    inflight.enter(nothing)
    with pytest.raises(Overloaded, match="MAX_CONCURRENT_REQUESTS") as caught:
        inflight.enter(nothing)
    assert caught.value.retry_after_s
    inflight.leave(first)
    inflight.enter(nothing)
    assert len(inflight) == 2


def test_retry_after_is_when_a_place_will_be_free() -> None:
    """Of ten requests that take a minute each, one ends every six seconds; before any has ended nothing is known."""
    clock = Clock()
    inflight = InFlight(10, clock)
    tickets = [inflight.enter(nothing) for _ in range(10)]
    with pytest.raises(Overloaded) as caught:
        inflight.check()
    assert caught.value.retry_after_s == 1
    clock.now += 60
    inflight.leave(tickets.pop())
    inflight.enter(nothing)
    with pytest.raises(Overloaded) as caught:
        inflight.check()
    assert caught.value.retry_after_s == 6


def test_a_slot_is_given_back_once() -> None:
    """Leaving twice does not free somebody else's slot."""
    inflight = InFlight(1)
    ticket = inflight.enter(nothing)
    inflight.leave(ticket)
    inflight.enter(nothing)
    inflight.leave(ticket)
    with pytest.raises(Overloaded):
        inflight.check()


def test_a_check_takes_no_slot() -> None:
    """`check` only asks."""
    inflight = InFlight(1)
    for _ in range(3):
        inflight.check()
    assert len(inflight) == 0


def test_draining_refuses_new_and_keeps_running_ones() -> None:
    """At a shutdown nothing new comes in, and what runs goes on until it is ended."""
    ended: list[str] = []
    inflight = InFlight(1)
    inflight.enter(lambda: ended.append("first"))
    inflight.begin_drain()
    with pytest.raises(ShuttingDown) as caught:
        inflight.enter(nothing)
    assert caught.value.retry_after_s
    assert (ended, len(inflight)) == ([], 1)


def test_all_are_ended_even_when_each_leaves_at_once() -> None:
    """Interrupting may make a request leave while the others are still to be told."""
    ended: list[int] = []
    inflight = InFlight(10)

    def end(at: int) -> None:
        ended.append(at)
        inflight.leave(tickets[at])

    tickets = [inflight.enter(partial(end, at)) for at in range(3)]
    inflight.end_all()
    assert (ended, len(inflight)) == ([0, 1, 2], 0)


@pytest.mark.parametrize(("limit", "share"), [(1, 1), (2, 2), (4, 3), (256, 192)])
def test_one_owner_leaves_a_quarter_to_the_others(limit: int, share: int) -> None:
    """Whoever comes next finds room, and what is given back can be taken again."""
    inflight = InFlight(limit)
    tickets = [inflight.enter(nothing, "bob") for _ in range(share)]
    with pytest.raises(Overloaded, match="MAX_CONCURRENT_REQUESTS"):
        inflight.enter(nothing, "bob")
    if share < limit:
        inflight.leave(inflight.enter(nothing, "alice"))
    inflight.leave(tickets[0])
    inflight.enter(nothing, "bob")


def test_several_greedy_owners_still_leave_room() -> None:
    """The more are taken by the others, the less one may hold: two take three sevenths each, and a third has room."""
    inflight, held = InFlight(70), {"bob": 0, "carol": 0}
    for owner in ("bob", "carol") * 70:
        with contextlib.suppress(Overloaded):
            inflight.enter(nothing, owner)
            held[owner] += 1
    assert held == {"bob": 30, "carol": 30}
    inflight.enter(nothing, "alice")


def test_nobody_in_particular_has_no_share() -> None:
    """Without keys, one machine's clients cannot be told apart."""
    inflight = InFlight(4)
    for _ in range(4):
        inflight.enter(nothing)
    assert len(inflight) == 4
