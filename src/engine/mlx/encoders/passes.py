"""What an encoder computes of some texts: a vector each, or the score of a pair. Owner thread.

A text is read whole, in both directions: a pass is one step. Rows are padded on the right, and the padding is masked.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx_vlm.models.pooling import pool_by_config
from numpy.typing import NDArray

from src.engine.mlx.encoders import activations

# ids, mask, and which of two texts a token is of
Forward = Callable[[mx.array, mx.array, mx.array], mx.array]


class Encoder:
    """An `Embedder` of a loaded model. `separator`: the token between the texts of a pair, where types are told."""

    def __init__(self, forward: Forward, size: int, padding: int, separator: int | None = None) -> None:
        self._forward, self._padding, self._separator = forward, padding, separator
        self.size = size

    def begin(self, texts: Seq[Seq[int]]) -> EncoderPass:
        return EncoderPass(lambda: self._compute(texts), max(map(len, texts)))

    def _compute(self, texts: Seq[Seq[int]]) -> NDArray[np.float32]:
        lengths = np.array([len(text) for text in texts])
        ids = np.full((len(texts), int(lengths.max())), self._padding, np.int32)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
        mask = (np.arange(ids.shape[1])[None] < lengths[:, None]).astype(np.int32)
        found = self._forward(mx.array(ids), mx.array(mask), mx.array(self._types(ids) * mask))
        return np.array(found.astype(mx.float32), np.float32)

    def _types(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """1 behind the first separator, where a second text stands."""
        if self._separator is None:
            return np.zeros_like(ids)
        ends = (ids == self._separator).cumsum(axis=1)
        behind = (ends - (ids == self._separator)) >= 1
        types: NDArray[np.int32] = (behind & (ends[:, -1:] > 1)).astype(np.int32)
        return types


class EncoderPass:
    """Some texts on their way through the model."""

    def __init__(self, compute: Callable[[], NDArray[np.float32]], columns: int) -> None:
        self._compute = compute
        self._found: NDArray[np.float32] | None = None
        self.left = columns

    def compute(self, columns: int) -> None:
        """All of them: no part of a text can be computed alone."""
        del columns
        self._found, self.left = self._compute(), 0

    def vectors(self) -> NDArray[np.float32]:
        if self._found is None:
            raise RuntimeError("the pass is not computed yet")
        return self._found


def mended(model: Any, *, cpu: bool) -> Any:
    """ModernBERT with the activation that its configuration names, of which mlx-vlm takes an approximation; on a Linux
    CPU (`cpu`) one that is quicker there, for BERT and XLM-R too."""
    activation = activations.gelu if cpu else nn.GELU()
    if model.config.model_type == "modernbert":
        for part in (*(layer.mlp for layer in model.layers), *filter(None, (getattr(model, "head", None),))):
            part.act = activation
    for layer in model.layers:
        if hasattr(layer, "intermediate"):
            layer.intermediate.intermediate_act_fn = activation
    return model


def pooled(model: Any, pooling: dict[str, Any]) -> Forward:
    """Vectors by the checkpoint's pooling, at their own length."""

    def forward(ids: mx.array, mask: mx.array, types: mx.array) -> mx.array:
        hidden = model(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        vectors: mx.array = pool_by_config(hidden.astype(mx.float32), mask, pooling)
        return vectors

    return forward


def projected(model: Any, pooling: dict[str, Any], window: int) -> Forward:
    """EmbeddingGemma's vectors: attention in both directions, in most layers only so far as half its window; a
    projection behind the pooling. (mlx-vlm's own pass has no window: longer texts would get other vectors.)"""

    def forward(ids: mx.array, mask: mx.array, types: mx.array) -> mx.array:
        del types
        body = model.model
        hidden = body.embed_tokens(ids)
        hidden = hidden * mx.array(body.config.hidden_size**0.5, mx.bfloat16).astype(hidden.dtype)
        every = mask[:, None, None, :].astype(mx.bool_)
        places = mx.arange(ids.shape[1])
        near = every & (mx.abs(places[None] - places[:, None]) <= window // 2)[None, None]
        for layer in body.layers:
            hidden = layer(hidden, near if layer.self_attn.is_sliding else every, None)
        vectors: mx.array = pool_by_config(body.norm(hidden), mask, pooling)
        for dense in model.dense:
            vectors = dense(vectors)
        return vectors

    return forward


def classified(model: Any) -> Forward:
    """The relevance of a pair, from 0 to 1."""
    return lambda ids, mask, types: mx.sigmoid(
        model(ids, attention_mask=mask, token_type_ids=types).logits.astype(mx.float32)
    )
