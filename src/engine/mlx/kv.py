"""What the keys, values and states of one sequence take, measured on the loaded model: its configuration does not tell.

Latent attention, windows and running states take far less than layers × heads × size. Owner thread, at load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models import cache as lm

_MEASURED = [1, 2]  # tokens that every vocabulary has


@dataclass(frozen=True)
class KvCost:
    """Bytes of each token, and of a sequence whatever its length."""

    token_bytes: int
    row_bytes: int


def measure(model: Any) -> KvCost:
    """Compute two tokens, and see what is kept of them."""
    cache = lm.make_prompt_cache(model)
    model(mx.array([_MEASURED]), cache=cache)
    mx.eval([layer.state for layer in cache])
    token = row = 0
    for layer in leaves(cache):
        if isinstance(layer, lm.RotatingKVCache):
            row += layer.nbytes // layer.keys.shape[2] * layer.max_size
        elif isinstance(layer, lm.ArraysCache):
            row += layer.nbytes
        elif getattr(layer, "keys", None) is not None:
            token += layer.nbytes // layer.keys.shape[2]
        else:  # of a kind that no one knows: all of it grows
            token += layer.nbytes // len(_MEASURED)
    return KvCost(int(token), int(row))


def leaves(cache: list[Any]) -> Iterator[Any]:
    """The caches of all layers; some layers have several."""
    for layer in cache:
        if isinstance(layer, lm.CacheList):
            yield from leaves(list(layer.caches))
        else:
            yield layer
