"""What takes the place of MLX's quantised layers: the same call, the product by `products`. Owner thread.

Each product waits for MLX: it reads the input where MLX left it. So what has the same input is computed together.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn

from src.engine.mlx.kernels import products
from src.engine.mlx.kernels.head import is_skipped
from src.engine.mlx.kernels.matrices import Matrix, matrix_of
from src.engine.mlx.kernels.products import Product


class Int8Module(nn.Module):  # type: ignore[misc]  # MLX's stub says Any
    """A layer whose matrices are outside MLX; `kernel_bytes` and `kernel_parameters` are what it holds there."""

    kernel_bytes: int
    kernel_parameters: int


class Shared:
    """A product for several layers with the same input: the first that is called computes it for all."""

    def __init__(self, product: Product, count: int) -> None:
        self._product, self._count = product, count
        self._input: mx.array | None = None
        self._left: dict[int, mx.array] = {}

    def output(self, at: int, x: mx.array) -> mx.array:
        if self._input is not x or at not in self._left:
            self._left = dict(enumerate(run(self._product, x)))
            self._input = x
        found = self._left.pop(at)
        if not self._left:
            self._input = None
        return found


class Int8Linear(Int8Module):
    """A linear layer, one of those that share a product."""

    def __init__(self, shared: Shared, at: int, matrix: Matrix, *, head: bool = False) -> None:
        super().__init__()
        self._shared, self._at = shared, at
        self._head, self._width = head, matrix.outputs
        self.kernel_bytes = matrix.nbytes
        self.kernel_parameters = matrix.parameters

    def __call__(self, x: mx.array) -> mx.array:
        if self._head and is_skipped():
            return mx.zeros((*x.shape[:-1], self._width))
        return self._shared.output(self._at, x)


class Int8GatedMlp(Int8Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, gate: Matrix, up: Matrix, down: Matrix) -> None:
        super().__init__()
        self._product = products.gated(gate, up, down)
        self.kernel_bytes, self.kernel_parameters = self._product.nbytes, self._product.parameters

    def __call__(self, x: mx.array) -> mx.array:
        return run(self._product, x)[0]


class PackedEmbedding(Int8Module):
    """Looks tokens up in the packed matrix; as a head it is a product."""

    def __init__(self, found: Any, *, head: bool) -> None:
        super().__init__()
        self.weight, self.scales, self.biases = found.weight, found.scales, found.biases
        self.group_size, self.bits = found.group_size, found.bits
        self._product = products.linear([matrix_of(found)]) if head else None
        self.kernel_bytes, self.kernel_parameters = self._product.nbytes if self._product is not None else 0, 0

    def __call__(self, x: mx.array) -> mx.array:
        return mx.dequantize(self.weight[x], self.scales[x], self.biases[x], group_size=self.group_size, bits=self.bits)

    def as_linear(self, x: mx.array) -> mx.array:
        if self._product is None:
            raise RuntimeError("This model has a head of its own.")
        if is_skipped():
            return mx.zeros((*x.shape[:-1], self.scales.shape[0]))
        return run(self._product, x)[0]


def shared_linears(found: list[Any], *, head: bool = False) -> list[Int8Linear]:
    """For quantised layers with the same input."""
    parts = [matrix_of(module) for module in found]
    shared = Shared(products.linear(parts), len(parts))
    return [Int8Linear(shared, at, part, head=head) for at, part in enumerate(parts)]


def run(product: Product, *arrays: mx.array) -> list[mx.array]:
    """The outputs for all vectors of arrays [..., width]."""
    shape = arrays[0].shape[:-1]
    rows = [x.reshape(-1, width).astype(mx.float32) for x, width in zip(arrays, product.inputs, strict=True)]
    mx.eval(rows)
    outputs = product(*(np.array(each, copy=False) for each in rows))
    return [mx.array(output).reshape(*shape, output.shape[1]) for output in outputs]
