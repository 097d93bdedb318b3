"""The demo model's training data: what is kept back is never taught; a longer list moves nothing across the split."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from training.demo import phrases
from training.demo.dialogues import LANGUAGES, SEED, normal, training
from training.demo.facts import TOPICS

KEPT_BACK = ("validation", "held_out")


def test_a_longer_list_moves_nothing_across_the_split() -> None:
    """Wordings can be added while the held-out ones stay unseen."""
    items = [f"wording {number}" for number in range(40)]
    for split in ("train", *KEPT_BACK):
        before = phrases.split_of(items, split, 1, "key")
        after = phrases.split_of([*items, "one more", "and another"], split, 1, "key")
        assert [item for item in after if item in items] == before


@pytest.mark.parametrize("topic", [topic.id for topic in TOPICS])
def test_a_topic_is_taught_and_judged_in_both_languages(topic: str) -> None:
    """Every topic has patterns to learn and patterns held out."""
    for language in LANGUAGES:
        taught = phrases.patterns(topic, language, "train", SEED)
        judged = phrases.patterns(topic, language, "held_out", SEED)
        assert sum(map(len, taught.values())) >= 8
        assert sum(map(len, judged.values())) >= 1


def test_no_phrase_that_is_kept_back_is_trained_on() -> None:
    """Two patterns may stand for the same text: it is then not taught."""
    kept_back = {
        normal(text)
        for topic, language, split in itertools.product(TOPICS, LANGUAGES, KEPT_BACK)
        for pattern in phrases.patterns(topic.id, language, split, SEED).get("ask", ())
        for text in phrases.expand(pattern)
    }
    taught = {normal(turn.question) for each in itertools.islice(training(), 3000) for turn in each.turns}
    assert len(kept_back) > 1000
    assert not taught & kept_back


def test_the_same_seed_gives_the_same_dialogues() -> None:
    """Data and order come from the seed alone."""
    first, second = (list(itertools.islice(training(SEED), 300)) for _ in range(2))
    assert first == second
    assert first != list(itertools.islice(training(SEED + 1), 300))


def test_the_quick_swiglu_is_the_usual_one() -> None:
    """Values and gradients of training differ from the model's own by less than a float16 weight can tell."""
    from src.gpu import blas

    blas.preload()  # before anything imports MLX
    import mlx.core as mx
    from mlx import nn

    from training.demo.swiglu import swiglu

    gate, x = mx.random.normal((64, 96)) * 4, mx.random.normal((64, 96))

    def quick(gate: mx.array, x: mx.array) -> Any:
        return (swiglu(gate, x) * x).sum()

    def usual(gate: mx.array, x: mx.array) -> Any:
        return (nn.silu(gate) * x * x).sum()

    assert mx.allclose(swiglu(gate, x), nn.silu(gate) * x, atol=5e-4)
    found: Any = mx.grad(quick, (0, 1))(gate, x)
    expected: Any = mx.grad(usual, (0, 1))(gate, x)
    for number in (0, 1):
        assert mx.allclose(found[number], expected[number], atol=2e-3)
