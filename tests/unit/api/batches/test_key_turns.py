"""Turns between keys by tokens, and models that are changed rarely."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from src.api.batches.key_turns import KeyTurns


@dataclass(frozen=True)
class Piece:
    owner: str
    model: str | None = "m"


def taken(turns: KeyTurns, candidates: list[Piece], tokens: dict[str, int], count: int) -> list[Piece]:
    found = []
    for _ in range(count):
        one = turns.order(candidates)[0]
        turns.end(one.owner, turns.start(one), tokens[one.owner])
        found.append(one)
    return found


def test_keys_get_the_same_tokens_not_the_same_number_of_requests() -> None:
    pieces = [Piece("long"), Piece("short")]
    had = Counter(one.owner for one in taken(KeyTurns(), pieces, {"long": 1000, "short": 100}, 220))
    assert 180 <= had["short"] <= 210
    assert 17 <= had["long"] <= 40


def test_a_key_that_was_away_saves_nothing_up() -> None:
    turns = KeyTurns()
    taken(turns, [Piece("here")], {"here": 500}, 50)
    had = Counter(one.owner for one in taken(turns, [Piece("here"), Piece("new")], {"here": 500, "new": 500}, 20))
    assert abs(had["here"] - had["new"]) <= 1


def test_the_model_is_kept_for_a_while_and_not_for_ever() -> None:
    pieces = [Piece("a", "one"), Piece("b", "two")]
    found = taken(KeyTurns(), pieces, {"a": 1000, "b": 1000}, 200)
    changes = sum(before.model != after.model for before, after in pairwise(found))
    assert 2 <= changes <= 12
    assert 70 <= sum(one.model == "one" for one in found) <= 130


def test_a_keys_own_order_is_kept() -> None:
    older, newer = Piece("a", None), Piece("a", None)
    assert [id(one) for one in KeyTurns().order([older, newer])] == [id(older), id(newer)]
