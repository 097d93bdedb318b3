"""How prompts share a step: little padding, no stall, nobody left standing."""

from __future__ import annotations

import random

import pytest

from src.engine.admission import chunk, fits_prefill

BUDGET = 512


@pytest.mark.parametrize(
    ("lefts", "size"),
    [
        ([], BUDGET),
        ([4000], BUDGET),  # alone: all of it
        ([75] * 6, 75),  # alike: no padding
        ([10, 4000], 128),  # a short one costs a long one some of its chunk, not all
        ([300, 4000], 256),  # half each
        ([3, 5, 9], 9),  # what is short altogether is done at once
    ],
)
def test_a_chunk_is_as_long_as_is_worth_it(lefts: list[int], size: int) -> None:
    assert chunk(lefts, BUDGET) == size


@pytest.mark.parametrize(
    ("in_prefill", "new", "fits"),
    [
        ([], 10_000, True),  # alone it always does
        ([65] * 7, 65, True),
        ([66] * 7, 66, False),  # eight of 65 tokens are more than a step's
        ([4000], 20, True),  # a short prompt does not wait for a long one
        ([4000], 1500, True),
        ([4000], 2500, False),  # two long ones are done sooner one after the other
        ([4000, 20, 20, 20], 20, False),
        ([11] * 31, 11, True),  # 32 prompts whose beginning is known join in one step
        ([4000] * 4, 1, True),  # all known: nothing to compute but the answer's first token
    ],
)
def test_who_may_join_a_chunk(in_prefill: list[int], new: int, fits: bool) -> None:
    assert fits_prefill(in_prefill, new, BUDGET) is fits


@pytest.mark.parametrize("seed", range(20))
def test_a_step_stays_within_its_budget(seed: int) -> None:
    """Whoever was let in: rows × chunk is at most the budget, and every row gets on."""
    chance, lefts = random.Random(seed), list[int]()
    for _ in range(200):
        new = chance.choice([1, 5, 30, 75, 400, 4000])
        if fits_prefill(lefts, new, BUDGET):
            lefts.append(new)
        rows = [left - 1 for left in lefts if left > 1]
        size = chunk(rows, BUDGET)
        assert size >= 1
        assert len(rows) * size <= BUDGET
        lefts = [left - min(left - 1, size) for left in lefts]
        lefts = [left for left in lefts if left > 1]
