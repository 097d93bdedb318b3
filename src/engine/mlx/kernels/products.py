"""Products with quantised matrices by onnxruntime (MLAS): rows in, rows out, on one pool of threads. Owner thread.

A row's result has the same bits whatever rows are beside it: MLAS quantises each row's groups to 8 bits by themselves.
Where its kernels add them in another order for one row than for several (`row_multiple`), rows are filled up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from src.engine.mlx.kernels.matrices import Matrix, joined
from src.engine.mlx.kernels.onnx_graph import Graph, Value

Floats = NDArray[np.float32]
_INT8 = 4  # MatMulNBits' accuracy_level: activations in 8 bits
_ERRORS_ONLY = 3
_LINE = 16  # numbers of a cache line
_MULTIPLES, _PROBED = (1, 2, 4, 8), 48
_PARTS = ((0, 1), (5, 6), (0, 2), (1, 4), (7, 12), (3, 20), (0, 33))


class Product:
    """A graph of some matrices; `inputs` are the widths of what it takes, `nbytes` those of its matrices."""

    def __init__(
        self,
        graph: Graph,
        inputs: Seq[tuple[str, int]],
        outputs: Seq[tuple[str, int]],
        parts: list[Matrix],
        multiple: int | None = None,
    ) -> None:
        given, made = ([Value(name, ("rows", width)) for name, width in each] for each in (inputs, outputs))
        self._session = session(graph.build(given, made))
        self._sources = [name for name, _ in inputs]
        self._names = [name for name, _ in outputs]
        self._multiple = multiple or max(row_multiple(part.bits, part.group) for part in parts)
        self.inputs, self.nbytes = [width for _, width in inputs], sum(part.nbytes for part in parts)
        self.parameters = sum(part.parameters for part in parts)

    def __call__(self, *inputs: Floats) -> list[Floats]:
        """Of as many rows of each input as there are."""
        count = len(inputs[0])
        filled = [_aligned(rows, -count % self._multiple) for rows in inputs]
        found: list[Floats] = self._session.run(self._names, dict(zip(self._sources, filled, strict=True)))
        return [output[:count] for output in found]


def linear(parts: list[Matrix], multiple: int | None = None) -> Product:
    """Of one or several matrices with the same input: an output each."""
    graph = Graph()
    outputs = _outputs(graph, "x", parts)
    return Product(graph, [("x", parts[0].inputs)], outputs, parts, multiple)


def gated(gate: Matrix, up: Matrix, down: Matrix) -> Product:
    """down(silu(gate(x)) * up(x)), whole."""
    graph = Graph()
    out = _gated(graph, "x", gate, up, down)
    return Product(graph, [("x", gate.inputs)], [(out, down.outputs)], [gate, up, down])


def normed(norm: Norm, parts: list[Matrix]) -> Product:
    """Of matrices behind a norm."""
    graph = Graph()
    outputs = _outputs(graph, norm.node(graph, "x"), parts)
    return Product(graph, [("x", parts[0].inputs)], outputs, parts)


def block(output: Matrix, norm: Norm, mlp: list[Matrix], following: tuple[Norm, list[Matrix]] | None) -> Product:
    """What is behind a block's attention, to the queries, keys and values of the `following` block, if there is one.

    It takes what attention found, and the block's input; its first output is the block's.
    """
    graph, width = Graph(), output.outputs
    middle = graph.node("Add", ["x", _product(graph, "attended", output)])
    end = graph.node("Add", [middle, _gated(graph, norm.node(graph, middle), *mlp)])
    outputs, parts = [(end, width)], [output, *mlp]
    if following is not None:
        outputs += _outputs(graph, following[0].node(graph, end), following[1])
        parts += following[1]
    return Product(graph, [("attended", output.inputs), ("x", width)], outputs, parts)


@dataclass(frozen=True)
class Norm:
    """A root-mean-square norm."""

    weight: Floats
    eps: float

    def node(self, graph: Graph, source: str) -> str:
        return graph.node(
            "SimplifiedLayerNormalization", [source, graph.weight(self.weight)], axis=-1, epsilon=float(self.eps)
        )


def _gated(graph: Graph, source: str, gate: Matrix, up: Matrix, down: Matrix) -> str:
    opened, wide = _products(graph, source, [gate, up])
    silu = graph.node("Mul", [opened, graph.node("Sigmoid", [opened])])
    return _product(graph, graph.node("Mul", [silu, wide]), down)


def _outputs(graph: Graph, source: str, parts: list[Matrix]) -> list[tuple[str, int]]:
    """Names and widths of products with the same input."""
    return list(zip(_products(graph, source, parts), (part.outputs for part in parts), strict=True))


def _products(graph: Graph, source: str, parts: list[Matrix]) -> list[str]:
    """Of the same input: as one product where the matrices are of one kind, divided afterwards."""
    whole = joined(parts)
    if len(parts) == 1 or whole is None:
        return [_product(graph, source, part) for part in parts]
    ends = graph.weight(np.array([part.outputs for part in parts], np.int64))
    names = [f"{source}.{at}" for at in range(len(parts))]
    graph.node("Split", [_product(graph, source, whole), ends], outputs=names, axis=1)
    return names


def _product(graph: Graph, source: str, matrix: Matrix) -> str:
    values, scales = graph.weight(matrix.values), graph.weight(matrix.scales.reshape(-1))
    found = graph.node(
        "MatMulNBits",
        [source, values, scales],
        K=matrix.inputs,
        N=matrix.outputs,
        bits=matrix.bits,
        block_size=matrix.group,
        accuracy_level=_INT8,
    )
    groups = graph.weight(np.array([-1, matrix.inputs // matrix.group, matrix.group], np.int64))
    last = graph.weight(np.array([2], np.int64))
    sums = graph.node("ReduceSum", [graph.node("Reshape", [source, groups]), last], keepdims=0)
    found = graph.node("Add", [found, graph.node("MatMul", [sums, graph.weight(matrix.offsets.T)])])
    return found if matrix.bias is None else graph.node("Add", [found, graph.weight(matrix.bias)])


def _aligned(rows: Floats, more: int) -> Floats:
    """A copy where a cache line begins, with some rows of nothing: sums are made in another order elsewhere."""
    count, width = rows.shape
    room = np.empty((count + more) * width + _LINE, np.float32)
    begin = -room.ctypes.data // room.itemsize % _LINE
    filled = room[begin : begin + (count + more) * width].reshape(-1, width)
    filled[:count], filled[count:] = rows, 0.0
    return filled


@cache
def row_multiple(bits: int, group: int) -> int:
    """The fewest rows, of which any multiple is computed alike on this processor; tried, for no one promises it."""
    chance = np.random.default_rng(bits * group)
    values = chance.integers(0, 256, (_PROBED, 4, group * bits // 8), dtype=np.uint8)
    scales, offsets = chance.random((2, _PROBED, 4), dtype=np.float32) + np.float32(0.5)
    matrix = Matrix(bits, group, values, scales, offsets, None)
    rows = chance.standard_normal((_PROBED, matrix.inputs), dtype=np.float32)
    wanted = linear([matrix], 1)(rows)[0]
    for multiple in _MULTIPLES:
        product = linear([matrix], multiple)
        if all(np.array_equal(product(rows[at:end])[0], wanted[at:end]) for at, end in _PARTS):
            return multiple
    raise ArithmeticError(f"int8 kernels for {bits} bits in groups of {group}: a row depends on those beside it")


@cache
def _threads() -> int:
    """One pool for all sessions of this process, a thread for each core it may use; set before the first session."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    onnxruntime.set_global_thread_pool_sizes(count, 1)
    return count


def session(model: bytes) -> Any:
    """A model that can be run, on the process's one pool of threads."""
    _threads()
    options = onnxruntime.SessionOptions()
    options.use_per_session_threads = False
    options.enable_cpu_mem_arena = False  # each would keep the activations of the longest prompt
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session._model_bytes = None  # noqa: SLF001  # kept for a change of providers: as much again as the weights
    return session
