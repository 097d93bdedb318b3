"""Who is on the device and who makes room: the policy over hand-made tables."""

from __future__ import annotations

import pytest

from src.gpu.lifecycle import IdleTimes
from src.supervisor.turns import ModelSlot, ResidencyLimits, decide

NOW = 1000.0


def limits(on_device: int = 1, *, memory: int = 100, warm: int = 9, after_request: bool = False) -> ResidencyLimits:
    return ResidencyLimits(on_device, warm, memory, turn_s=5.0, idle=IdleTimes(600, 3600), after_request=after_request)


def here(name: str, *, used: float = NOW - 1, since: float = 0.0, running: int = 0, size: int = 10) -> ModelSlot:
    return ModelSlot(name, size, location="gpu", last_used=used, since=since, running=running)


def wanted(name: str, oldest: float = NOW, *, size: int = 10, warm: bool = False) -> ModelSlot:
    return ModelSlot(name, size, location="cpu" if warm else "unloaded", waiting=2, oldest=oldest, last_used=oldest)


def test_a_model_on_the_device_takes_its_requests_in() -> None:
    place = here("a")
    place.waiting, place.oldest = 3, NOW
    decision = decide([place], limits(), NOW)
    assert (decision.admit, decision.move) == (["a"], {})


@pytest.mark.parametrize("warm", [False, True])
def test_one_that_is_asked_for_comes_in_where_there_is_room(warm: bool) -> None:
    decision = decide([here("a"), wanted("b", warm=warm)], limits(2), NOW)
    assert decision.move == {"b": "gpu"}


def test_the_least_recently_used_idle_model_makes_room() -> None:
    """At once: nobody waits for an idle model's turn. One that is pinned stays."""
    pinned = here("p", used=NOW - 90)
    pinned.pinned = True
    decision = decide([pinned, here("a", used=NOW - 10), here("b", used=NOW - 50), wanted("c")], limits(3), NOW)
    assert decision.move == {"b": "cpu"}


def test_memory_bounds_as_well_as_number() -> None:
    """As many leave as the new one's size asks for."""
    table = [here("a", used=NOW - 9, size=40), here("b", used=NOW - 8, size=40), wanted("c", size=70)]
    assert decide(table, limits(5), NOW).move == {"a": "cpu", "b": "cpu"}
    assert decide([here("a", size=40), wanted("c", size=60)], limits(5), NOW).move == {"c": "gpu"}


def test_one_alone_may_always_try() -> None:
    """The engine knows best whether it fits; here only others are weighed against it."""
    assert decide([wanted("c", size=5000)], limits(), NOW).move == {"c": "gpu"}


def test_a_busy_model_keeps_its_turn_then_is_closed_and_drained() -> None:
    """Its new requests get in for a turn; after it they wait, and it leaves when the last one has ended."""
    busy, other = here("a", since=NOW - 100, running=1), wanted("b", oldest=NOW - 4)
    busy.waiting, busy.oldest = 1, NOW
    assert decide([busy, other], limits(), NOW).admit == ["a"]
    late = NOW + 1.5
    closed = decide([busy, other], limits(), late)
    assert (closed.admit, closed.move) == ([], {})
    busy.running = 0
    assert decide([busy, other], limits(), late).move == {"a": "cpu"}


def test_a_turn_is_counted_from_when_the_model_came() -> None:
    """However long the other has waited: else two that are asked for in turn would do nothing but swap."""
    other = wanted("b", oldest=NOW - 60)
    assert decide([here("a", since=NOW - 1, running=1), other], limits(), NOW).move == {}


def test_who_waits_longest_comes_first_and_nobody_passes_it() -> None:
    """A small model does not slip in beside one for whose large room somebody is just leaving."""
    leaving = here("a")
    leaving.target = "cpu"
    table = [leaving, wanted("late", NOW - 1), wanted("early", NOW - 2)]
    assert decide(table, limits(), NOW).move == {}
    leaving.location, leaving.target = "cpu", None
    assert decide(table, limits(), NOW).move == {"early": "gpu"}


def test_beside_pinned_models_there_may_never_be_room() -> None:
    pinned = here("p")
    pinned.pinned = True
    assert decide([pinned, wanted("b")], limits(1), NOW).refuse == ["b"]


def test_one_that_is_on_its_way_in_is_waited_for() -> None:
    """It cannot leave yet; but it will."""
    coming = ModelSlot("a", 10, target="gpu")
    decision = decide([coming, wanted("b")], limits(1), NOW)
    assert (decision.move, decision.refuse) == ({}, [])


@pytest.mark.parametrize(("idle_s", "move"), [(10, {}), (700, {"a": "cpu"}), (4000, {"a": "unloaded"})])
def test_idle_time_moves_models_away(idle_s: float, move: dict[str, str]) -> None:
    assert decide([here("a", used=NOW - idle_s)], limits(), NOW).move == move


def test_those_who_share_the_device_leave_it_after_each_request() -> None:
    assert decide([here("a")], limits(after_request=True), NOW).move == {"a": "cpu"}
    assert decide([here("a", running=1)], limits(after_request=True), NOW).move == {}


def test_over_the_memory_limit_idle_models_leave() -> None:
    assert decide([here("a"), here("b", running=1)], limits(2), NOW, pressed=True).move == {"a": "cpu"}


def test_an_order_waits_for_running_requests_and_lets_no_more_in() -> None:
    place = here("a", running=1)
    place.ordered, place.waiting, place.oldest = "unloaded", 1, NOW
    assert decide([place], limits(), NOW).admit == []
    place.running = 0
    assert decide([place], limits(), NOW).move == {"a": "unloaded"}


def test_only_so_many_stay_warm() -> None:
    """The longest idle ends; one that is waited for does not."""
    warm = [ModelSlot(name, 1, location="cpu", last_used=NOW - at) for name, at in (("a", 3.0), ("b", 9.0), ("c", 1.0))]
    assert decide(warm, limits(warm=2), NOW).move == {"b": "unloaded"}
