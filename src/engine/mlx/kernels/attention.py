"""Attention whose result for a token has the same bits whatever is beside it. Owner thread.

Products by `products` round their input to 8 bits: a last bit that differs becomes one of half a percent, and a few
layers later another word. Sums of MLX's attention depend in their last bits on padding and on how many tokens are
computed at once. Here they are made in fp64 and rounded to fp32 once, which takes those bits away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx_lm.models.base import create_causal_mask

_NAME = "scaled_dot_product_attention"
_HIDDEN = -1e30
_PER_HEAD = 4  # dimensions of a mask with rows and heads
_exact = False  # while one of `ExactAttention`'s modules is called: this thread alone computes


def make_exact(module: Any) -> bool:
    """Have an attention module of mlx-lm use the attention of this file; False where it has one of its own."""
    home = sys.modules[type(module).__module__]
    if not hasattr(home, _NAME):
        return False
    original = getattr(home, _NAME)
    if not hasattr(original, "original"):
        setattr(home, _NAME, _chosen(original))
    own = type(module)
    module.__class__ = type(f"Exact{own.__name__}", (own,), {"__call__": _called, "__module__": own.__module__})
    return True


def _called(self: Any, *args: Any, **options: Any) -> Any:
    global _exact  # noqa: PLW0603  # the function that models call is a global of their module, too
    before, _exact = _exact, True
    try:
        return super(type(self), self).__call__(*args, **options)
    finally:
        _exact = before


def _chosen(original: Callable[..., mx.array]) -> Callable[..., mx.array]:
    def chosen(
        queries: mx.array, keys: Any, values: Any, cache: Any, scale: float, mask: Any, sinks: Any = None
    ) -> mx.array:
        if not _exact or sinks is not None or hasattr(cache, "bits"):
            options = {} if sinks is None else {"sinks": sinks}
            return original(queries, keys, values, cache=cache, scale=scale, mask=mask, **options)
        return attend(queries, keys, values, scale, mask)

    chosen.original = original  # type: ignore[attr-defined]  # marks it
    return chosen


def attend(queries: mx.array, keys: mx.array, values: mx.array, scale: float, mask: Any) -> mx.array:
    """As `mx.fast.scaled_dot_product_attention`; queries of the heads that share keys are rows of one product."""
    rows, heads, length, size = queries.shape
    shared, total = keys.shape[1], keys.shape[2]
    wide = (queries * scale).astype(mx.float64).reshape(rows, shared, -1, size)
    scores = wide @ keys.astype(mx.float64).swapaxes(-1, -2)
    scores = _masked(scores.reshape(rows, shared, heads // shared, length, total), mask)
    weights = mx.softmax(scores, axis=-1).reshape(rows, shared, -1, total)
    found = weights @ values.astype(mx.float64)
    rounded: mx.array = found.astype(mx.float32).reshape(rows, heads, length, values.shape[3])
    return rounded


def _masked(scores: mx.array, mask: Any) -> mx.array:
    """`scores` [rows, key heads, heads that share them, queries, keys]."""
    if mask is None:
        return scores
    if isinstance(mask, str):
        length, total = scores.shape[-2:]
        mask = create_causal_mask(length, total - length)
    if mask.ndim == _PER_HEAD:
        heads = mask.shape[1]
        mask = mask[:, :, None] if heads == 1 else mask.reshape(mask.shape[0], *scores.shape[1:3], *mask.shape[2:])
    if mask.dtype == mx.bool_:
        return mx.where(mask, scores, mx.array(_HIDDEN, mx.float64))
    added: mx.array = scores + mask.astype(mx.float64)
    return added
