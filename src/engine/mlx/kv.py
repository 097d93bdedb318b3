"""What the keys, values and states of one sequence take, measured on the loaded model: its configuration does not tell.

Latent attention, windows and running states take far less than layers × heads × size. Owner thread, at load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import mlx.core as mx
from mlx_lm.models import cache as lm

_FEW, _SOME = 2, 64


@dataclass(frozen=True)
class KvCost:
    """Bytes of each token, and of a sequence whatever its length."""

    token_bytes: int
    row_bytes: int


def measure(model: Any) -> KvCost:
    """Compute a few tokens, and see what is kept of them; more where some layer keeps nothing of so few."""
    count = _FEW
    layers = _filled(model, count)
    if not all(layer.nbytes for layer in layers):
        count = _SOME
        layers = _filled(model, count)
    costs = [_cost(layer, count) for layer in layers]
    return KvCost(sum(cost.token_bytes for cost in costs), sum(cost.row_bytes for cost in costs))


def _filled(model: Any, count: int) -> list[Any]:
    cache = lm.make_prompt_cache(model)
    model(mx.array([[1, 2] * (count // 2)]), cache=cache)  # tokens that every vocabulary has
    mx.eval([layer.state for layer in cache])
    return list(leaves(cache))


def _cost(layer: Any, count: int) -> KvCost:
    """mlx-vlm has its own caches, of the same names as mlx-lm's, which say what they take; mlx-lm's do not."""
    profile = layer.memory_profile(count) if hasattr(layer, "memory_profile") else None
    if profile is None:
        return _seen(layer, count)
    if profile.window_size is None:
        return KvCost(ceil(profile.bytes_per_token), ceil(profile.fixed_bytes))
    return KvCost(0, ceil(profile.fixed_bytes + profile.bytes_per_token * profile.window_size))


def _seen(layer: Any, count: int) -> KvCost:
    if isinstance(layer, lm.ArraysCache):
        return KvCost(0, int(layer.nbytes))
    if getattr(layer, "keys", None) is None:  # of a kind that no one knows: all of it grows
        return KvCost(int(layer.nbytes // count), 0)
    each = int(layer.nbytes // layer.keys.shape[2])
    if isinstance(layer, lm.RotatingKVCache):
        return KvCost(0, each * layer.max_size)
    if isinstance(layer, lm.ChunkedKVCache):  # what is cut off at its front is replaced by whole steps
        return KvCost(0, each * (layer.chunk_size + layer.step))
    return KvCost(each, 0)


def leaves(cache: list[Any]) -> Iterator[Any]:
    """The caches of all layers; some layers have several."""
    for layer in cache:
        if hasattr(layer, "caches"):
            yield from leaves(list(layer.caches))
        else:
            yield layer
