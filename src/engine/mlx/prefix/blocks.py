"""Spans of the prefix cache as blocks on disk, and back: all that MLX has to do with it. Owner thread.

Arrays are copied into plain bytes here, while they are whole and computed; what writes them never sees MLX.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from src.engine.mlx.prefix.blockfile import ITEM_BYTES, Array

Kv = list[tuple[mx.array, mx.array]]  # by layer; the last axis but one is tokens
_CODES = {
    mx.float32: "F32",
    mx.float16: "F16",
    mx.bfloat16: "BF16",
    mx.uint32: "U32",
    mx.uint16: "U16",
    mx.uint8: "U8",
    mx.int32: "I32",
    mx.int8: "I8",
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}


def between(pieces: Iterable[tuple[Kv, int]], start: int, stop: int) -> Kv | None:
    """The tokens from `start` to `stop` of pieces in a row, of each the first so many; None where they end before."""
    found, at = [], 0
    for kv, count in pieces:
        low, high = max(start - at, 0), min(stop - at, count)
        if low < high:
            found.append(tree_map(partial(_cut, low=low, high=high), kv))
        at += count
    if at < stop:
        return None
    joined: Kv = found[0] if len(found) == 1 else tree_map(_join, *found)
    return joined


def to_bytes(kv: Kv) -> dict[str, Array]:
    """Arrays by their place, as bytes of the host's."""
    flat: list[tuple[str, mx.array]] = tree_flatten(kv)
    raw = [mx.contiguous(each).view(mx.uint8) for _, each in flat]
    mx.eval(raw)
    return {
        name: Array(_CODES[each.dtype], tuple(each.shape), _bytes(data))
        for (name, each), data in zip(flat, raw, strict=True)
    }


def from_bytes(arrays: dict[str, Array]) -> Kv:
    """What `to_bytes` was given."""
    made: Any = tree_unflatten([(name, _array(each)) for name, each in arrays.items()])
    return [(keys, values) for keys, values in made]


def _array(each: Array) -> mx.array:
    *axes, last = each.shape
    raw = np.frombuffer(each.data, np.uint8).reshape(*axes, last * ITEM_BYTES[each.dtype])
    return mx.array(raw).view(_DTYPES[each.dtype])


def _cut(array: mx.array, low: int, high: int) -> mx.array:
    return array[..., low:high, :]


def _join(*arrays: mx.array) -> mx.array:
    return mx.concatenate(list(arrays), axis=-2)


def _bytes(data: Any) -> bytes:
    """An array is a buffer, which MLX's stub does not say."""
    return bytes(memoryview(data))
