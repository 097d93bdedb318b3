"""How far to guess: what it brings against what it costs."""

from __future__ import annotations

import pytest

from src.engine.mlx.speculation.depth import Costs, Rate, expected, speculation_depth

# a step's time lies in reading the weights
READING = Costs(1.0, 0.001)
# a step's time lies in computing its tokens
COMPUTING = Costs(0.1, 1.0)


def test_guesses_that_cost_nothing_are_made() -> None:
    """All that there are, unless next to none is right."""
    assert speculation_depth(1, [(4, 0.2)], Costs(1.0, 0.0)) == 4
    assert speculation_depth(1, [(4, 0.1)], Costs(1.0, 0.0)) == 0


def test_without_guesses_there_is_nothing_to_decide() -> None:
    """Rows that could not guess at all, or no rows that may."""
    assert speculation_depth(3, [], READING) == speculation_depth(3, [(0, 0.9)], READING) == 0


def test_where_computing_is_dear_nobody_guesses() -> None:
    """Even with luck a guess costs as much as it brings."""
    assert speculation_depth(1, [(4, 0.8)], COMPUTING) == 0


def test_a_good_row_guesses_further_than_a_bad_one() -> None:
    """Each further guess is right only if those before are."""
    costs = Costs(1.0, 0.1)
    assert (
        speculation_depth(1, [(8, 0.9)], costs)
        > speculation_depth(1, [(8, 0.5)], costs)
        > speculation_depth(1, [(8, 0.05)], costs)
        == 0
    )


def test_one_row_does_not_make_all_pay() -> None:
    """Alone it guesses; among 31 that have nothing to guess, all would be computed as wide."""
    costs = Costs(1.0, 0.05)
    assert speculation_depth(1, [(4, 0.8)], costs) == 4
    assert speculation_depth(32, [(4, 0.8)], costs) == 0


def test_a_draft_model_has_its_price() -> None:
    """What makes the guesses counts."""
    assert speculation_depth(1, [(4, 0.7)], Costs(1.0, 0.01, guess_s=0.05)) == 4
    assert speculation_depth(1, [(4, 0.7)], Costs(1.0, 0.01, guess_s=0.9)) == 0


def test_the_price_of_a_step() -> None:
    """Each row is computed as wide as the widest."""
    assert Costs(1.0, 0.1).of(4, 2) == pytest.approx(1.0 + 4 * 3 * 0.1)
    assert Costs(1.0, 0.1, 0.2, 0.03).of(4, 2) == pytest.approx(1.0 + 4 * 3 * 0.1 + 2 * (0.2 + 4 * 0.03))


def test_expected() -> None:
    """Half, a quarter, an eighth."""
    assert expected(0.5, 3) == pytest.approx(0.875)
    assert expected(0.5, 0) == 0


def test_a_rate_follows_what_happens_and_forgets() -> None:
    """It begins with hope, learns what came of it, and hopes again when nothing was tried for long."""
    rate = Rate()
    hope = rate.value
    rate.add(4, 1)  # of these four two were tried
    assert 0.5 < rate.value < hope
    for _ in range(20):
        rate.add(4, 0)
    assert rate.value < 0.1
    rate.add(4, 4)
    assert rate.value < 0.4
    for _ in range(120):
        rate.add(0, 0)
    assert rate.value == pytest.approx(hope, abs=0.05)
    for _ in range(10):
        rate.add(4, 4)
    assert rate.value > 0.95
