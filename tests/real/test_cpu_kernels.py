"""CPU_KERNELS=int8 on a real model: perplexity beside fp32, and the same greedy text alone, in company and resumed."""

from __future__ import annotations

import sys
from typing import Any

import mlx.core as mx
import pytest

from src.engine import loading
from src.engine.mlx.gguf import store
from src.engine.mlx.weights import CpuPolicy, read_model
from src.engine.progress import LoadMeter
from src.ipc.messages.chat import Sampling
from src.settings import Settings
from tests.contract.test_backends import Batch
from tests.real.test_llama_cpp import TEXT, encode

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MLX's own kernels are the right ones there")
PERPLEXITY_SHARE = 0.01
PROMPTS = ("The capital of France is", TEXT, "1 2 3 4")


def perplexity(module: Any, ids: list[int]) -> float:
    logits = module(mx.array([ids[:-1]]))[0]
    scores = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    return float(mx.exp(-mx.take_along_axis(scores, mx.array(ids[1:])[:, None], axis=-1).mean()))


def test_int8_keeps_perplexity_and_greedy_text(settings: Settings) -> None:
    packed = settings.model_copy(update={"cpu_kernels": "int8"})
    backend = loading.load("smollm2.gguf", packed, LoadMeter())
    assert backend.info.dtype == "int8"
    folder = store.located("smollm2.gguf", settings, LoadMeter())
    ids = encode(backend, TEXT)
    wide, narrow = (read_model(folder, CpuPolicy("always", way), LoadMeter())[0] for way in ("fp32", "int8"))
    assert perplexity(narrow, ids) == pytest.approx(perplexity(wide, ids), rel=PERPLEXITY_SHARE)
    greedy = Sampling(temperature=0.0, ignore_eos=True)
    prompts, batch = [encode(backend, text) for text in PROMPTS], Batch(backend)
    alone = [batch.finish(batch.insert(prompt, 24, greedy))[0].tokens for prompt in prompts]
    together = batch.finish(*[batch.insert(prompt, 24, greedy) for prompt in prompts])
    assert [made.tokens for made in together] == alone
    resumed = batch.finish(batch.insert(prompts[1] + alone[1][:10], 14, greedy))[0]
    assert alone[1][:10] + resumed.tokens == alone[1]
    backend.close()
