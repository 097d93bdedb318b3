"""The batch sampler: mlx-lm's distributions, each row by its own parameters, the same numbers in any company."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from src.gpu import blas

blas.preload()  # before anything imports MLX

import mlx.core as mx  # noqa: E402
from mlx_lm.sample_utils import make_logits_processors, make_sampler  # noqa: E402

from src.engine.mlx.draw import Drawing, DrawParams  # noqa: E402
from src.engine.mlx.sampling import BatchSampler, SamplingRow, uniforms  # noqa: E402
from src.engine.mlx.scores import Scores  # noqa: E402

DRAWS = 20_000
SMALL = 64
# more than the candidates that are looked at first, so that both tiers are used
LARGE = 20_000


@pytest.fixture(autouse=True)
def on_the_cpu() -> Iterator[None]:
    """As the engine does on Linux."""
    mx.set_default_device(mx.cpu)
    mx.disable_compile()
    yield
    mx.enable_compile()


def logits(rows: int, vocabulary: int, spread: float = 2.0, seed: int = 0) -> mx.array:
    made = np.random.default_rng(seed).normal(0, spread, (rows, vocabulary))
    return mx.array(made.astype(np.float32))


def choose(
    rows: list[SamplingRow], values: mx.array, histories: list[list[int]] | None = None, last: int = 0
) -> list[int]:
    sampler = BatchSampler(rows, histories or [[] for _ in rows], values.shape[-1])
    chosen: Any = sampler.choose(values, mx.full((len(rows),), last, dtype=mx.uint32)).tolist()
    return list(chosen)


PARAMETERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 1.0}, {"temp": 1.0}),
    ({"temperature": 0.5}, {"temp": 0.5}),
    ({"temperature": 0.7, "top_p": 0.9}, {"temp": 0.7, "top_p": 0.9}),
    ({"temperature": 1.0, "top_p": 0.3}, {"temp": 1.0, "top_p": 0.3}),
    ({"temperature": 1.3, "top_k": 7}, {"temp": 1.3, "top_k": 7}),
    ({"temperature": 1.0, "min_p": 0.1}, {"temp": 1.0, "min_p": 0.1}),
    (
        {"temperature": 0.8, "top_p": 0.95, "top_k": 20, "min_p": 0.02},
        {"temp": 0.8, "top_p": 0.95, "top_k": 20, "min_p": 0.02},
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PARAMETERS, ids=str)
def test_the_distribution_is_mlx_lms(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Twenty thousand draws fall as mlx-lm's own sampler lets them fall, and on no token that it excludes."""
    values = mx.repeat(logits(1, SMALL), DRAWS, axis=0)
    made = np.bincount(choose([SamplingRow(0, seed=n, **ours) for n in range(DRAWS)], values), minlength=SMALL)
    mx.random.seed(1)
    scores = values - mx.logsumexp(values, axis=-1, keepdims=True)
    expected = np.bincount(np.array(make_sampler(**theirs)(scores)), minlength=SMALL)
    assert abs(made - expected).sum() / 2 / DRAWS < 0.04
    if len(ours) > 1:
        assert set(np.nonzero(made)[0]) <= set(np.nonzero(expected)[0]) | set(np.nonzero(expected < 5)[0])
        assert (made[expected == 0] == 0).all()


@pytest.mark.parametrize("spread", [0.05, 1.0, 6.0])
def test_a_filter_that_keeps_much_is_exact(spread: float) -> None:
    """What top_p keeps is exactly what a full sort keeps, however flat the distribution is."""
    values = logits(1, LARGE, spread)
    scores = values - mx.logsumexp(values, axis=-1, keepdims=True)
    ordered = np.sort(np.exp(np.array(scores[0], np.float64)))[::-1]
    kept = int((np.cumsum(ordered) - ordered < 0.9).sum())
    best = set(np.argsort(-np.array(scores[0]))[: kept + 2].tolist())
    rows = [SamplingRow(0, temperature=2.0, top_p=0.9, seed=seed) for seed in range(64)]
    drawn = choose(rows, mx.repeat(values, 64, axis=0))
    assert set(drawn) <= best
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("spread", [0.05, 1.0, 6.0])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_both_ways_draw_the_same(spread: float, size: int) -> None:
    """What is computed in numpy for a CPU is what MLX computes for a GPU, but for a token at a rounding's edge."""
    params = [
        DrawParams(temperature, top_p, top_k, min_p)
        for temperature in (0.7, 1.5)
        for top_p in (0.5, 0.95, 1.0)
        for top_k in (0, 40)
        for min_p in (0.0, 0.05)
    ]
    values = logits(len(params), size, spread)
    chances = np.random.default_rng(1).random((20, len(params)), np.float32)
    ways = [Drawing(params, on_host=on_host) for on_host in (True, False)]
    host, device = (np.stack([np.array(way.choose(values, chance)) for chance in chances]) for way in ways)
    assert (host == device).mean() > 0.98
    assert len(set(host.ravel().tolist())) > 20


MIXED = [
    SamplingRow(0),
    SamplingRow(0, temperature=0.7, seed=1),
    SamplingRow(0, temperature=0.7, top_p=0.9, seed=2),
    SamplingRow(0, temperature=1.0, top_k=5, frequency_penalty=1.0, seed=3),
    SamplingRow(0, temperature=1.0, min_p=0.2, seed=4, bias=((7, 3.0),)),
    SamplingRow(0, temperature=1.5, repetition_penalty=1.3, seed=5),
    SamplingRow(0, temperature=1.0, top_p=0.0, seed=6),
]


