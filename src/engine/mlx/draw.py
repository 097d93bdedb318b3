"""Draws the next token of the rows that are not greedy: top_p, min_p and top_k, then the temperature, then the draw.

What a filter keeps are the tokens at least as likely as the last one it keeps, so the vocabulary is compared with that
threshold, never reordered; equals of the last one are kept with it. On a CPU this runs in numpy: MLX's sort and
exponential take some ten times as long there. On a GPU the same steps are MLX's, and nothing waits. Owner thread.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
# the likeliest tokens, which are looked at first: few filters keep more
_LIKELIEST = 512
_NO_TOP_K = 1 << 30
_BLOCK = 1 << 16  # logits that are worked on together on a CPU
_ALL = 2.0  # a top_p that no sum reaches


@dataclass(frozen=True)
class DrawParams:
    """What one row is drawn with; a filter's neutral value turns it off."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float

    @property
    def filtered(self) -> bool:
        return self.top_p < 1 or self.min_p > 0 or self.top_k > 0


@dataclass(frozen=True)
class _Columns:
    """The rows' parameters, an array of one column each, of numpy or of MLX; `filtered`: whether any has a filter."""

    filtered: bool
    temperature: Any
    top_p: Any
    top_k: Any
    min_p: Any

    def of(self, rows: Any) -> _Columns:
        columns = (self.temperature, self.top_p, self.top_k, self.min_p)
        return _Columns(self.filtered, *[column[rows] for column in columns])


class Drawing:
    """Draws for rows whose parameters do not change."""

    def __init__(self, params: Seq[DrawParams], *, on_host: bool) -> None:
        self._host = on_host
        make = np.array if on_host else mx.array
        self._columns = _Columns(
            any(one.filtered for one in params),
            make(_column([one.temperature for one in params])),
            make(_column([one.top_p if one.top_p < 1 else _ALL for one in params])),
            make(_column([one.top_k or _NO_TOP_K for one in params])),
            make(_column([one.min_p for one in params])),
        )

    def choose(self, logits: mx.array, uniform: Floats) -> mx.array:
        """A token for each row of `logits` [rows, vocabulary], by its number in `uniform`, from [0, 1)."""
        logits = logits.astype(mx.float32)
        if self._host:
            return mx.array(self._in_blocks(np.array(logits, copy=False), uniform[:, None]))
        weights = _weights(mx, logits, self._columns, _least_on_device)
        return _drawn_on_device(weights, mx.array(uniform[:, None]))

    def _in_blocks(self, logits: Floats, uniform: Floats) -> NDArray[np.uint32]:
        """A few rows at a time, which stay in the processor's cache."""
        chosen = np.empty(len(logits), np.uint32)
        count = max(1, _BLOCK // logits.shape[-1])
        for at in range(0, len(logits), count):
            rows = slice(at, at + count)
            weights = _weights(np, logits[rows], self._columns.of(rows), _least_on_host)
            chosen[rows] = _drawn_on_host(weights, uniform[rows])
        return chosen


def _weights(xp: Any, logits: Any, columns: _Columns, least: Callable[[Any, _Columns], Any]) -> Any:
    """What each token weighs in the draw; nothing, when a filter leaves it out."""
    below = logits - xp.max(logits, axis=-1, keepdims=True)
    weights = xp.exp(below / columns.temperature)
    if not columns.filtered:
        return weights
    probable = xp.exp(below)  # up to a factor: the likeliest has 1
    return weights * (probable >= least(probable, columns))


def _drawn_on_host(weights: Floats, uniform: Floats) -> Any:
    """The first index at which the running sum of the weights exceeds `uniform` of the whole."""
    mass = np.cumsum(weights, axis=-1, dtype=np.float64)
    return np.argmax(mass > uniform * mass[:, -1:], axis=-1)


def _drawn_on_device(weights: mx.array, uniform: mx.array) -> mx.array:
    """The same; a GPU sums in pieces, so that a sum may grow by a rounding where nothing was added: not drawn there."""
    mass = mx.where(weights > 0, mx.cumsum(weights, axis=-1), 0.0)
    return mx.argmax(mass > uniform * mx.max(mass, axis=-1, keepdims=True), axis=-1)


def _least_on_device(probable: mx.array, columns: _Columns) -> mx.array:
    """How probable a token must be, by a sort of all; MLX's partial selection is a whole sort on a GPU."""
    best = mx.sort(probable, axis=-1)[:, ::-1]
    least: mx.array = _last_kept(mx, best, mx.sum(probable, axis=-1, keepdims=True), columns)[0]
    return least


def _least_on_host(probable: Floats, columns: _Columns) -> Any:
    """How probable a token must be, by a sort of the likeliest, and of all in rows that keep more than those."""
    total: Any = np.sum(probable, axis=-1, keepdims=True, dtype=np.float64)
    size = probable.shape[-1]
    some = min(_LIKELIEST, size)
    best = np.partition(probable, size - some, axis=-1)[:, size - some :]
    least, full = _last_kept(np, _descending(best), total, columns)
    more = np.flatnonzero(full) if some < size else ()
    if len(more):
        least[more] = _last_kept(np, _descending(probable[more]), total[more], columns.of(more))[0]
    return least


def _descending(probable: Floats) -> NDArray[np.float64]:
    return np.sort(probable, axis=-1)[:, ::-1].astype(np.float64)


def _last_kept(xp: Any, best: Any, total: Any, columns: _Columns) -> tuple[Any, Any]:
    """By row, the last of `best` (descending) that the filters keep, and whether that is the last there is."""
    keep = xp.cumsum(best, axis=-1) - best < columns.top_p * total
    keep = keep & (best >= columns.min_p * best[:, :1])
    keep = keep & (xp.arange(best.shape[-1])[None] < columns.top_k)
    last = xp.sum(keep, axis=-1, keepdims=True) - 1
    return xp.take_along_axis(best, last, axis=-1), keep[:, -1]


def _column(values: Seq[float]) -> Floats:
    return np.array(values, np.float32)[:, None]
