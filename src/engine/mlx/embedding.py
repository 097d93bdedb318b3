"""Vectors of texts from a chat model: the mean of its last hidden state over a text's tokens. Owner thread.

The model's head is not computed. Texts are padded on the right: what comes later changes nothing for a causal model.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache

# where the models of mlx-lm keep what is below their head
_BODIES = ("model", "language_model.model", "transformer", "backbone")


class MeanPooler:
    """Makes vectors with a loaded model; see `of`."""

    def __init__(self, model: Any, body: Callable[..., mx.array], size: int) -> None:
        self._model = model
        self._body = body
        self.size = size

    @classmethod
    def of(cls, model: Any) -> MeanPooler | None:
        """None for a model whose last hidden state is hidden. Only shapes are looked at: nothing is computed."""
        for path in _BODIES:
            body = _part(model, path)
            if callable(body) and (size := _width(body)) is not None:
                return cls(model, body, size)
        return None

    def begin(self, texts: Seq[Seq[int]]) -> MeanPass:
        return MeanPass(self._body, make_prompt_cache(self._model), texts, self.size)


class MeanPass:
    """Some texts on their way through the model, together, as many columns of their tokens at a time as one wants."""

    def __init__(self, body: Callable[..., mx.array], cache: list[Any], texts: Seq[Seq[int]], size: int) -> None:
        self._body = body
        self._cache = cache
        self._lengths = np.array([len(text) for text in texts])
        self._done, self._columns = 0, int(self._lengths.max())
        padded = np.zeros((len(texts), self._columns), np.int32)
        for row, text in enumerate(texts):
            padded[row, : len(text)] = text
        self._tokens = mx.array(padded)
        self._sum = mx.zeros((len(texts), size))

    @property
    def left(self) -> int:
        """Columns that are still to be computed."""
        return self._columns - self._done

    def compute(self, columns: int) -> None:
        end = min(self._done + columns, self._columns)
        hidden = self._body(self._tokens[:, self._done : end], cache=self._cache).astype(mx.float32)
        real = np.arange(self._done, end)[None] < self._lengths[:, None]
        self._sum = self._sum + mx.where(mx.array(real)[..., None], hidden, 0.0).sum(axis=1)
        mx.eval(self._sum, [each.state for each in self._cache])
        self._done = end

    def vectors(self) -> Any:
        """The mean of each text, a row each, when nothing is left."""
        return np.array(self._sum, np.float32) / self._lengths[:, None].astype(np.float32)


def _part(model: Any, path: str) -> Any:
    for name in path.split("."):
        model = getattr(model, name, None)
    return model


def _width(body: Callable[..., Any]) -> int | None:
    """How wide the body's output is, if it is a hidden state."""
    try:
        shape = body(mx.array([[1, 1]])).shape
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # an architecture that wants other arguments
        return None
    return int(shape[2]) if len(shape) == 3 and tuple(shape[:2]) == (1, 2) else None