def test_what_is_left_out_is_not_drawn_by_a_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metal's scan adds up in pieces: a running sum may be larger by a rounding where the weight is nothing."""
    exact = mx.cumsum
    monkeypatch.setattr(mx, "cumsum", lambda *args, **options: exact(*args, **options) * (1 + 1e-4 * mx.arange(5)))
    values = mx.log(mx.array([[1.0, 0.0, 1.0, 0.0, 0.0]]))
    drawing = Drawing([DrawParams(1.0, 1.0, 0, 0.0)], on_host=False)
    drawn = {int(drawing.choose(values, np.full(1, n / 20_000, np.float32))) for n in range(9_990, 10_010)}
    assert drawn | {int(drawing.choose(values, np.full(1, 1 - 2**-23, np.float32)))} == {0, 2}


def test_a_row_is_the_same_in_any_company() -> None:
    """A row's token depends on its own logits, parameters, seed and position alone."""
    values = logits(len(MIXED), LARGE)
    histories = [[n, n + 1, 3] for n in range(len(MIXED))]
    together = choose(MIXED, values, histories, last=9)
    alone = [choose([row], values[n : n + 1], [histories[n]], last=9)[0] for n, row in enumerate(MIXED)]
    order = [5, 2, 0, 6, 1, 4, 3]
    shuffled = choose([MIXED[n] for n in order], values[mx.array(order)], [histories[n] for n in order], last=9)
    assert together == alone
    assert shuffled == [together[n] for n in order]


def test_greedy_rows_take_the_best() -> None:
    """Temperature 0, top_p 0 and top_k 1 are the likeliest token, beside rows that are sampled."""
    values = logits(4, SMALL)
    rows = [
        SamplingRow(0),
        SamplingRow(0, temperature=2.0, top_p=0.0),
        SamplingRow(0, temperature=2.0, top_k=1),
        SamplingRow(0, temperature=1.0),
    ]
    best: Any = mx.argmax(values, axis=-1).tolist()
    assert choose(rows, values)[:3] == best[:3]
    assert choose(rows[:3], values[:3]) == best[:3]


@pytest.mark.parametrize("row", [{"temperature": 1e-40}, {"temperature": 1e-46}, {"temperature": 1.0, "top_p": 1e-46}])
def test_less_than_float32_can_hold_is_nothing(row: dict[str, Any]) -> None:
    """Nobody can divide by it: such a row is greedy."""
    values = logits(1, SMALL)
    for seed in range(20):
        assert choose([SamplingRow(0, seed=seed, **row)], values) == [int(mx.argmax(values))]


def test_random_numbers_are_spread() -> None:
    """Neighbouring seeds and positions have nothing in common; all numbers lie in [0, 1)."""
    for seeds, positions in (([7] * 10_000, range(10_000)), (range(10_000), [7] * 10_000)):
        numbers = uniforms(list(seeds), list(positions))
        assert (numbers.min(), numbers.max()) >= (0.0, 0.0)
        assert numbers.max() < 1
        assert abs(numbers.mean() - 0.5) < 0.02
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.05


@pytest.mark.parametrize("seed", [-1, 0, 1 << 63, (1 << 64) - 1, 1 << 70])
def test_any_integer_is_a_seed(seed: int) -> None:
    """No seed breaks a batch."""
    assert 0 <= uniforms([seed], [0])[0] < 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"frequency_penalty": 0.7}, {"frequency_penalty": 0.7, "frequency_context_size": 99}),
        ({"presence_penalty": -1.1}, {"presence_penalty": -1.1, "presence_context_size": 99}),
        ({"repetition_penalty": 1.4}, {"repetition_penalty": 1.4, "repetition_context_size": 99}),
        ({"bias": ((3, 2.5), (9, -100.0))}, {"logit_bias": {3: 2.5, 9: -100.0}}),
    ],
)
def test_a_penalty_is_mlx_lms(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Penalties and biases change the logits as mlx-lm's own processors do."""
    values, history = logits(1, SMALL), [3, 5, 5, 8]
    expected = values
    for processor in make_logits_processors(**theirs):
        expected = processor(mx.array([*history, 11]), mx.array(np.array(expected)))
    sampler = BatchSampler([SamplingRow(0, **ours)], [history], SMALL)
    adjusted = sampler._adjusted(mx.array(np.array(values)), mx.array([11]))
    assert np.allclose(np.array(adjusted), np.array(expected), atol=1e-5)


def test_a_prompt_is_not_repeated_text() -> None:
    """Frequency and presence count what the model said; only repetition counts what it was asked too."""
    values = mx.zeros((2, 8))
    rows = [SamplingRow(3, presence_penalty=1.0), SamplingRow(3, repetition_penalty=2.0)]
    values = values + 1.0
    sampler = BatchSampler(rows, [[1, 2], [1, 2]], 8)
    first: Any = sampler._adjusted(mx.array(np.array(values)), mx.array([3, 3])).tolist()
    second: Any = sampler._adjusted(mx.array(np.array(values)), mx.array([4, 4])).tolist()
    assert first == [[1.0] * 8, [1.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]]
    assert second == [[1, 1, 1, 1, 0, 1, 1, 1], [1.0, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0]]


def test_log_probabilities_hold_no_vocabulary() -> None:
    """What waits to be read is what was asked for: not a row of the whole vocabulary for each."""
    values, vocabulary = logits(8, 100_000), 100_000
    mx.eval(values)
    before = mx.get_active_memory()
    scores = Scores(values, mx.zeros((8,), dtype=mx.int32), 5)
    mx.eval(scores.arrays)
    mx.synchronize()
    assert mx.get_active_memory() - before < vocabulary
    assert len(scores.read(0)[1]) == 5
