"""The engine mlx and llama.cpp on the same GGUF file: token ids, greedy text, perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import pytest

from src.engine import loading
from src.engine.backend import Backend
from src.engine.mlx.gguf import store
from src.engine.mlx.weights import CpuPolicy, read_model
from src.engine.progress import LoadMeter
from src.ipc.messages.chat import Sampling
from src.settings import Settings
from tests.real.conftest import Ask
from tests.real.texts import texts

PROMPTS = (
    "The capital of France is",
    "Water boils at a temperature of",
    "def fibonacci(n):\n",
    "The three primary colours are",
    "Once upon a time, there was a",
    "1, 2, 3, 4,",
)
NEAR_TIE = 0.5  # log-probability: llama.cpp rounds activations to eight bits, this engine does not
TEXT = (
    "A supervisor starts the processes of the service, watches them and restarts what has failed. The web server takes "
    "requests, checks them and sends them to the engine, which computes many of them together. When the engine dies, "
    "its requests go on in the next one, where they stopped. Nothing is lost, and the client sees a short pause."
)
PERPLEXITY_SHARE = 0.01


def encode(backend: Backend, text: str) -> list[int]:
    wrapped: Any = backend.tokenizer
    return list(wrapped._wrapped.encode(text, add_special_tokens=False))


def greedy(backend: Backend, prompt: list[int], count: int) -> list[int]:
    uid, made = backend.insert(prompt, count, Sampling(temperature=0.0)), list[int]()
    while True:
        for token in backend.step().tokens:
            assert token.uid == uid
            made.append(token.token)
            if token.finish:
                return made


def test_500_texts_have_the_same_token_ids(backend: Backend, llama: Ask) -> None:
    """Marks of a conversation are one token each, also inside a text."""
    different = []
    for text in texts():
        theirs = llama("/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"]
        if encode(backend, text) != theirs:
            different.append(text)
    assert different == []


@pytest.fixture(scope="module")
def exact(settings: Settings) -> Iterator[Backend]:
    """The engine in fp32, whatever `CPU_KERNELS=auto` chooses here."""
    loaded = loading.load("smollm2.gguf", settings.model_copy(update={"cpu_kernels": "fp32"}), LoadMeter())
    yield loaded
    loaded.close()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_text_is_the_same_up_to_a_near_tie(prompt: str, exact: Backend, llama: Ask) -> None:
    """Where they part, both tokens were about as likely to llama.cpp."""
    ids = encode(exact, prompt)
    body = {"prompt": ids, "n_predict": 24, "temperature": 0, "n_probs": 8, "cache_prompt": False}
    theirs = llama("/completion", body)["completion_probabilities"]
    ours = greedy(exact, ids, 24)
    for mine, step in zip(ours, theirs, strict=False):
        if mine != step["id"]:
            likely = {one["id"]: one["logprob"] for one in step["top_logprobs"]}
            assert likely[step["id"]] - likely.get(mine, -math.inf) < NEAR_TIE
            return


def test_perplexity_is_the_same(backend: Backend, settings: Settings, llama: Ask) -> None:
    """On a text of the suite's own, token by token, within a hundredth."""
    ids = encode(backend, TEXT)
    module, _ = read_model(
        store.located("smollm2.gguf", settings, LoadMeter()), CpuPolicy("always", "auto"), LoadMeter()
    )
    logits = module(mx.array([ids]))
    scores = logits[0] - mx.logsumexp(logits[0], axis=-1, keepdims=True)
    ours, theirs = [], []
    for at in range(1, len(ids)):
        body = {"prompt": ids[:at], "n_predict": 1, "temperature": 0, "n_probs": 2000, "cache_prompt": True}
        top = llama("/completion", body)["completion_probabilities"][0]["top_logprobs"]
        found = next((one["logprob"] for one in top if one["id"] == ids[at]), None)
        if found is not None:  # rarer than the 2,000 likeliest: left out of both
            theirs.append(found)
            ours.append(float(scores[at - 1, ids[at]].item()))
    perplexities = [math.exp(-sum(part) / len(part)) for part in (ours, theirs)]
    print(f"perplexity: {perplexities[0]:.4f} here, {perplexities[1]:.4f} in llama.cpp, {len(ours)} tokens")
    assert len(ours) > 0.9 * (len(ids) - 1)
    assert abs(perplexities[0] / perplexities[1] - 1) < PERPLEXITY_SHARE
