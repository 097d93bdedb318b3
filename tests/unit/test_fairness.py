"""Whose turn it is, on paper: no clock runs here."""

from __future__ import annotations

from dataclasses import dataclass

from src.fairness import FairQueue, share
from src.ipc.messages.base import Priority

AGEING_S = 30.0


@dataclass(eq=False)
class Piece:
    name: str
    owner: str
    priority: Priority = "normal"


def made() -> FairQueue[Piece]:
    ranks: dict[Priority, float] = {"high": -1, "normal": 0, "low": 1, "background": float("inf")}
    return FairQueue(ranks, AGEING_S, lambda piece: piece.priority, lambda piece: piece.owner)


def order(turns: FairQueue[Piece]) -> str:
    names = ""
    while (piece := turns.pop()) is not None:
        names += piece.name
    return names


def test_owners_take_turns_within_a_class() -> None:
    """In the order in which they came; each one's own in the order of arrival."""
    turns = made()
    for at, (name, owner) in enumerate([("a", "A"), ("b", "A"), ("c", "A"), ("x", "B"), ("y", "B"), ("o", "C")]):
        turns.push(Piece(name, owner), at)
    assert order(turns) == "axobyc"


def test_classes_go_first_and_age_across_owners() -> None:
    """`low` that has waited for PRIORITY_AGEING goes before a newcomer's `normal`."""
    turns = made()
    turns.push(Piece("l", "A", "low"), 0)
    turns.push(Piece("n", "B"), 1)
    turns.push(Piece("h", "C", "high"), 2)
    turns.push(Piece("N", "D"), AGEING_S + 1)
    assert order(turns) == "hnlN"


def test_a_flood_of_high_passes_nobody_over_for_ever() -> None:
    """Whoever waits has a turn after four of others for each that waits."""
    turns = made()
    for at in range(20):
        turns.push(Piece("h", "bob", "high"), at)
    turns.push(Piece("a", "alice"), 20)
    turns.push(Piece("A", "alice"), 20)
    assert order(turns) == "h" * 8 + "a" + "h" * 8 + "A" + "h" * 4


def test_background_waits_for_all_others() -> None:
    """However often it is passed over."""
    turns = made()
    turns.push(Piece("b", "alice", "background"), 0)
    for at in range(20):
        turns.push(Piece("n", "bob"), at)
    assert order(turns) == "n" * 20 + "b"


def test_an_owner_who_may_not_run_is_left_out() -> None:
    """Until it may; the same piece is first until then."""
    turns = made()
    turns.push(Piece("a", "A"), 0)
    turns.push(Piece("b", "B"), 1)
    first = turns.first(lambda owner: owner != "A")
    assert first is not None
    assert first.name == "b"
    assert turns.first(lambda _: False) is None
    assert turns.remove(first)
    assert not turns.remove(first)
    assert bool(turns)
    assert (order(turns), len(turns), bool(turns)) == ("a", 0, False)


def test_everybody_without_a_key_is_one_owner() -> None:
    """First come, first served; and no share is kept for others."""
    turns = made()
    for at, name in enumerate("abc"):
        turns.push(Piece(name, ""), at)
    assert order(turns) == "abc"
    assert (share(288, ""), share(288, "bob"), share(1, "bob")) == (288, 216, 1)
