"""Which models are on the device and which are evicted: the policy over hand-made tables."""

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


def test_a_model_on_the_device_admits_its_requests() -> None:
    slot = here("a")
    slot.waiting, slot.oldest = 3, NOW
    decision = decide([slot], limits(), NOW)
    assert (decision.admit, decision.move) == (["a"], {})


@pytest.mark.parametrize("warm", [False, True])
def test_a_requested_model_is_loaded_where_there_is_room(warm: bool) -> None:
    decision = decide([here("a"), wanted("b", warm=warm)], limits(2), NOW)
    assert decision.move == {"b": "gpu"}


def test_a_load_that_was_given_up_holds_its_place_until_its_process_has_ended() -> None:
    """It has read weights already: another model would be one too many on the device."""
    given_up = ModelSlot("a", 10, location="unloaded", target="unloaded")
    assert decide([given_up, wanted("b")], limits(1), NOW).move == {}
    given_up.target = None
    assert decide([given_up, wanted("b")], limits(1), NOW).move == {"b": "gpu"}


def test_the_least_recently_used_idle_model_is_evicted() -> None:
    """At once: an idle model has no turn to finish. Pinned models stay."""
    pinned = here("p", used=NOW - 90)
    pinned.pinned = True
    decision = decide([pinned, here("a", used=NOW - 10), here("b", used=NOW - 50), wanted("c")], limits(3), NOW)
    assert decision.move == {"b": "cpu"}


def test_memory_and_count_are_both_limited() -> None:
    """As many are evicted as its size requires."""
    table = [here("a", used=NOW - 9, size=40), here("b", used=NOW - 8, size=40), wanted("c", size=70)]
    assert decide(table, limits(5), NOW).move == {"a": "cpu", "b": "cpu"}
    assert decide([here("a", size=40), wanted("c", size=60)], limits(5), NOW).move == {"c": "gpu"}


def test_a_model_alone_always_fits() -> None:
    """The engine knows best whether it fits; the policy only compares it with others."""
    assert decide([wanted("c", size=5000)], limits(), NOW).move == {"c": "gpu"}


def test_a_busy_model_keeps_its_turn_then_stops_admitting_and_is_evicted() -> None:
    """New requests are admitted for a turn; then they wait, and the model is evicted after the last one."""
    busy, other = here("a", since=NOW - 100, running=1), wanted("b", oldest=NOW - 4)
    busy.waiting, busy.oldest = 1, NOW
    assert decide([busy, other], limits(), NOW).admit == ["a"]
    late = NOW + 1.5
    not_admitting = decide([busy, other], limits(), late)
    assert (not_admitting.admit, not_admitting.move) == ([], {})
    busy.running = 0
    assert decide([busy, other], limits(), late).move == {"a": "cpu"}


def test_a_turn_starts_when_the_model_was_loaded() -> None:
    """However long the other has waited: otherwise two busy models would swap constantly."""
    other = wanted("b", oldest=NOW - 60)
    assert decide([here("a", since=NOW - 1, running=1), other], limits(), NOW).move == {}


def test_the_longest_waiting_model_is_loaded_first() -> None:
    """A small model does not take the memory that is being freed for a large one."""
    evicting = here("a")
    evicting.target = "cpu"
    table = [evicting, wanted("late", NOW - 1), wanted("early", NOW - 2)]
    assert decide(table, limits(), NOW).move == {}
    evicting.location, evicting.target = "cpu", None
    assert decide(table, limits(), NOW).move == {"early": "gpu"}


def test_a_model_that_does_not_fit_beside_pinned_ones_is_refused() -> None:
    pinned = here("p")
    pinned.pinned = True
    assert decide([pinned, wanted("b")], limits(1), NOW).refuse == ["b"]


def test_a_loading_model_is_not_evicted() -> None:
    """It can be evicted later, so the request waits."""
    coming = ModelSlot("a", 10, target="gpu")
    decision = decide([coming, wanted("b")], limits(1), NOW)
    assert (decision.move, decision.refuse) == ({}, [])


@pytest.mark.parametrize(("idle_s", "move"), [(10, {}), (700, {"a": "cpu"}), (4000, {"a": "unloaded"})])
def test_idle_timeouts_offload_and_unload(idle_s: float, move: dict[str, str]) -> None:
    assert decide([here("a", used=NOW - idle_s)], limits(), NOW).move == move


def test_offload_after_request() -> None:
    assert decide([here("a")], limits(after_request=True), NOW).move == {"a": "cpu"}
    assert decide([here("a", running=1)], limits(after_request=True), NOW).move == {}


def test_memory_pressure_offloads_idle_models() -> None:
    assert decide([here("a"), here("b", running=1)], limits(2), NOW, memory_pressure=True).move == {"a": "cpu"}


def test_a_requested_move_waits_for_running_requests_and_stops_admitting() -> None:
    slot = here("a", running=1)
    slot.requested, slot.waiting, slot.oldest = "unloaded", 1, NOW
    assert decide([slot], limits(), NOW).admit == []
    slot.running = 0
    assert decide([slot], limits(), NOW).move == {"a": "unloaded"}


def test_max_warm_models() -> None:
    """The longest idle one is unloaded; one with waiting requests is not."""
    warm = [ModelSlot(name, 1, location="cpu", last_used=NOW - at) for name, at in (("a", 3.0), ("b", 9.0), ("c", 1.0))]
    assert decide(warm, limits(warm=2), NOW).move == {"b": "unloaded"}
