"""Workloads ask for what they say: prompts of the size named, none like another but for what is shared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from src.bench.workloads import Prompts, Workload, workload
from src.engine.tokens import common_prefix

UNIFORM, SHARED, MIXED = Workload(8, 75, 64), Workload(8, 560, 64, shared=512), Workload(16, 200, 64, mixed=True)
TEMPLATE = 11  # tokens the demo's template puts around a question


def prompts(work: Workload, model: Path) -> list[list[int]]:
    """The token ids of a round, as the demo's template puts them together."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    writer = Prompts(model / "tokenizer.json")
    writer.fit(75, 75 + TEMPLATE)
    bodies = writer.bodies(work, "m", at=0)
    turns = ["".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in b["messages"]) for b in bodies]
    return [list(tokenizer.encode(f"{turn}<|im_start|>assistant\n").ids) for turn in turns]


@pytest.mark.parametrize("work", [UNIFORM, SHARED], ids=lambda work: str(work.name))
def test_prompts_have_the_size_they_are_named_for(work: Workload, random_model: Path) -> None:
    for prompt in prompts(work, random_model):
        assert 0.9 * work.prompt <= len(prompt) <= 1.1 * work.prompt + 8


@pytest.mark.parametrize(("work", "least", "most"), [(UNIFORM, 0, 8), (SHARED, 500, 530)])
def test_only_what_is_shared_is_alike(work: Workload, least: int, most: int, random_model: Path) -> None:
    first, second, *_ = prompts(work, random_model)
    assert least <= common_prefix(first, second) <= most


def test_every_server_gets_the_same_sizes(random_model: Path) -> None:
    """A mixed round is the same work for all of them, with other words."""
    texts = Prompts(random_model / "tokenizer.json")
    one, other = texts.bodies(MIXED, "m", at=3), texts.bodies(MIXED, "m", at=3)
    assert [body["max_tokens"] for body in one] == [body["max_tokens"] for body in other]
    assert [body["messages"] for body in one] != [body["messages"] for body in other]


def test_without_a_tokenizer_words_are_fitted_to_what_a_server_counts() -> None:
    """Two tokens a word: half as many words from then on."""
    texts = Prompts()
    assert len(texts.text(100).split()) == 100
    texts.fit(100, 200)
    assert len(texts.text(100).split()) == 50


def test_names() -> None:
    """What the tables call them."""
    made = [workload("uniform", 1, 75, 64), workload("shared", 8, 80, 64), MIXED]
    assert [work.name for work in made] == [
        "1 stream, 75 + 64",
        "8 streams, shared 70-token prefix, warm",
        "16 streams, mixed (20–600 + 16–128)",
    ]


def test_clients_of_a_closed_loop_and_arrivals() -> None:
    """So many prompts of each client; independent arrivals come at the rate, at the same times for every server."""
    closed = workload("closed", 8, 75, 48, turns=4)
    assert (closed.requests, closed.arrivals(0)) == (32, [0.0] * 8)
    assert closed.name == "closed loop, 8 clients, 4 prompts each, 75 + 48"
    assert len(Prompts().bodies(closed, "m", at=0)) == 32
    poisson = replace(workload("poisson", 50, 75, 48, turns=20), rate=2.0)
    times = poisson.arrivals(1)
    assert times == sorted(poisson.arrivals(1))
    assert times != poisson.arrivals(2)
    assert times[-1] == pytest.approx(500, rel=0.15)
    assert poisson.name == "poisson, 2.00 requests/s, 1000 of 75 + 48"
    assert workload("uniform", 8, 75, 48, turns=4).requests == 8
