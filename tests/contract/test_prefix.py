"""The prefix cache over tiny models of every kind of layer: the same text with it and without, and less to compute."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

import mlx.core as mx  # noqa: E402
from mlx.utils import tree_flatten, tree_unflatten  # noqa: E402
from mlx_lm.models import falcon_h1, gemma3_text, lfm2, qwen3, qwen3_next  # noqa: E402
from mlx_lm.models.cache import ChunkedKVCache  # noqa: E402

from src.engine import loading  # noqa: E402
from src.engine.mlx.batch import empty_batch  # noqa: E402
from src.engine.mlx.kv import KvCost, measure  # noqa: E402
from src.engine.mlx.prefix.cache import PrefixCache, layers_reusable  # noqa: E402
from src.engine.mlx.prefix.disk import Disk  # noqa: E402
from src.engine.mlx.rows import RowGenerator  # noqa: E402
from src.engine.mlx.sampling import SamplingRow  # noqa: E402
from src.engine.progress import LoadMeter  # noqa: E402
from src.engine.prompt import make_sequences  # noqa: E402
from src.engine.scheduler import Event, Scheduler  # noqa: E402
from src.ipc.messages.chat import ChatMessage, Choice, Finished, GenerateRequest, Sampling  # noqa: E402
from src.settings import Settings  # noqa: E402

VOCABULARY, LENGTH, CHUNK = 97, 12, 32
LIMIT = 64 << 20
_COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


def every_token(**sizes: Any) -> Any:
    """Attention that keeps every token (Qwen, Llama, Mistral …)."""
    return qwen3.Model(qwen3.ModelArgs.from_dict({**_COMMON, "model_type": "qwen3", **sizes}))


def windows(**sizes: Any) -> Any:
    """Sliding windows between full attention (Gemma, GPT-OSS, Cohere …)."""
    own = {"model_type": "gemma3_text", "sliding_window": 24, "sliding_window_pattern": 2, "query_pre_attn_scalar": 16}
    return gemma3_text.Model(gemma3_text.ModelArgs.from_dict({**_COMMON, **own, **sizes}))


def convolutions(**sizes: Any) -> Any:
    """Short convolutions between full attention (LFM2)."""
    own = {
        "model_type": "lfm2",
        "norm_eps": 1e-6,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 32,
        "block_multiple_of": 16,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": False,
        "full_attn_idxs": [1, 3],
    }
    return lfm2.Model(lfm2.ModelArgs.from_dict({**_COMMON, **own, **sizes}))


def recurrent(**sizes: Any) -> Any:
    """A running state between full attention (Qwen3-Next, Qwen3.5)."""
    own = {
        "model_type": "qwen3_next",
        "linear_num_value_heads": 2,
        "linear_num_key_heads": 1,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_conv_kernel_dim": 4,
        "num_experts": 0,
        "num_experts_per_tok": 0,
        "decoder_sparse_step": 1,
        "shared_expert_intermediate_size": 16,
        "mlp_only_layers": [],
        "moe_intermediate_size": 16,
        "partial_rotary_factor": 0.5,
        "full_attention_interval": 2,
    }
    return qwen3_next.Model(qwen3_next.ModelArgs.from_dict({**_COMMON, **own, **sizes}))


def both_in_one(**sizes: Any) -> Any:
    """A running state and full attention in every layer (Falcon-H1)."""
    own = {
        "model_type": "falcon_h1",
        "mamba_d_ssm": 32,
        "mamba_d_head": 16,
        "mamba_n_heads": 2,
        "mamba_d_state": 8,
        "mamba_chunk_size": 16,
        "mamba_n_groups": 1,
    }
    return falcon_h1.Model(falcon_h1.ModelArgs.from_dict({**_COMMON, **own, **sizes}))


KINDS: list[Callable[..., Any]] = [every_token, windows, convolutions, recurrent, both_in_one]
BY_STATE = KINDS[1:]


def speaking(make: Callable[[], Any]) -> Any:
    """The model with loud random weights in fp32: greedy text that varies, with clear margins."""
    mx.random.seed(3)
    model = make()
    drawn = [
        (
            name,
            mx.random.normal(w.shape) * (1.0 if "embed" in name else 1.6 * w.shape[-1] ** -0.5) if w.ndim == 2 else w,
        )
        for name, w in tree_flatten(model.parameters())
    ]
    model.update(tree_unflatten([(name, w.astype(mx.float32)) for name, w in drawn]))
    mx.eval(model.parameters())
    model.eval()
    return model


@pytest.fixture(scope="module", params=KINDS, ids=lambda make: make.__name__)
def model(request: pytest.FixtureRequest) -> Any:
    return speaking(request.param)


class Engine:
    """A batch with a prefix cache of so many bytes."""

    def __init__(self, model: Any, limit: int = LIMIT, chunk: int = CHUNK, disk: Disk | None = None) -> None:
        self.prefixes = PrefixCache(model, limit, disk)
        options: dict[str, Any] = {"completion_batch_size": 16, "prefill_batch_size": 16, "prefill_step_size": chunk}
        self.rows = RowGenerator(model, self.prefixes, empty_batch(model), **options)

    def answers(self, *prompts: list[int], salt: str = "") -> list[list[int]]:
        """Greedy answers, computed together."""
        made: dict[int, list[int]] = {self.rows.add(p, LENGTH, SamplingRow(len(p)), salt): [] for p in prompts}
        running = set(made)
        while running:
            for reply in self.rows.next()[1]:
                made[reply.uid].append(reply.token)
                if reply.finish_reason:
                    running.remove(reply.uid)
        return list(made.values())

    @property
    def saved(self) -> int:
        reading = self.prefixes.reading()
        assert reading is not None
        return reading.saved_tokens


def tokens(length: int, seed: int) -> list[int]:
    return random.Random(seed).choices(range(VOCABULARY), k=length)


SYSTEM = tokens(75, 0)


def alone(model: Any, *prompts: list[int]) -> list[list[int]]:
    """Answers of an engine that keeps nothing, one at a time."""
    engine = Engine(model, limit=0)
    return [engine.answers(prompt)[0] for prompt in prompts]


def test_the_weights_speak(model: Any) -> None:
    """Otherwise the tests below would compare nothing with nothing."""
    answers = alone(model, *[tokens(40, seed) for seed in range(6)])
    assert len({tuple(answer) for answer in answers}) == 6
    assert sum(len(set(answer)) for answer in answers) > 3 * len(answers)


def test_a_conversation_is_not_computed_again(model: Any) -> None:
    """Each turn begins with all that was said before, and costs its new tokens."""
    engine, said = Engine(model), SYSTEM
    for turn in range(4):
        said = said + tokens(20 + turn, 100 + turn)
        (answer,) = engine.answers(said)
        assert [answer] == alone(model, said)
        said = said + answer
    assert engine.saved >= len(said) - len(answer) - 23


def test_a_shared_beginning_is_not_computed_again(model: Any) -> None:
    """Different questions behind one system prompt: where layers keep a state, from the third on."""
    engine = Engine(model)
    prompts = [SYSTEM + tokens(9 + n, 200 + n) for n in range(5)]
    for prompt, expected in zip(prompts, alone(model, *prompts), strict=True):
        assert engine.answers(prompt) == [expected]
    assert engine.saved >= 3 * len(SYSTEM)


def test_a_batch_of_known_and_unknown_prompts(model: Any) -> None:
    """Prompts with and without a known beginning, of any length, go on together."""
    engine = Engine(model)
    engine.answers(SYSTEM + tokens(30, 1))
    engine.answers(SYSTEM + tokens(3, 2))
    prompts = [SYSTEM + tokens(70, 3), tokens(50, 4), SYSTEM + tokens(1, 5), tokens(5, 6), SYSTEM + tokens(40, 7)]
    assert engine.answers(*prompts) == alone(model, *prompts)
    assert engine.saved >= 3 * len(SYSTEM)


def test_the_same_prompt_again(model: Any) -> None:
    """All but its last token is known."""
    engine = Engine(model)
    (expected,) = alone(model, SYSTEM)
    assert engine.answers(SYSTEM) == engine.answers(SYSTEM) == [expected]
    assert engine.saved == len(SYSTEM) - 1
    assert engine.answers(SYSTEM, SYSTEM, SYSTEM) == [expected] * 3


def test_text_stays_the_same_whatever_is_kept(model: Any) -> None:
    """Random prompts over a few beginnings, a cache that is always too small, and some that leave in the middle."""
    chance, engine = random.Random(5), Engine(model, limit=200_000)
    for round_ in range(5):
        prompts = []
        for n in range(chance.randint(1, 4)):
            beginning = tokens(chance.choice([20, 47, 90]), chance.randint(0, 2))
            prompts.append(beginning[: chance.randint(10, 90)] + tokens(chance.randint(1, 50), 1000 * round_ + n))
        leaves = engine.rows.add(tokens(60, 1) + tokens(9, round_), LENGTH, SamplingRow(69), "")
        for _ in range(chance.randint(0, 6)):
            engine.rows.next()
        engine.rows.drop([leaves])
        assert engine.answers(*prompts) == alone(model, *prompts)
        reading = engine.prefixes.reading()
        assert reading is not None
        assert reading.bytes <= reading.limit_bytes
    assert engine.saved > 0


def test_one_key_gets_nothing_of_anothers(model: Any) -> None:
    """The same prompt under another salt is computed anew."""
    engine = Engine(model)
    engine.answers(SYSTEM, salt="alice")
    engine.answers(SYSTEM, salt="bob")
    assert engine.saved == 0
    engine.answers(SYSTEM, salt="alice")
    assert engine.saved == len(SYSTEM) - 1


def test_what_is_kept_is_all_that_is_held() -> None:
    """No part holds the memory of the whole batch it was cut from: forgetting all frees what was counted."""
    engine = Engine(speaking(every_token), chunk=512)
    engine.answers(*[SYSTEM + tokens(1500, n) for n in range(3)])
    gc.collect()  # what other tests have left
    mx.synchronize(engine.rows.stream)  # no step under way: it would hold arrays of its own
    before, reading = mx.get_active_memory(), engine.prefixes.reading()
    assert reading is not None
    for _ in range(40):
        engine.prefixes.evict()
    # MLX lets an array keep up to 16 KiB more than it needs
    assert reading.bytes <= before - mx.get_active_memory() <= 1.4 * reading.bytes


@pytest.mark.parametrize("make", BY_STATE, ids=lambda make: make.__name__)
def test_where_prompts_part_a_state_is_kept(make: Callable[[], Any]) -> None:
    """The second prompt that parts from a first stops there for a moment; the third begins there."""
    engine = Engine(speaking(make))
    saved = []
    for n in range(3):
        engine.answers([*SYSTEM, n, *tokens(40, n)])
        saved.append(engine.saved)
    assert saved == [0, 0, len(SYSTEM)]


def test_off_keeps_nothing() -> None:
    """A limit of 0 turns it off: nothing is held, nothing is reported."""
    engine = Engine(speaking(every_token), limit=0)
    engine.answers(SYSTEM)
    assert (engine.prefixes.cached_prefix_length("", SYSTEM), engine.prefixes.reading()) == (None, None)


def test_layers_of_another_kind_have_none() -> None:
    """A model whose layers cannot be put into a batch with what they hold is served without (Llama 4's chunks)."""
    assert not layers_reusable([ChunkedKVCache(64)])


@pytest.mark.parametrize(
    ("make", "cost"),
    [
        (every_token, KvCost(4 * 2 * 16 * 4, 0)),  # layers × keys and values × head × fp32
        (windows, KvCost(2 * 2 * 16 * 4, 2 * 2 * 16 * 4 * 24)),
        (convolutions, KvCost(2 * 2 * 16 * 4, 2 * 2 * 32 * 4)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_sequence_takes_is_measured(make: Callable[[], Any], cost: KvCost) -> None:
    """Windows and states cost the same whatever a sequence's length."""
    assert measure(speaking(make)) == cost


# ---- with the scheduler


class Owner:
    """The real scheduler over the real engine, driven turn by turn."""

    def __init__(self, model: Path, **changes: Any) -> None:
        self.settings = Settings(_env_file=None, inference_engine="mlx", max_num_seqs=16, **changes)
        self.backend = loading.load(str(model), self.settings, LoadMeter())
        self.outcomes: list[Finished] = []
        self.scheduler = Scheduler(
            self.backend,
            max_num_seqs=16,
            prefill_step_size=self.settings.prefill_step_size,
            publish=self._publish,
            clock=time.monotonic,
        )

    def _publish(self, events: list[Event]) -> None:
        self.outcomes += [message for _, message in events if isinstance(message, Finished)]

    def answer(self, *requests: GenerateRequest) -> list[Finished]:
        """All at once; their outcomes in the order they came."""
        self.outcomes = []
        for request in requests:
            for sequence in make_sequences(request, self.backend, self.settings, time.monotonic, None):
                self.scheduler.submit(sequence)
        for _ in range(500):
            self.scheduler.run_once()
            if len(self.outcomes) == len(requests):
                return self.outcomes
        raise AssertionError("no end in sight")

    @property
    def computed(self) -> int:
        """Prompt tokens that were not found."""
        prefix = self.scheduler.load().prefix
        assert prefix is not None
        return prefix.tokens - prefix.saved_tokens


def asked(question: str, **fields: Any) -> GenerateRequest:
    turns = (ChatMessage("system", "You answer what you are asked. " * 20), ChatMessage("user", question))
    return GenerateRequest("r", "m", turns, Sampling(temperature=0.0), max_tokens=5, **fields)


def test_a_burst_computes_what_it_shares_once(random_model: Path) -> None:
    """Eight requests at once behind one system prompt: one prompt, and seven questions."""
    owner = Owner(random_model)
    outcomes = owner.answer(*[asked(f"What is {n}?") for n in range(8)])
    size = outcomes[0].usage.prompt_tokens
    assert size > 100
    assert owner.computed < size + 7 * 20
    assert sorted(outcome.usage.cached_tokens > size - 20 for outcome in outcomes) == [False] + [True] * 7


@pytest.mark.parametrize("n", [2, 6])
def test_choices_compute_their_prompt_once(n: int, random_model: Path) -> None:
    """One prompt, and its last token for each other choice; nothing of it counts as cached."""
    owner = Owner(random_model)
    (outcome,) = owner.answer(asked("Why?", choices=tuple(Choice(index) for index in range(n))))
    assert owner.computed == outcome.usage.prompt_tokens + n - 1
    assert (outcome.usage.completion_tokens, outcome.usage.cached_tokens) == (5 * n, 0)


def test_memory_that_is_short_gets_some_back(random_model: Path) -> None:
    """The guard's trim takes from the prefix cache, and the next request is answered all the same."""
    owner = Owner(random_model)
    owner.answer(asked("One?"), asked("Two?"))
    full = owner.scheduler.load().prefix
    owner.backend.trim()
    less = owner.scheduler.load().prefix
    assert full is not None
    assert less is not None
    assert less.bytes <= full.bytes // 2
    assert owner.answer(asked("One?"))[0].usage.completion_tokens == 5


def test_what_runs_is_counted_until_it_ends(random_model: Path) -> None:
    """The bytes of keys and values are those of running sequences: none are left when they are, however they ended."""
    owner = Owner(random_model)
    backend = owner.backend
    uids = [backend.insert(list(range(1, 40 + n)), 50, Sampling(temperature=0.0)) for n in range(2)]
    for _ in range(6):
        backend.step()
    reading = backend.caches()[0]
    assert reading is not None
    assert reading.bytes > 0
    assert reading.limit_bytes is not None
    backend.remove(uids)
    after = backend.caches()[0]
    assert after is not None
    assert after.bytes == 0


def test_off_is_off(random_model: Path) -> None:
    """PREFIX_CACHE_MB=0: nothing is kept, nobody waits for another's prompt."""
    owner = Owner(random_model, prefix_cache_mb=0)
    assert [o.usage.cached_tokens for o in owner.answer(asked("One?"), asked("One?"), asked("One?"))] == [0, 0, 0]
    assert owner.scheduler.load().prefix is None
