"""Sampling through the mlx engine, token by token: seeds, resumes, biases, log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from src.engine.backend import Backend
from src.ipc.messages.chat import GenerateRequest, Sampling
from tests.contract.test_backends import GREEDY, TEXTS, Batch, Made, load, prompt

SEEDED = Sampling(temperature=1.0, top_p=0.95, frequency_penalty=0.5, repetition_penalty=1.1, seed=7)
LENGTH = 16


@pytest.fixture(scope="module")
def backend(random_model: Any) -> Iterator[Backend]:
    backend = load(str(random_model))
    yield backend
    backend.close()


def sample(backend: Backend, text: str, sampling: Sampling, *, prefix: list[int] | None = None) -> list[int]:
    """What comes for a text when nothing else runs, after the tokens of `prefix`."""
    batch, before = Batch(backend), prefix or []
    uid = backend.insert([*prompt(backend, text), *before], LENGTH - len(before), sampling, len(before))
    batch.made[uid] = made = Made()
    batch.finish(uid)
    return [*before, *made.tokens]


def test_a_seed_gives_the_same_text_in_any_company(backend: Backend) -> None:
    """Neighbours, whatever their sampling, do not change what a seed gives; another seed does."""
    alone = sample(backend, TEXTS[0], SEEDED)
    batch = Batch(backend)
    others = [GREEDY, Sampling(temperature=0.7, seed=1), Sampling(top_k=5, seed=2), Sampling(logprobs=3, seed=3)]
    uids = [batch.insert(prompt(backend, text), LENGTH, s) for text, s in zip(TEXTS[1:], others, strict=False)]
    batch.step()
    uids.append(batch.insert(prompt(backend, TEXTS[0]), LENGTH, SEEDED))
    assert batch.finish(*uids)[-1].tokens == alone
    other = Sampling(temperature=1.0, top_p=0.95, frequency_penalty=0.5, repetition_penalty=1.1, seed=8)
    assert sample(backend, TEXTS[0], other) != alone


@pytest.mark.parametrize("cut", [1, 2, 7, LENGTH - 1])
@pytest.mark.parametrize("sampling", [GREEDY, SEEDED, Sampling(temperature=0.8, seed=5, presence_penalty=1.0)])
def test_an_answer_goes_on_where_it_was_cut(cut: int, sampling: Sampling, backend: Backend) -> None:
    """Put back with its first tokens, an answer goes on with the same ones: penalties and chance are replayed."""
    whole = sample(backend, TEXTS[2], sampling)
    assert sample(backend, TEXTS[2], sampling, prefix=whole[:cut]) == whole


def test_a_bias_decides(backend: Backend) -> None:
    """+100 makes a token the only one, −100 keeps it out."""
    greedy = sample(backend, TEXTS[0], GREEDY)
    assert set(sample(backend, TEXTS[0], Sampling(temperature=0.0, logit_bias={17: 100.0}))) == {17}
    assert greedy[0] not in sample(backend, TEXTS[0], Sampling(temperature=0.0, logit_bias={greedy[0]: -100.0}))


def test_log_probabilities(backend: Backend) -> None:
    """They are those of the token that came, the likeliest come first, and only rows that asked have them."""
    batch = Batch(backend)
    quiet = batch.insert(prompt(backend, TEXTS[1]), 5)
    asked = batch.insert(prompt(backend, TEXTS[0]), 5, Sampling(temperature=0.0, logprobs=4))
    bare = batch.insert(prompt(backend, TEXTS[0]), 5, Sampling(temperature=0.0, logprobs=0))
    found = []
    while not all(batch.made[uid].finish for uid in (quiet, asked, bare)):
        for token in batch.step().tokens:
            assert (token.logprob is None) == (token.uid == quiet)
            if token.uid == asked and token.logprob is not None:
                found.append(token.logprob)
            elif token.logprob is not None:
                assert token.logprob.top == ()
    for score, token_id in zip(found, batch.made[asked].tokens, strict=True):
        assert score.chosen.token == token_id == score.top[0].token  # greedy: the best one came
        assert [one.logprob for one in score.top] == sorted((one.logprob for one in score.top), reverse=True)
        assert len(score.top) == 4
        assert sum(math.exp(one.logprob) for one in score.top) <= 1.0
    text = b"".join(score.chosen.text for score in found).decode(errors="replace")
    detokenizer = backend.tokenizer.detokenizer()
    shown = "".join(detokenizer.add(token) for token in batch.made[asked].tokens) + detokenizer.flush()
    assert text.startswith(shown)


def test_log_probabilities_are_the_models_whatever_the_form(backend: Backend) -> None:
    """Those of an answer that has a form are what they are alone, beside one that has none."""
    schema = '{"type": "object", "properties": {"a": {"enum": ["one", "two"]}}, "required": ["a"]}'
    grammar = backend.tokenizer.grammar(GenerateRequest("form", "m", (), json_schema=schema))

    def scores(beside: int) -> list[float]:
        batch = Batch(backend)
        others = [batch.insert(prompt(backend, TEXTS[n]), LENGTH) for n in range(beside)]
        uid = backend.insert(prompt(backend, TEXTS[3]), LENGTH, Sampling(temperature=0.0, logprobs=2), grammar=grammar)
        batch.made[uid], found = Made(), []
        while not all(batch.made[each].finish for each in (uid, *others)):
            found += [token.logprob for token in batch.step().tokens if token.logprob is not None]
        return [one.logprob for score in found for one in (score.chosen, *score.top)]

    alone = scores(0)
    assert min(alone) < -1.0  # the model would have said something else
    assert scores(2) == pytest.approx(alone, abs=1e-3)


def test_ignore_eos(backend: Backend) -> None:
    """An answer that ignores the end mark takes all it may, and never has one."""
    ends = list(backend.tokenizer._wrapped.eos_token_ids)  # type: ignore[attr-defined]  # only tests ask for it
    wish = dict.fromkeys(ends, 100.0)
    assert len(sample(backend, TEXTS[0], Sampling(temperature=0.0, logit_bias=wish))) == 1
    tokens = sample(backend, TEXTS[0], Sampling(temperature=0.0, logit_bias=wish, ignore_eos=True))
    assert len(tokens) == LENGTH
    assert not set(ends) & set(tokens)
