"""Rows of one batch that keep different numbers of a step's tokens. Owner thread.

mlx-lm's BatchKVCache holds rows that end together. A row that keeps fewer tokens than another has a gap at its end.
mlx-lm would roll the whole row over it (`dynamic_roll`), which costs more than the step where rows are long. Instead
the row's first tokens move into the gap, and its left padding grows: attention asks which keys are there, not in which
order, since positions are in the keys. Before such a row is cut by tokens, it is put back in order.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import KVCache, make_prompt_cache
from numpy.typing import NDArray

from src.engine.mlx.kv import leaves
from src.engine.mlx.packed import PackedKV

Order = NDArray[np.int64]  # which token of a row stands where, from its left padding on; those beyond are in order

# left padding that all rows have is cut off when it is so wide
WIDEST_PADDING = 256


def can_be_ragged(model: Any) -> bool:
    """Whether every layer keeps every token, whatever the order: windows and running states cannot go back."""
    return all(type(layer) in (KVCache, PackedKV) for layer in make_prompt_cache(model))


def take_back(cache: list[Any], rejected: Seq[int], lengths: Seq[int]) -> list[int]:
    """Forget the last `rejected` tokens of each row, of which `lengths` stay.

    Returns:
        For each row, how wide a gap was filled from its beginning.
    """
    layers, least = list(leaves(cache)), min(rejected)
    for layer in layers:
        layer.trim(least)
    gaps = [count - least for count in rejected]
    if any(gaps):
        _fill(layers, gaps, lengths)
    if layers[0].size() - max(lengths) >= WIDEST_PADDING:
        for layer in layers:
            layer.filter(mx.arange(len(lengths)))
    return gaps


def _fill(layers: list[Any], gaps: list[int], lengths: Seq[int]) -> None:
    end, widest = layers[0].size(), max(gaps)
    places = [_places(end, gap, length, widest) for gap, length in zip(gaps, lengths, strict=True)]
    source, target = (mx.array([pair[n] for pair in places])[:, None, :, None] for n in (0, 1))
    moved = [[mx.take_along_axis(part, source, axis=2) for part in (layer.keys, layer.values)] for layer in layers]
    mx.eval(moved)  # before what they are taken from is written to: then nothing else of it is copied
    grown = mx.array(gaps)
    for layer, (keys, values) in zip(layers, moved, strict=True):
        layer.keys = mx.put_along_axis(layer.keys, target, keys, axis=2)
        layer.values = mx.put_along_axis(layer.values, target, values, axis=2)
        layer.offset = layer.offset - grown
        layer.left_padding = layer.left_padding + grown


def _places(end: int, gap: int, length: int, widest: int) -> tuple[list[int], list[int]]:
    """Where a row's tokens come from and go to; where there are fewer than `widest`, one stays where it is."""
    begin, count = end - length - gap, min(gap, length)
    source = list(range(begin, begin + count))
    target = list(range(end - count, end))
    rest = [begin] * (widest - count)
    return source + rest, target + rest


def reordered(order: Order | None, gap: int, length: int) -> Order:
    """A row's order after `take_back` filled a gap of its `length` tokens."""
    known = order if order is not None else np.arange(0)
    whole = np.concatenate([known, np.arange(len(known), length)])
    return np.concatenate([whole[gap:], whole[: min(gap, length)]])


def put_in_order(cache: list[Any], row: int, order: Order, length: int) -> None:
    """Sort a row of `length` tokens."""
    layers = list(leaves(cache))
    begin = layers[0].size() - length
    end = begin + len(order)
    places = mx.array(np.argsort(order) + begin)
    taken = [(layer.keys[row][:, places], layer.values[row][:, places]) for layer in layers]
    mx.eval(taken)
    for layer, (keys, values) in zip(layers, taken, strict=True):
        layer.keys[row, :, begin:end] = keys
        layer.values[row, :, begin:end] = values
