"""The real model in the engine: the same greedy text however it is computed, and the scores of mlx-lm's own module."""

from __future__ import annotations

import random
import time
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from src.engine import loading
from src.engine.backend import Backend, Token
from src.engine.mlx.gguf import store
from src.engine.mlx.weights import CpuPolicy, read_model
from src.engine.progress import LoadMeter
from src.ipc.messages.chat import Sampling
from src.settings import Settings
from tests.real.test_llama_cpp import PROMPTS, encode

TOKENS, PREDICTED = 16, 48
GREEDY = Sampling(temperature=0.0)


def run(backend: Backend, *inserts: tuple[list[int], Sampling, int]) -> list[list[Token]]:
    """What came out for each prompt; the number is how many of its last tokens are an answer's beginning."""
    made: dict[int, list[Token]] = {
        backend.insert(prompt, TOKENS - prefix, sampling, prefix): [] for prompt, sampling, prefix in inserts
    }
    left = set(made)
    while left:
        for token in backend.step().tokens:
            made[token.uid].append(token)
            left -= {token.uid} if token.finish else set()
    return list(made.values())


def ids(tokens: list[Token]) -> list[int]:
    return [token.token for token in tokens]


@pytest.fixture(scope="module")
def alone(backend: Backend) -> list[int]:
    return ids(run(backend, (encode(backend, PROMPTS[0]), GREEDY, 0))[0])


def test_in_a_batch_of_sixteen(backend: Backend, alone: list[int]) -> None:
    """Among prompts of other lengths."""
    prompts = [encode(backend, PROMPTS[number % len(PROMPTS)] * (1 + number // 6)) for number in range(16)]
    assert ids(run(backend, *((prompt, GREEDY, 0) for prompt in prompts))[0]) == alone


def test_resumed_anywhere(backend: Backend, alone: list[int]) -> None:
    """With the tokens it had as its prefix, as after a crash."""
    prompt = encode(backend, PROMPTS[0])
    for cut in random.Random(3).sample(range(1, len(alone)), 3):
        assert alone[:cut] + ids(run(backend, ([*prompt, *alone[:cut]], GREEDY, cut))[0]) == alone


def test_after_the_host_and_with_an_empty_prefix_cache(backend: Backend, alone: list[int]) -> None:
    """The weights are read again; nothing is left of the prompts before."""
    backend.to_host()
    backend.to_device()
    prompt = encode(backend, PROMPTS[0])
    assert not backend.cached_prefix_length(prompt, "")
    assert ids(run(backend, (prompt, GREEDY, 0))[0]) == alone
    assert ids(run(backend, (prompt, GREEDY, 0))[0]) == alone


def test_a_prediction_gives_the_same_text_in_fewer_steps(settings: Settings) -> None:
    """The answer itself is predicted, as an editor does for a file of which little changes."""
    drafting = settings.model_copy(update={"speculative_method": "ngram", "prefix_cache_mb": 0})
    backend = loading.load("smollm2.gguf", drafting, LoadMeter())
    prompt, answer, told = encode(backend, PROMPTS[0]), list[int](), list[tuple[int, float]]()
    for _ in range(2):
        backend.insert(prompt, PREDICTED, GREEDY, prediction=answer)
        made, steps, began = list[Token](), 0, 0.0
        while not made or not made[-1].finish:
            made += backend.step().tokens
            steps, began = steps + bool(made), began or (time.perf_counter() if made else 0.0)
        told.append((steps, time.perf_counter() - began))
        assert answer in ([], ids(made))
        answer = ids(made)
    (plain, plain_s), (predicted, predicted_s) = told
    print(f"{len(answer)} tokens: {plain} steps, {plain_s:.2f} s; predicted {predicted} steps, {predicted_s:.2f} s")
    assert predicted < plain
    backend.close()


def test_log_probabilities_and_penalties_are_those_of_the_module(backend: Backend, settings: Settings) -> None:
    """Computed here from mlx-lm's logits, with the engine's kernels: softmax, the likeliest token after a penalty."""
    folder, policy = store.located("smollm2.gguf", settings, LoadMeter()), CpuPolicy("auto", settings.cpu_kernels)
    module, _ = read_model(folder, policy, LoadMeter())
    prompt = encode(backend, PROMPTS[1])
    first = run(backend, (prompt, Sampling(temperature=0.0, logprobs=3), 0))[0][0]
    scores = _scores(module, prompt)
    assert first.logprob is not None
    assert first.token == int(scores.argmax())
    assert first.logprob.chosen.logprob == pytest.approx(float(scores.max()), abs=1e-3)
    penal = Sampling(temperature=0.0, presence_penalty=2.0)
    second = run(backend, (prompt, penal, 0))[0][1]
    penalised = _scores(module, [*prompt, first.token])
    penalised[first.token] -= 2.0
    assert second.token == int(penalised.argmax())


def _scores(module: Any, tokens: list[int]) -> Any:
    logits = module(mx.array([tokens]))[0, -1].astype(mx.float32)
    return np.array(logits - mx.logsumexp(logits))
