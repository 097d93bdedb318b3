"""Keys and values in 8 and 4 bits, over models of every kind of layer: the same text in any company, less memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

import mlx.core as mx  # noqa: E402
from loguru import logger  # noqa: E402
from mlx_lm.models import cache as lm  # noqa: E402
from mlx_lm.models import deepseek_v3, gpt_oss  # noqa: E402

from src.engine import loading  # noqa: E402
from src.engine.mlx.kv import KvCost, leaves, measure  # noqa: E402
from src.engine.mlx.lm import LmBackend  # noqa: E402
from src.engine.mlx.packed import Packing, pack  # noqa: E402
from src.engine.mlx.sampling import SamplingRow  # noqa: E402
from src.engine.progress import LoadMeter  # noqa: E402
from src.errors import ModelLoadFailed  # noqa: E402
from src.ipc.messages.chat import Sampling  # noqa: E402
from src.settings import Settings  # noqa: E402
from tests.contract import test_prefix as plain  # noqa: E402
from tests.contract.test_prefix import KINDS, SYSTEM, Engine, alone, speaking, tokens  # noqa: E402

SIZES: dict[str, Any] = {"hidden_size": 128, "head_dim": 64, "intermediate_size": 96, "block_dim": 128}
GREEDY = Sampling(temperature=0.0)


def packed(make: Callable[..., Any], bits: int, **sizes: Any) -> Any:
    model = speaking(partial(make, **{**SIZES, **sizes}))
    assert pack(model, Packing(bits, 64)) is not None
    return model


@pytest.fixture(scope="module", params=KINDS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module", params=[8, 4])
def model(make: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    return packed(make, request.param)


def test_text_is_the_same_in_any_company(model: Any) -> None:
    """Rows that join, stay and leave, with prompts of any length, get what each gets alone."""
    prompts = [tokens(length, length) for length in (75, 3, 40, 130, 1)]
    expected = alone(model, *prompts)
    engine = Engine(model, limit=0)
    leaves_early = engine.rows.add(tokens(50, 9), 100, SamplingRow(50), "")
    for _ in range(4):
        engine.rows.next()
    late = engine.rows.add(prompts[0], plain.LENGTH, SamplingRow(75), "")
    made = [reply.token for _ in range(3) for reply in engine.rows.next()[1] if reply.uid == late]
    engine.rows.drop([leaves_early])
    running = {engine.rows.add(prompt, plain.LENGTH, SamplingRow(len(prompt)), ""): prompt for prompt in prompts[1:]}
    answers: dict[int, list[int]] = {uid: [] for uid in running} | {late: made}
    ended: set[int] = set()
    while len(ended) < len(answers):
        for reply in engine.rows.next()[1]:
            answers[reply.uid].append(reply.token)
            ended |= {reply.uid} if reply.finish_reason else set()
    assert [answers[late], *(answers[uid] for uid in running)] == expected


def test_text_is_the_same_with_a_prefix_cache(model: Any) -> None:
    """What is kept is what was packed: nothing is packed a second time."""
    engine = Engine(model)
    prompts = [SYSTEM + tokens(20 + n, n) for n in range(4)]
    expected = alone(model, *prompts)
    assert [engine.answers(prompt)[0] for prompt in prompts] == expected
    assert engine.answers(*prompts) == expected
    assert engine.saved > 4 * len(SYSTEM)


@pytest.mark.parametrize("bits", [8, 4])
def test_text_does_not_depend_on_chunks(bits: int) -> None:
    """A chunk of a prompt sees its own keys as those after it will see them."""
    model = packed(plain.every_token, bits)
    prompt = tokens(200, 1)
    answers = [Engine(model, limit=0, chunk=chunk).answers(prompt) for chunk in (2, 16, 512)]
    assert answers[0] == answers[1] == answers[2]


def test_logits_are_close(make: Callable[..., Any]) -> None:
    """The share of the logits' spread by which they differ. Measured: 0.002-0.026 in 8 bits, 0.04-0.4 in 4."""
    prompt = mx.array([tokens(60, 1)])
    full = speaking(partial(make, **SIZES))(prompt)
    far = {}
    for bits in (8, 4):
        model = packed(make, bits)
        own = model(prompt, cache=lm.make_prompt_cache(model))
        far[bits] = float(mx.sqrt(mx.mean((own - full) ** 2)) / mx.std(full))
    assert 0 < far[8] < 0.05
    assert far[8] < far[4] < 0.5


