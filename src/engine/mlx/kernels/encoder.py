"""BERT's and XLM-R's layers in fp32 as graphs for onnxruntime, which fuses what MLX computes op by op on a CPU.

In the place of mlx-vlm's `encoder`: embeddings, pooling and heads stay with MLX. Owner thread.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from src.engine.mlx.kernels.onnx_graph import Graph, Value
from src.engine.mlx.kernels.products import session

_ARCHITECTURES = ("bert", "xlm_roberta")
_HEADS = ("query", "key", "value")
Floats = NDArray[np.float32]


class FusedEncoder(nn.Module):  # type: ignore[misc]  # MLX's stub says Any
    """All layers of an encoder. Texts are padded on the right: of the mask their lengths are all that counts.

    A graph for each layer, which is taken off the list then: while it becomes a session its weights are in memory five
    times.
    """

    kernel_dtype = "float32"

    def __init__(self, layers: list[Any]) -> None:
        super().__init__()
        count = sum(array.size for layer in layers for array in _arrays(layer))
        self.kernel_bytes, self.kernel_parameters = 4 * count, count
        self._layers: list[tuple[str, Any]] = []
        while layers:
            name, model = _graph(layers.pop(0))
            self._layers.append((name, session(model)))
            mx.clear_cache()

    def __call__(self, hidden: mx.array, mask: mx.array) -> mx.array:
        lengths = (mask[:, 0, 0, :] == 0).sum(axis=-1).astype(mx.int32)
        mx.eval(hidden, lengths)
        found, counts = np.array(hidden, copy=False), np.array(lengths, copy=False)
        for name, layer in self._layers:
            (found,) = layer.run([name], {"hidden": found, "lengths": counts})
        return mx.array(found)


def fuse(model: Any) -> bool:
    """Replace the layers of a model that is loaded, if they are known here and in fp32; whether they are."""
    if model.config.model_type not in _ARCHITECTURES:
        return False
    layers = model.encoder.layer
    if not all(type(part) is nn.Linear for layer in layers for part in _linears(layer)):
        return False
    if {array.dtype for layer in layers for array in _arrays(layer)} != {mx.float32}:
        return False
    model.encoder = FusedEncoder(layers)
    return True


def _linears(layer: Any) -> list[Any]:
    attention = layer.attention
    own = [getattr(attention.self, name) for name in _HEADS]
    return [*own, attention.output.dense, layer.intermediate.dense, layer.output.dense]


def _arrays(layer: Any) -> list[mx.array]:
    norms = (layer.attention.output.LayerNorm, layer.output.LayerNorm)
    return [array for part in (*_linears(layer), *norms) for array in (part.weight, part.bias)]


def _graph(layer: Any) -> tuple[str, bytes]:
    """The model of a layer, and the name of its output."""
    graph, attention, wide = Graph(), layer.attention, layer.intermediate.dense
    heads = [getattr(attention.self, name) for name in _HEADS]
    products = [_product(graph, "hidden", head) for head in heads]
    biases = graph.weight(np.concatenate([_floats(head.bias) for head in heads]))
    count = int(attention.self.num_attention_heads)
    attended = graph.node("MultiHeadAttention", [*products, biases, "lengths"], num_heads=count)
    middle = _added(graph, attended, "hidden", attention.output)
    active = graph.node("BiasGelu", [_product(graph, middle, wide), graph.weight(_floats(wide.bias))])
    made = _added(graph, active, middle, layer.output)
    shape = ("texts", "tokens", int(layer.output.dense.weight.shape[0]))
    lengths = Value("lengths", ("texts",), np.dtype(np.int32))
    return made, graph.build([Value("hidden", shape), lengths], [Value(made, shape)])


def _product(graph: Graph, source: str, linear: Any) -> str:
    """Without its bias."""
    return graph.node("MatMul", [source, graph.weight(np.ascontiguousarray(_floats(linear.weight).T))])


def _added(graph: Graph, source: str, residual: str, part: Any) -> str:
    """The norm of a product and what it is added to."""
    norm = [graph.weight(_floats(array)) for array in (part.LayerNorm.weight, part.LayerNorm.bias, part.dense.bias)]
    inputs = [_product(graph, source, part.dense), residual, *norm]
    return graph.node("SkipLayerNormalization", inputs, epsilon=float(part.LayerNorm.eps))


def _floats(array: mx.array) -> Floats:
    return np.array(array)
