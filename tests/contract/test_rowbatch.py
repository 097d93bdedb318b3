"""Both ways of a step, the device's and the host's, on tiny models of every kind of layer: the same text."""

from __future__ import annotations

import random
from typing import Any

import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

import mlx.core as mx  # noqa: E402

from src.engine.mlx.batch import HostBatch, RowBatch, empty_batch  # noqa: E402
from src.engine.mlx.prefix.cache import PrefixCache  # noqa: E402
from src.engine.mlx.rows import RowGenerator  # noqa: E402
from src.engine.mlx.sampling import SamplingRow  # noqa: E402
from tests.contract.test_prefix import CHUNK, KINDS, LIMIT, SYSTEM, every_token, speaking, tokens, windows  # noqa: E402

WISHES: list[dict[str, Any]] = [
    {},
    {"temperature": 0.8, "top_p": 0.9, "seed": 5},
    {"temperature": 1.0, "top_k": 20, "min_p": 0.02, "seed": 6, "logprobs": 3},
    {"frequency_penalty": 0.7, "presence_penalty": 0.4, "repetition_penalty": 1.2, "logprobs": 0},
    {"temperature": 0.7, "seed": 7, "repetition_penalty": 1.3, "bias": ((4, 3.0), (9, -float("inf")))},
]


