"""What a sequence is charged for, by kind of cache: mlx-lm's, and mlx-vlm's of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models import cache as lm
from mlx_vlm.models import cache as vlm

from src.engine.mlx.kv import KvCost, measure

HEADS, SIZE, FLOAT = 2, 16, 4
TOKEN = 2 * HEADS * SIZE * FLOAT  # bytes of one token's keys and values in a layer


class _Layered:
    """A model whose layers only keep what they are shown."""

    def __init__(self, make: Callable[[], list[Any]]) -> None:
        self.make_cache = make

    def __call__(self, tokens: mx.array, cache: list[Any]) -> None:
        for layer in cache:
            self._keep(layer, tokens.shape[1])

    def _keep(self, layer: Any, count: int) -> None:
        if hasattr(layer, "caches"):
            for each in layer.caches:
                self._keep(each, count)
        elif hasattr(layer, "cache"):
            layer[0] = mx.zeros((1, 10, 3))
        else:
            layer.update_and_fetch(mx.zeros((1, HEADS, count, SIZE)), mx.zeros((1, HEADS, count, SIZE)))


@pytest.mark.parametrize(
    ("make", "cost"),
    [
        pytest.param(lambda of: of.KVCache(), KvCost(TOKEN, 0), id="every token"),
        pytest.param(lambda of: of.RotatingKVCache(8), KvCost(0, 8 * TOKEN), id="a window"),
        pytest.param(lambda of: of.ArraysCache(1), KvCost(0, 10 * 3 * FLOAT), id="a state"),
        pytest.param(
            lambda of: of.CacheList(of.KVCache(), of.RotatingKVCache(8)), KvCost(TOKEN, 8 * TOKEN), id="several"
        ),
        pytest.param(lambda of: of.ChunkedKVCache(512), KvCost(0, (512 + 256) * TOKEN), id="chunks"),
    ],
)
@pytest.mark.parametrize("of", [lm, vlm], ids=["mlx-lm", "mlx-vlm"])
def test_only_what_keeps_every_token_grows(of: Any, make: Callable[[Any], Any], cost: KvCost) -> None:
    assert measure(_Layered(lambda: [make(of)])) == cost


@pytest.mark.parametrize("of", [lm, vlm], ids=["mlx-lm", "mlx-vlm"])
def test_layers_of_all_kinds_are_added_up(of: Any) -> None:
    """As Qwen3.5 and Gemma have them: few layers keep every token."""
    layers = [of.ArraysCache, of.ArraysCache, of.ArraysCache]
    found = measure(_Layered(lambda: [*(each(1) for each in layers), of.KVCache(), of.RotatingKVCache(4)]))
    assert found == KvCost(TOKEN, 3 * 120 + 4 * TOKEN)


@pytest.mark.parametrize("of", [lm, vlm], ids=["mlx-lm", "mlx-vlm"])
def test_a_layer_that_keeps_nothing_of_two_tokens_is_asked_again(of: Any) -> None:
    """As GLM-5's sparse attention, whose projections are kept of longer prompts alone."""

    class Sparse(_Layered):
        def __call__(self, tokens: mx.array, cache: list[Any]) -> None:
            super().__call__(tokens, cache if tokens.shape[1] > 2 else cache[:1])

    assert measure(Sparse(lambda: [of.KVCache(), of.KVCache()])) == KvCost(2 * TOKEN, 0)