@pytest.mark.parametrize(
    ("make", "layers", "states"),
    [(plain.every_token, 4, 0), (plain.windows, 2, 2 * 2 * 64 * 4 * 24)],
    ids=["every_token", "windows"],
)
def test_a_token_takes_what_its_bits_do(make: Callable[..., Any], layers: int, states: int) -> None:
    """Words, and a scale and a bias per group in the model's own precision. Windows stay as they are."""
    for bits in (8, 4):
        model = packed(make, bits)
        assert measure(model) == KvCost(layers * 2 * (64 * bits // 8 + 2 * 4), states)
    model = speaking(partial(make, **SIZES))
    model.set_dtype(mx.float16)
    pack(model, Packing(4, 64))
    assert measure(model).token_bytes == layers * 2 * (64 * 4 // 8 + 2 * 2)


def test_what_runs_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a batch holds by its own count and by MLX's is as much less as the bits say."""
    monkeypatch.setattr(lm.KVCache, "step", 16)
    monkeypatch.setattr(lm.BatchKVCache, "step", 16)
    held = []
    for bits in (None, 8, 4):
        model = packed(plain.every_token, bits) if bits else speaking(partial(plain.every_token, **SIZES))
        engine = Engine(model, limit=0, chunk=512)
        gc.collect()  # what other tests have left
        before = mx.get_active_memory()
        for seed in range(3):
            engine.rows.add(tokens(1000, seed), 50, SamplingRow(1000), "")
        for _ in range(6):
            engine.rows.next()
        mx.synchronize(engine.rows.stream)
        held.append((engine.rows.kv_bytes, mx.get_active_memory() - before))
    for counted, active in held:
        assert counted <= active <= 1.1 * counted
    assert [held[0][0] / counted for counted, _ in held[1:]] == pytest.approx([64 / 18, 64 / 10], rel=0.02)


def test_a_long_answer_leaves_nothing_behind() -> None:
    """Beside keys and values nothing grows with an answer's length."""
    engine = Engine(packed(plain.every_token, 4), limit=0)
    engine.rows.add(SYSTEM, 300, SamplingRow(len(SYSTEM)), "")
    beside = []
    for _ in range(150):
        engine.rows.next()
        mx.synchronize(engine.rows.stream)
        beside.append(mx.get_active_memory() - engine.rows.kv_bytes)
    assert abs(beside[140] - beside[20]) < 120 * 8  # MLX's thread may not have let go of some bytes yet


# ---- models it cannot be done for


def sinks(**sizes: Any) -> Any:
    """Attention sinks (GPT-OSS)."""
    own = {"model_type": "gpt_oss", "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 24}
    return gpt_oss.Model(gpt_oss.ModelArgs.from_dict({**plain._COMMON, **own, **sizes}))


def latent(**sizes: Any) -> Any:
    """Latent attention (DeepSeek)."""
    own = {
        "model_type": "deepseek_v3",
        "num_key_value_heads": 2,
        "q_lora_rank": None,
        "kv_lora_rank": 64,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 32,
        "v_head_dim": 32,
        "n_routed_experts": None,
        "first_k_dense_replace": 99,
    }
    return deepseek_v3.Model(deepseek_v3.ModelArgs.from_dict({**plain._COMMON, **own, **sizes}))


@pytest.mark.parametrize(
    ("make", "sizes", "reason"),
    [
        (sinks, SIZES, "attention sinks"),
        (latent, SIZES, "tuple"),
        (plain.every_token, {"head_dim": 80}, "divisible by the quantization group size 64"),
    ],
    ids=["sinks", "latent", "head of 80"],
)
def test_a_model_that_cannot_is_served_as_it_is(make: Callable[..., Any], sizes: Any, reason: str) -> None:
    """Its keys and values stay as they are, at their true cost, and the log says why."""
    model = speaking(partial(make, **sizes))
    cost = measure(model)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    try:
        assert pack(model, Packing(8, 64)) is None
    finally:
        logger.remove(sink)
    assert reason in "".join(lines)
    assert measure(model) == cost
    assert alone(model, SYSTEM) == [Engine(model).answers(SYSTEM)[0]]


# ---- with the engine


def engine(model: Path, bits: str, **changes: Any) -> LmBackend:
    settings = Settings(_env_file=None, inference_engine="mlx", kv_bits=bits, kv_group_size="32", **changes)
    backend = loading.load(str(model), settings, LoadMeter())
    assert isinstance(backend, LmBackend)
    return backend


def answer(backend: LmBackend, prompt: list[int], count: int, prefix: int = 0) -> list[int]:
    backend.insert(prompt, count, GREEDY, prefix)
    made: list[int] = []
    while len(made) < count:
        made += [token.token for token in backend.step().tokens]
    return made


def test_admission_and_context_know_the_true_cost(random_model: Path) -> None:
    """Bytes a token, room for requests, and the context that memory holds: all by what a token takes now."""
    small = {"memory_budget_mb": 1, "prefix_cache_mb": 0}
    full, half = engine(random_model, "off", **small), engine(random_model, "4", **small)
    assert full.info.kv_bytes_per_token == full.kv_room.token_bytes == 2 * 2 * 32 * 4
    assert half.info.kv_bytes_per_token == half.kv_room.token_bytes == 2 * 2 * (16 + 8)
    assert half.info.context_length > full.info.context_length


def test_it_stays_so_when_the_model_comes_back(random_model: Path) -> None:
    """A model that left the device and came back makes the same text from as few bytes."""
    backend = engine(random_model, "8")
    prompt = list(range(50, 90))
    before, held = answer(backend, prompt, 8), backend.caches()
    backend.to_host()
    backend.to_device()
    assert answer(backend, prompt, 8) == before
    assert backend.caches() == held
    assert {type(layer) for layer in leaves(lm.make_prompt_cache(backend._resident.rows.model))} == {lm.KVCache}  # type: ignore[attr-defined]


@pytest.mark.parametrize("bits", ["8", "4"])
def test_an_answer_goes_on_in_another_engine(bits: str, random_model: Path) -> None:
    """Put back with what was said so far, it goes on as if nothing had been."""
    prompt = list(range(50, 90))
    whole = answer(engine(random_model, bits), prompt, 16)
    assert answer(engine(random_model, bits), prompt + whole[:7], 9, prefix=7) == whole[7:]


def test_the_start_says_what_packing_does_not_promise(random_model: Path) -> None:
    """One warning, only where keys and values are packed: sampled answers need not survive the engine word for word."""
    said: dict[str, list[str]] = {"off": [], "8": []}
    for bits, lines in said.items():
        sink = logger.add(lines.append, format="{message}", level="WARNING")
        try:
            engine(random_model, bits)
        finally:
            logger.remove(sink)
    assert not any("other words" in line for line in said["off"])
    assert sum("other words" in line for line in said["8"]) == 1


def test_a_model_without_room_for_a_context_is_refused(random_model: Path) -> None:
    """Its weights fit, nothing beside them does: an error with both numbers, not a model whose context is 1."""
    fits = engine(random_model, "off")
    share = ((fits.info.weight_bytes or 0) + 4096) / (fits.device.memory_total_bytes or 1)
    with pytest.raises(ModelLoadFailed, match="its engine may take"):
        engine(random_model, "off", mlx_memory_fraction=share)
