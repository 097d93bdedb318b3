"""Faults of mlx-lm's architectures that are mended here, each with its reason. At load; owner thread.

`batch_check` finds architectures whose batches are wrong; the ones with a small fault are here.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx_lm.models import gemma2

_PER_ROW = 4  # dimensions of a mask that is each row's own


class GroupedAttention(gemma2.Attention):  # type: ignore[misc]  # mlx-lm has no types
    """Gemma 2's attention with a mask for each row of a batch.

    Its capped scores are [rows, key heads, repeats, queries, keys] where heads share keys. A mask of
    [rows, 1, queries, keys] meets them shifted by one: a row was masked by another's padding, or the step failed.
    """

    def __call__(self, x: mx.array, mask: mx.array | None = None, cache: Any = None) -> mx.array:
        if mask is not None and mask.ndim == _PER_ROW and self.repeats > 1:
            mask = mx.expand_dims(mask, 2)
        attended: mx.array = super().__call__(x, mask, cache)
        return attended


def mend(model: Any) -> Any:
    """The model, its known faults mended."""
    for module in model.modules():
        if type(module) is gemma2.Attention:
            module.__class__ = GroupedAttention
    return model
