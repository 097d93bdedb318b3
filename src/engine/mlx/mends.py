"""Faults of mlx-lm's architectures that are mended here, each with its reason. At load; owner thread.

`batch_check` finds architectures whose batches are wrong; the ones with a small fault are here.
"""

from __future__ import annotations

import copy
from typing import Any

import mlx.core as mx
from mlx_lm.models import gemma2
from mlx_lm.models.cache import make_prompt_cache

from src.errors import ModelLoadFailed

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


def _merge_one(caches: list[Any]) -> Any:
    if len(caches) > 1:
        raise ValueError(f"{type(caches[0]).__name__} holds one row")
    return caches[0]


def _keep_one(cache: Any, keep: list[int]) -> None:
    if len(keep) > 1:
        raise ValueError(f"{type(cache).__name__} holds one row")


def _extract_one(cache: Any, at: int) -> Any:
    del at  # there is one
    return copy.deepcopy(cache)


def _one_row(kind: type) -> type:
    """A kind of cache with what a batch of one row needs of it."""
    members = {"merge": staticmethod(_merge_one), "filter": _keep_one, "extract": _extract_one}
    return type(kind.__name__, (kind,), members)


def _serve_alone(model: Any) -> None:
    """Models of whose caches one knows no batches (Llama 4's chunks, DeepSeek V4.1): rows keep caches of their own.

    The batch check finds that more rows fail, so that requests are computed one at a time.
    """
    found = [type(layer) for layer in make_prompt_cache(model)]
    if all(hasattr(kind, "merge") for kind in found):
        return
    kinds = {kind: _one_row(kind) for kind in set(found)}
    make = model.make_cache

    def make_cache() -> list[Any]:
        layers: list[Any] = make()
        for layer in layers:
            layer.__class__ = kinds[type(layer)]
        return layers

    model.make_cache = make_cache


def check_written_ids(model: Any) -> None:
    """phi3small masks ids that its own tokenizer leaves unused: beyond a smaller vocabulary that is foreign memory.

    Raises:
        ModelLoadFailed: the checkpoint has fewer ids.
    """
    written = getattr(model, "_dummy_tokenizer_ids", None)
    if written is not None and int(written.max()) >= model.args.vocab_size:
        text = f"{model.args.vocab_size} ids in its vocabulary, and this architecture writes to id {int(written.max())}"
        raise ModelLoadFailed(text)


def mend(model: Any) -> Any:
    """The model, its known faults mended. Raises ModelLoadFailed for one that cannot be."""
    check_written_ids(model)
    _serve_alone(model)
    for module in model.modules():
        if type(module) is gemma2.Attention:
            module.__class__ = GroupedAttention
    return model
