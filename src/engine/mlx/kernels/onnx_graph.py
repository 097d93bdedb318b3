"""Small ONNX graphs as bytes, for onnxruntime: written by hand, the `onnx` package being a large one for four messages.

Field numbers are those of onnx.proto3, which never change. Used by `products` and `encoder`, owner thread.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

import numpy as np

_IR_VERSION = 10
_OPSETS = (("", 21), ("com.microsoft", 1))
_MICROSOFT = frozenset({"MatMulNBits", "MultiHeadAttention", "BiasGelu", "SkipLayerNormalization"})
_FLOATS = np.dtype(np.float32)
_ELEMENTS = {_FLOATS: 1, np.dtype(np.uint8): 2, np.dtype(np.int32): 6, np.dtype(np.int64): 7}
_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_FLOAT, _INT = 1, 2  # AttributeProto.type


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | _BYTES) + _varint(len(data)) + data


@dataclass(frozen=True)
class Value:
    """An input or an output; a dimension with a name has any size."""

    name: str
    shape: tuple[str | int, ...]
    dtype: np.dtype[Any] = _FLOATS


class Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []
        self._count = 0

    def node(self, operator: str, inputs: Seq[str], outputs: Seq[str] = (), **options: int | float) -> str:
        """Add an operator; returns the name of its (first) output."""
        names = outputs or (self._name(),)
        parts = [_bytes(1, name) for name in inputs] + [_bytes(2, name) for name in names] + [_bytes(4, operator)]
        for name, value in options.items():
            parts.append(_bytes(5, _bytes(1, name) + _attribute(value)))
        if operator in _MICROSOFT:
            parts.append(_bytes(7, _OPSETS[1][0]))
        self._nodes.append(b"".join(parts))
        return names[0]

    def weight(self, array: Any) -> str:
        """Add a constant; returns its name."""
        name = self._name()
        sizes = b"".join(_number(1, size) for size in array.shape)
        data = np.ascontiguousarray(array).tobytes()
        self._weights.append(sizes + _number(2, _ELEMENTS[array.dtype]) + _bytes(8, name) + _bytes(9, data))
        return name

    def build(self, inputs: Seq[Value], outputs: Seq[Value]) -> bytes:
        """The model."""
        parts = [_bytes(1, node) for node in self._nodes] + [_bytes(2, "kernels")]
        parts += [_bytes(5, weight) for weight in self._weights]
        parts += [_bytes(11, _value(each)) for each in inputs] + [_bytes(12, _value(each)) for each in outputs]
        opsets = (_bytes(8, _bytes(1, domain) + _number(2, version)) for domain, version in _OPSETS)
        return _number(1, _IR_VERSION) + b"".join(opsets) + _bytes(7, b"".join(parts))

    def _name(self) -> str:
        self._count += 1
        return f"n{self._count}"


def _attribute(value: int | float) -> bytes:
    if isinstance(value, float):
        return _varint(2 << 3 | _FIXED32) + struct.pack("<f", value) + _number(20, _FLOAT)
    return _number(3, value) + _number(20, _INT)


def _value(value: Value) -> bytes:
    sizes = (_bytes(2, size) if isinstance(size, str) else _number(1, size) for size in value.shape)
    shape = b"".join(_bytes(1, size) for size in sizes)
    return _bytes(1, value.name) + _bytes(2, _bytes(1, _number(1, _ELEMENTS[value.dtype]) + _bytes(2, shape)))
