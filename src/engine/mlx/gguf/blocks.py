"""GGUF's blocks as MLX's groups of 32: bit for bit where MLX has the same grid, else requantised with more bits.

Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 keep their integers and their scales. Q4_K and Q5_K keep their integers; a scale of
theirs is the product of two and is rounded once. All others go through the `gguf` package's dequantisation and MLX's
quantisation, at no fewer bits. Owner thread, or the process of `run.py import`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Kind
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

GROUP = 32
_K_GROUPS = 8  # groups in a block of a K-quant


@dataclass(frozen=True)
class Packed:
    """A quantised matrix as MLX keeps it, by rows."""

    weight: NDArray[np.uint32]
    scales: Floats
    biases: Floats


@dataclass(frozen=True)
class Quants:
    """Blocks by group: what is stored (`integers`: groups × 32), and weight = scale × integer + bias."""

    integers: Bytes
    scales: Floats
    biases: Floats


@dataclass(frozen=True)
class BlockFormat:
    """How blocks of a kind become MLX's: `unpack` is None where they are requantised."""

    bits: int
    unpack: Callable[[Bytes], Quants] | None = None
    rounds_scales: bool = False


def _half(blocks: Bytes, at: int) -> Floats:
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16)


def _nibbles(packed: Bytes) -> Bytes:
    """The low halves of all bytes, then the high ones."""
    return np.concatenate([packed & 0x0F, packed >> 4], axis=-1)


def _fifth_bits(packed: Bytes) -> Bytes:
    return np.unpackbits(np.ascontiguousarray(packed), axis=-1, bitorder="little") << np.uint8(4)


def _q4_0(blocks: Bytes) -> Quants:
    scales = _half(blocks, 0)
    return Quants(_nibbles(blocks[:, 2:]), scales, scales * np.float16(-8))


def _q4_1(blocks: Bytes) -> Quants:
    return Quants(_nibbles(blocks[:, 4:]), _half(blocks, 0), _half(blocks, 2))


def _q5_0(blocks: Bytes) -> Quants:
    scales = _half(blocks, 0)
    return Quants(_nibbles(blocks[:, 6:]) | _fifth_bits(blocks[:, 2:6]), scales, scales * np.float16(-16))


def _q5_1(blocks: Bytes) -> Quants:
    return Quants(_nibbles(blocks[:, 8:]) | _fifth_bits(blocks[:, 4:8]), _half(blocks, 0), _half(blocks, 2))


def _q8_0(blocks: Bytes) -> Quants:
    scales = _half(blocks, 0)
    return Quants(blocks[:, 2:] ^ np.uint8(0x80), scales, scales * np.float16(-128))


def _k_scales(blocks: Bytes) -> tuple[Floats, Floats]:
    """Scales and biases of a K-quant's groups: six bits each, packed into 12 bytes behind their two factors."""
    low, middle, high = (blocks[:, at : at + 4] for at in (4, 8, 12))
    scales = np.concatenate([low & 0x3F, (high & 0x0F) | ((low >> 6) << 4)], axis=-1)
    least = np.concatenate([middle & 0x3F, (high >> 4) | ((middle >> 6) << 4)], axis=-1)
    factor, least_factor = (_half(blocks, at).astype(np.float32) for at in (0, 2))
    return (factor * scales).reshape(-1, 1), (-least_factor * least).reshape(-1, 1)


def _k_nibbles(packed: Bytes) -> Bytes:
    return _nibbles(packed.reshape(-1, _K_GROUPS // 2, GROUP)).reshape(-1, GROUP)


def _q4_k(blocks: Bytes) -> Quants:
    return Quants(_k_nibbles(blocks[:, 16:]), *_k_scales(blocks))


def _q5_k(blocks: Bytes) -> Quants:
    planes = np.unpackbits(blocks[:, 16:48, None], axis=-1, bitorder="little")  # block, element, group
    fifth = planes.swapaxes(1, 2).reshape(-1, GROUP) << np.uint8(4)
    return Quants(_k_nibbles(blocks[:, 48:]) | fifth, *_k_scales(blocks))


_FORMATS: dict[Kind, BlockFormat] = {
    Kind.Q4_0: BlockFormat(4, _q4_0),
    Kind.Q4_1: BlockFormat(4, _q4_1),
    Kind.Q5_0: BlockFormat(5, _q5_0),
    Kind.Q5_1: BlockFormat(5, _q5_1),
    Kind.Q8_0: BlockFormat(8, _q8_0),
    Kind.Q4_K: BlockFormat(4, _q4_k, rounds_scales=True),
    Kind.Q5_K: BlockFormat(5, _q5_k, rounds_scales=True),
    Kind.Q2_K: BlockFormat(4),
    Kind.Q3_K: BlockFormat(6),
    Kind.IQ4_NL: BlockFormat(6),
    Kind.IQ4_XS: BlockFormat(6),
}
_OTHERS = BlockFormat(8)


def block_format(kind: Kind) -> BlockFormat:
    return _FORMATS.get(kind, _OTHERS)


def pack(rows: Bytes, kind: Kind, scale_type: type[np.floating[Any]]) -> Packed:
    """Rows of raw blocks as MLX has them.

    Args:
        rows: the bytes of each row.
        scale_type: of the result; a scale that it cannot hold is an error.

    Raises:
        ValueError: for a kind that cannot be dequantised, or a scale out of range.
    """
    found = block_format(kind)
    if found.unpack is None:
        return _requantised(rows, kind, found.bits, scale_type)
    block = rows.shape[1] // _blocks_per_row(rows, kind)
    unpacked = found.unpack(rows.reshape(-1, block))
    scales, biases = (_narrowed(part, scale_type).reshape(len(rows), -1) for part in (unpacked.scales, unpacked.biases))
    return Packed(_stream(unpacked.integers, found.bits).reshape(len(rows), -1), scales, biases)


def dequantised(rows: Bytes, kind: Kind) -> NDArray[np.float32]:
    """Raises ValueError for a kind that the package cannot dequantise."""
    try:
        floats: NDArray[np.float32] = quants.dequantize(rows, kind)
    except NotImplementedError:
        raise ValueError(f"Tensors of type {kind.name} cannot be dequantised here.") from None
    return floats


def _blocks_per_row(rows: Bytes, kind: Kind) -> int:
    block_bytes: int = GGML_QUANT_SIZES[kind][1]
    return int(rows.shape[1]) // block_bytes


def _requantised(rows: Bytes, kind: Kind, bits: int, scale_type: type[np.floating[Any]]) -> Packed:
    wide = mx.array(dequantised(rows, kind))
    parts = mx.quantize(wide, group_size=GROUP, bits=bits, stream=mx.cpu)
    weight, scales, biases = (np.array(part) for part in parts)
    return Packed(weight, _narrowed(scales, scale_type), _narrowed(biases, scale_type))


def _narrowed(values: Floats, scale_type: type[np.floating[Any]]) -> Floats:
    with np.errstate(over="ignore"):
        narrow: Floats = values.astype(scale_type)
    if not np.isfinite(narrow).all():
        raise ValueError("A scale of the weights is not a finite number.")
    return narrow


def _stream(integers: Bytes, bits: int) -> NDArray[np.uint32]:
    """Integers one behind another, the lowest bit first."""
    if bits == 8:
        packed = integers
    elif bits == 4:
        packed = integers[:, 0::2] | (integers[:, 1::2] << np.uint8(4))
    else:
        planes = np.unpackbits(integers[:, :, None], axis=-1, count=bits, bitorder="little")
        packed = np.packbits(planes.reshape(len(integers), -1), axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4")