class Counted:
    """A model that notes how many rows and tokens each of its passes has."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.passes: list[tuple[int, ...]] = []

    def __call__(self, inputs: mx.array, **options: Any) -> Any:
        self.passes.append(tuple(inputs.shape))
        return self.model(inputs, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class Engine:
    """Rows in a batch of this kind, and what was said to each."""

    def __init__(self, model: Any, kind: type[RowBatch], limit: int = LIMIT) -> None:
        options: dict[str, Any] = {"completion_batch_size": 8, "prefill_batch_size": 8, "prefill_step_size": CHUNK}
        self.rows = RowGenerator(model, PrefixCache(model, limit), kind.empty(model, None), **options)
        self.made: dict[int, list[tuple[int, Any]]] = {}
        self.running: set[int] = set()

    def add(self, prompt: list[int], count: int, wish: dict[str, Any]) -> int:
        uid = self.rows.add(prompt, count, SamplingRow(len(prompt), **wish), "")
        self.made[uid] = []
        self.running.add(uid)
        return uid

    def step(self) -> dict[int, int]:
        left, replies = self.rows.next()
        for reply in replies:
            scores = None if reply.logprobs is None else reply.logprobs.read()
            self.made[reply.uid].append((reply.token, scores))
            if reply.finish_reason is not None:
                self.running.remove(reply.uid)
        return left

    def step_of(self, tokens_of_a_prompt: int) -> None:
        """A step with chunks of another length."""
        self.rows.prefill_step_size = tokens_of_a_prompt
        self.step()
        self.rows.prefill_step_size = CHUNK

    def drop(self, uid: int) -> None:
        self.rows.drop([uid])
        self.running.remove(uid)

    def finish(self) -> None:
        while self.running:
            self.step()

    def text(self, uid: int) -> list[int]:
        return [token for token, _ in self.made[uid]]


def played(model: Any, kind: type[RowBatch], seed: int) -> tuple[Engine, list[tuple[list[int], int, dict[str, Any]]]]:
    """Requests that come and go at any step; by uid what each asked."""
    chance, engine = random.Random(seed), Engine(model, kind)
    asked: list[tuple[list[int], int, dict[str, Any]]] = []
    for n in range(10):
        prompt = SYSTEM[: chance.choice([0, 20, 75])] + tokens(chance.randint(1, 50), 100 * seed + n)
        asked.append((prompt, chance.randint(1, 14), chance.choice(WISHES)))
        engine.add(*asked[-1])
        for _ in range(chance.randint(0, 4)):
            engine.step()
        if engine.running and chance.random() < 0.3:
            engine.drop(chance.choice(sorted(engine.running)))
    engine.finish()
    return engine, asked


@pytest.fixture(scope="module", params=KINDS, ids=lambda make: make.__name__)
def model(request: pytest.FixtureRequest) -> Any:
    return speaking(request.param)


@pytest.mark.parametrize("kind", [RowBatch, HostBatch])
@pytest.mark.parametrize("seed", range(3))
def test_text_is_that_of_a_row_alone(model: Any, kind: type[RowBatch], seed: int) -> None:
    """Whoever joins and leaves in between, in whatever step; and scores are those of their tokens."""
    engine, asked = played(model, kind, seed)
    complete = 0
    for uid, (prompt, count, wish) in enumerate(asked):
        alone = Engine(model, RowBatch, limit=0)
        alone.add(prompt, count, wish)
        alone.finish()
        text = engine.text(uid)
        assert text == alone.text(0)[: len(text)]
        complete += len(text) == count
        for (token, scores), (_, expected) in zip(engine.made[uid], alone.made[0], strict=False):
            assert (scores is None) == (expected is None)
            if scores is not None:
                assert scores[0] == (token, pytest.approx(expected[0][1], abs=1e-3))
    assert complete >= 4


def test_who_has_ended_is_computed_no_further() -> None:
    """On the host, one place in a pass for each token that came."""
    model = Counted(speaking(every_token))
    engine = Engine(model, HostBatch)
    for n, count in enumerate((1, 5, 9)):
        engine.add(tokens(20, n), count, {})
    engine.finish()
    assert sum(rows for rows, width in model.passes if width == 1) == 1 + 5 + 9


@pytest.mark.parametrize("kind", [RowBatch, HostBatch])
def test_a_prompt_joins_as_soon_as_it_is_computed(kind: type[RowBatch]) -> None:
    """Its first token comes in the step of its last chunk, whoever runs."""
    engine = Engine(speaking(every_token), kind)
    engine.add(tokens(20, 1), 30, {})
    engine.step()
    uid = engine.add(tokens(CHUNK + 9, 2), 5, {})
    assert engine.step() == {uid: 9}
    assert engine.made[uid] == []
    assert engine.step() == {uid: 1}
    assert len(engine.made[uid]) == 1


@pytest.mark.parametrize("kind", [RowBatch, HostBatch])
def test_a_long_prompt_joins_in_a_step_of_its_own(kind: type[RowBatch]) -> None:
    """Beside short rows, which are padded to its length: they do not wait for its last chunk and for that together."""
    engine = Engine(speaking(every_token), kind)
    runner = engine.add(tokens(20, 1), 40, {})
    engine.step()
    uid = engine.add(tokens(600, 2), 5, {})
    while engine.step() != {uid: 1}:
        pass
    assert engine.made[uid] == []
    before = len(engine.made[runner])
    assert engine.step() == {}
    assert (len(engine.made[uid]), len(engine.made[runner])) == (1, before + 1)
    engine.finish()
    for n, seed in ((uid, (600, 2, 5)), (runner, (20, 1, 40))):
        alone = Engine(speaking(every_token), RowBatch, limit=0)
        alone.add(tokens(*seed[:2]), seed[2], {})
        alone.finish()
        assert engine.text(n) == alone.text(0)


def test_a_chunk_of_one_token_beside_a_full_window() -> None:
    """The next chunk of that prompt is computed alone, in a window that is not in order, and sees its first token."""
    model = speaking(windows)
    engine = Engine(model, HostBatch, limit=0)
    long = engine.add(tokens(26, 1), 2, {"logprobs": 0})
    engine.step_of(24)
    short = engine.add(tokens(58, 2), 4, {"logprobs": 0})
    engine.step_of(1)
    engine.finish()
    for uid, (count, seed, made) in ((long, (26, 1, 2)), (short, (58, 2, 4))):
        alone = Engine(model, RowBatch, limit=0)
        alone.add(tokens(count, seed), made, {"logprobs": 0})
        alone.finish()
        expected = [scores[0][1] for _, scores in alone.made[0]]
        assert [scores[0][1] for _, scores in engine.made[uid]] == pytest.approx(expected, abs=1e-3)


def test_more_than_may_run_wait() -> None:
    """No more than the batch has places for, prompts included."""
    engine = Engine(speaking(every_token), HostBatch)
    for n in range(11):
        engine.add(tokens(CHUNK + 3, n), 4, {})
    assert len(engine.step()) == 8
    engine.finish()
    assert all(len(made) == 4 for made in engine.made.values())


@pytest.mark.parametrize(("device", "kind"), [(mx.cpu, HostBatch), (mx.gpu, RowBatch)])
def test_the_device_decides(device: Any, kind: type[RowBatch], monkeypatch: pytest.MonkeyPatch) -> None:
    model = speaking(every_token)
    monkeypatch.setattr(mx, "default_device", lambda: device)
    assert type(empty_batch(model)) is kind
