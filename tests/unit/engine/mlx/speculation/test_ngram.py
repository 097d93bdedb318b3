"""Prompt look-up: what followed the longest end that was seen before."""

from __future__ import annotations

import random

from src.engine.mlx.speculation.ngram import NgramIndex


def guess(index: NgramIndex, most: int) -> list[int]:
    return index.following(index.find(), most)


def slowly(tokens: list[int], most: int) -> list[int]:
    """The same by comparing everything with everything: at least two tokens alike, at most eight; the latest wins."""
    best: tuple[int, int] = (0, 0)
    for place in range(2, len(tokens)):
        alike = 0
        while alike < min(8, place) and tokens[place - alike - 1] == tokens[-alike - 1]:
            alike += 1
        if alike >= 2:
            best = max(best, (alike, place))
    return tokens[best[1] : best[1] + most] if best[1] else []


def test_what_followed_before_follows_again() -> None:
    """A text that is copied is foreseen."""
    assert guess(NgramIndex([1, 2, 3, 4, 5, 9, 2, 3]), 2) == [4, 5]


def test_the_longer_likeness_wins() -> None:
    """1 2 3 says more than 2 3, though 2 3 was seen later."""
    assert guess(NgramIndex([1, 2, 3, 4, 8, 2, 3, 5, 9, 1, 2, 3]), 1) == [4]


def test_of_equal_ones_the_latest_wins() -> None:
    """What was said last is likelier to go on."""
    assert guess(NgramIndex([2, 3, 4, 7, 2, 3, 5, 8, 2, 3]), 1) == [5]


def test_one_token_is_no_likeness() -> None:
    """Nor is nothing."""
    assert guess(NgramIndex([1, 2, 3, 1]), 4) == []
    assert guess(NgramIndex([1]), 4) == []
    assert guess(NgramIndex(), 4) == []


def test_a_repetition_is_foreseen_up_to_its_end() -> None:
    """What is guessed ends where the text does."""
    assert guess(NgramIndex([7, 7, 7]), 4) == [7]
    assert guess(NgramIndex([1, 2, 1, 2]), 4) == [1, 2]


def test_as_comparing_everything_with_everything() -> None:
    """Token by token, over texts with few words."""
    chance = random.Random(1)
    for _ in range(30):
        tokens, lookup = [], NgramIndex()
        for _ in range(24):  # so few that no pair is seen more often than is looked at
            tokens.append(chance.randrange(5))
            lookup.extend(tokens[-1:])
            assert len(lookup) == len(tokens)
            pair = tokens[-2:]
            if sum(tokens[n : n + 2] == pair for n in range(len(tokens) - 1)) <= 8:
                assert guess(lookup, 3) == slowly(tokens, 3)
