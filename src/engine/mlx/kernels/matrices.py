"""Quantised matrices as onnxruntime's `MatMulNBits` takes them, made of MLX's. Owner thread, at load.

MLX: w = q * scale + bias, for each group of a row. `MatMulNBits`: w = (q - 2^(bits - 1)) * scale. What is left
over is (bias + 2^(bits - 1) * scale) for each group, times the sum of that group of the input: a small product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

BITS, GROUPS = (4, 8), (32, 64, 128)


@dataclass(frozen=True)
class Matrix:
    """[outputs, inputs] in groups: `values` [outputs, groups, bytes], `scales` and `offsets` [outputs, groups]."""

    bits: int
    group: int
    values: NDArray[np.uint8]
    scales: NDArray[np.float32]
    offsets: NDArray[np.float32]
    bias: NDArray[np.float32] | None

    @property
    def inputs(self) -> int:
        return int(self.scales.shape[1]) * self.group

    @property
    def outputs(self) -> int:
        return int(self.scales.shape[0])

    @property
    def parameters(self) -> int:
        return self.inputs * self.outputs + (self.bias.size if self.bias is not None else 0)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.scales.nbytes + self.offsets.nbytes


def supported(module: Any) -> bool:
    """Whether a quantised layer of MLX can be taken."""
    if getattr(module, "mode", None) != "affine" or module.get("biases") is None:
        return False
    return module.bits in BITS and module.group_size in GROUPS and module.weight.ndim == 2


def matrix_of(module: Any) -> Matrix:
    """A supported layer's matrix; the layer's own arrays may go afterwards."""
    scales, offsets = _floats(module.scales), _floats(module.biases)
    half = np.float32(1 << (module.bits - 1))
    words = np.ascontiguousarray(np.array(module.weight))  # MLX fills each word from its low end: the same bytes
    values = words.view(np.uint8).reshape(*scales.shape, module.group_size * module.bits // 8)
    bias = _floats(module.bias) if "bias" in module else None
    return Matrix(module.bits, module.group_size, values, scales, offsets + half * scales, bias)


def joined(parts: list[Matrix]) -> Matrix | None:
    """Matrices of the same inputs one above the other; None if they are of different kinds."""
    if len({(part.bits, part.group, part.inputs) for part in parts}) > 1:
        return None
    bias = None
    if any(part.bias is not None for part in parts):
        bias = np.concatenate([_bias(part) for part in parts])
    return Matrix(
        parts[0].bits,
        parts[0].group,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate([part.offsets for part in parts]),
        bias,
    )


def _bias(part: Matrix) -> NDArray[np.float32]:
    return part.bias if part.bias is not None else np.zeros(part.outputs, np.float32)


def _floats(array: mx.array) -> NDArray[np.float32]:
    return np.array(array.astype(mx.float32))
