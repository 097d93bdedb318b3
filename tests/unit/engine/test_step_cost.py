"""The cost of a step's prompts: found from chunks of all sizes, robust, and never a spiral of ever smaller chunks."""

from __future__ import annotations

import random

import pytest

from src.engine.step_cost import Chunk, Cost, StepCost, fit

TRUE = Cost(fixed=0.030, token=0.0008, context=0.0004)


def measured(cost: StepCost, sizes: list[tuple[int, int]], noise: float = 0.0, seed: int = 1) -> StepCost:
    chance = random.Random(seed)
    for tokens, context in sizes:
        cost.add(tokens, context, TRUE.seconds(tokens, context) * (1 + noise * chance.uniform(-1, 1)))
    return cost


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_parts_are_found(noise: float) -> None:
    """From chunks of several sizes and contexts, within what the noise allows."""
    sizes = [(tokens, context) for context in (0, 1000, 4000) for tokens in (8, 60, 128, 300, 512)] * 3
    cost = measured(StepCost(), sizes, noise).cost
    assert cost is not None
    for tokens, context in ((75, 0), (512, 0), (512, 8000), (128, 16000)):
        assert cost.seconds(tokens, context) == pytest.approx(TRUE.seconds(tokens, context), rel=0.02 + 1.5 * noise)


@pytest.mark.parametrize("context", [0, 4000, 16000])
def test_a_chunk_takes_the_pause(context: int) -> None:
    """Behind a long context fewer tokens take as long; a quarter of the step size is no floor."""
    cost = measured(StepCost(), [(tokens, at) for at in (0, 2000, 8000) for tokens in (16, 100, 400)] * 2)
    tokens = cost.tokens(2048, 0.5, context)
    assert TRUE.seconds(tokens, context) == pytest.approx(0.5, rel=0.05)


def test_tiny_prompts_at_the_start_do_not_make_small_chunks() -> None:
    """A warm-up of eight tokens says little of what 512 take: within a few chunks the pause is what they take."""
    cost = measured(StepCost(), [(8, 0)] * 5)
    for _ in range(4):
        measured(cost, [(cost.tokens(2048, 0.5, 0), 0)])
    assert TRUE.seconds(cost.tokens(2048, 0.5, 0), 0) == pytest.approx(0.5, rel=0.15)


def test_chunks_that_a_busy_machine_held_up_count_little() -> None:
    """One in five took ten times as long."""
    cost = StepCost()
    for at in range(45):
        tokens = (40, 128, 300, 512)[at % 4]
        cost.add(tokens, 0, TRUE.seconds(tokens, 0) * (10 if at % 5 == 0 else 1))
    assert cost.tokens(2048, 0.4, 0) == pytest.approx(Cost(0.03, 0.0008, 0.0004).tokens(0.4, 0), rel=0.15)


def test_a_machine_that_became_slower_is_believed() -> None:
    """The window forgets: after a few dozen chunks the old speed is gone."""
    cost = measured(StepCost(), [(tokens, 0) for tokens in (50, 200, 500)] * 10)
    before = cost.tokens(2048, 0.5, 0)
    for _ in range(16):
        for tokens in (50, 200, 500):
            cost.add(tokens, 0, 3 * TRUE.seconds(tokens, 0))
    assert cost.tokens(2048, 0.5, 0) < 0.5 * before


def test_no_fewer_tokens_than_pay() -> None:
    """A pause shorter than a chunk's fixed part: half the chunk's time is tokens all the same."""
    assert Cost(0.2, 0.001, 0.0).tokens(0.1, 0) == 200
    assert Cost(0.0, 0.1, 0.0).tokens(0.1, 0) == 16


def test_unmeasured_or_unbounded_it_is_the_step_size() -> None:
    """Before the first chunk, and with PREFILL_PAUSE=0."""
    assert StepCost().tokens(512, 0.5, 0) == 512
    assert measured(StepCost(), [(512, 0)]).tokens(512, 0.0, 0) == 512


@pytest.mark.parametrize("seed", range(20))
def test_no_part_is_negative(seed: int) -> None:
    """Whatever was measured."""
    chance = random.Random(seed)
    found = fit([Chunk(chance.randint(1, 600), chance.randint(0, 9000), chance.random()) for _ in range(30)])
    assert min(found.fixed, found.token, found.context) >= 0


def test_what_a_step_should_take() -> None:
    """Its prompts and its rows together; a few steps that a busy machine held up change little."""
    cost = measured(StepCost(), [(tokens, 0) for tokens in (64, 256, 512)] * 4)
    for at in range(48):
        rows = (1, 8, 16)[at % 3]
        cost.add_decode(rows, (0.010 + 0.002 * rows) * (20 if at % 9 == 0 else 1))
    assert cost.seconds(16, 0, 0) == pytest.approx(0.042, rel=0.1)
    assert cost.seconds(16, 512, 0) == pytest.approx(0.042 + TRUE.seconds(512, 0), rel=0.1)


@pytest.mark.parametrize(("rows", "tokens", "context"), [(1, 2048, 0), (1, 64, 9000), (8, 0, 0), (8, 64, 0)], ids=str)
def test_nothing_is_expected_of_what_was_never_measured(rows: int, tokens: int, context: int) -> None:
    """A warm-up of eight tokens says nothing of two thousand, nor one row of eight."""
    cost = measured(StepCost(), [(16, 0)] * 4)
    assert cost.seconds(1, 16, 0) is None  # before there were steps enough
    for _ in range(16):
        cost.add_decode(1, 0.01)
    assert cost.seconds(1, 16, 0) is not None
    assert cost.seconds(rows, tokens, context) is None


def test_quick_steps_are_fitted_by_their_time() -> None:
    """A fit costs as much as several of them: the next one comes after a quarter of a second of steps."""
    cost = StepCost()
    for seconds, count in ((0.001, 16), (0.002, 48)):
        for _ in range(count):
            cost.add_decode(1, seconds)
    assert cost.seconds(1, 0, 0) == pytest.approx(0.001, rel=0.01)
    for _ in range(80):
        cost.add_decode(1, 0.002)
    assert cost.seconds(1, 0, 0) == pytest.approx(0.002, rel=0.01)
