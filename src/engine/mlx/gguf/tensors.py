"""A GGUF file's tensors as those of an MLX checkpoint: what each becomes, and its computation when its turn comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from gguf.constants import GGMLQuantizationType as Kind
from numpy.typing import NDArray

from src.engine.mlx.gguf import blocks
from src.engine.mlx.gguf.architectures import Architecture, architecture, head_dim
from src.engine.mlx.gguf.hyper import HyperParameters
from src.engine.mlx.gguf.metadata import Gguf, GgufTensor
from src.errors import ModelLoadFailed

Array = NDArray[Any]

_PLAIN = {Kind.F32: "F32", Kind.F16: "F16", Kind.BF16: "BF16"}
_NUMPY = {Kind.F32: "<f4", Kind.F16: "<f2", Kind.BF16: "<u2"}  # numpy has no bfloat16: its bits
_CHUNK = 64 << 20  # bytes of a tensor that are converted at once


@dataclass(frozen=True)
class Entry:
    """One array of a safetensors file."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape) * {"F32": 4, "U32": 4, "F16": 2, "BF16": 2}[self.dtype]


@dataclass(frozen=True)
class Conversion:
    """One tensor on its way. `module`: its name in MLX without the suffix."""

    tensor: GgufTensor
    module: str
    suffix: str
    heads: int | None = None  # rows of this many heads are in llama.cpp's order
    shifted: bool = False
    scale_type: str = "F16"
    narrow_type: str | None = None  # of a vector whose values this type holds exactly

    @property
    def quantized(self) -> bool:
        return self.tensor.kind not in _PLAIN

    @property
    def bits(self) -> int:
        return blocks.block_format(self.tensor.kind).bits

    def entries(self) -> tuple[Entry, ...]:
        shape, name = self.tensor.shape, f"{self.module}.{self.suffix}"
        if not self.quantized:
            return (Entry(name, self._plain_type(), shape),)
        *rows, columns = shape
        words, groups = (*rows, columns * self.bits // 32), (*rows, columns // blocks.GROUP)
        scales = (Entry(f"{self.module}.{part}", self.scale_type, groups) for part in ("scales", "biases"))
        return (Entry(name, "U32", words), *scales)

    def arrays(self) -> tuple[Array, ...]:
        """One for each of its entries.

        Raises:
            ValueError: for weights that cannot be converted.
        """
        if not self.quantized:
            return (self._plain(),)
        scale_type = np.float32 if self.scale_type == "F32" else np.float16
        parts = [blocks.pack(rows, self.tensor.kind, scale_type) for rows in self._row_chunks()]
        joined = (np.concatenate([getattr(part, name) for part in parts]) for name in ("weight", "scales", "biases"))
        return tuple(self._ordered(array) for array in joined)

    def _plain_type(self) -> str:
        narrow = self.narrow_type
        return narrow if narrow is not None and self._fits(narrow) else _PLAIN[self.tensor.kind]

    def _plain(self) -> Array:
        values = self._values()
        return self._ordered(_as(values, self._plain_type()) if self.tensor.kind is Kind.F32 else values)

    def _fits(self, dtype: str) -> bool:
        values = self._values()
        return bool(np.array_equal(_widened(_as(values, dtype), dtype), values))

    def _values(self) -> Array:
        raw = np.memmap(
            self.tensor.file, dtype=np.uint8, mode="r", offset=self.tensor.offset, shape=(self.tensor.size,)
        )
        values = raw.view(_NUMPY[self.tensor.kind]).reshape(self.tensor.shape)
        return values - np.float32(1) if self.shifted else values

    def _row_chunks(self) -> Iterator[NDArray[np.uint8]]:
        rows = prod(self.tensor.shape[:-1])
        shape = (rows, self.tensor.size // rows)
        raw = np.memmap(self.tensor.file, dtype=np.uint8, mode="r", offset=self.tensor.offset, shape=shape)
        step = max(1, _CHUNK // shape[1])
        for begin in range(0, rows, step):
            yield np.ascontiguousarray(raw[begin : begin + step])

    def _ordered(self, array: Array) -> Array:
        """Rows in MLX's order: of a head, the first halves of its rotary pairs, then the second."""
        if self.heads is None:
            return array
        pairs = array.reshape(self.heads, -1, 2, *array.shape[1:])
        return pairs.swapaxes(1, 2).reshape(array.shape)


def conversions(file: Gguf) -> list[Conversion]:
    """All tensors that the checkpoint has.

    Raises:
        ModelLoadFailed: for one that has no place in its architecture.
    """
    name, found = architecture(file)
    hyper, most = HyperParameters(file, name), _most_weights(file)
    return [one for tensor in file.tensors.values() if (one := _conversion(tensor, hyper, found, most))]


def _conversion(tensor: GgufTensor, hyper: HyperParameters, found: Architecture, most: str) -> Conversion | None:
    part, _, suffix = tensor.name.rpartition(".")
    try:
        module = found.module(part)
    except KeyError:
        text = f"{hyper.file.name} has a tensor {tensor.name[:80]}, which is not known in {hyper.architecture}."
        raise ModelLoadFailed(text) from None
    if module is None:
        return None
    plain = tensor.kind in _PLAIN
    if suffix not in ("weight", "bias") or not (plain or tensor.shape[-1] % blocks.GROUP == 0):
        raise ModelLoadFailed(f"{hyper.file.name} has a tensor {tensor.name[:80]} that cannot be converted.")
    vector = len(tensor.shape) == 1 and tensor.kind is Kind.F32
    wide = found.wide and most == "F16"
    return Conversion(
        tensor,
        module,
        suffix,
        heads=_permuted_heads(tensor, module, hyper, found),
        shifted=found.shifted_norms and vector and module.endswith("norm"),
        scale_type="F32" if wide or most == "F32" else "F16",
        narrow_type=most if vector and not wide and most != "F32" else None,
    )


def _permuted_heads(tensor: GgufTensor, module: str, hyper: HyperParameters, found: Architecture) -> int | None:
    if not found.permuted or not module.endswith(("q_proj", "k_proj")):
        return None
    heads = tensor.shape[0] // head_dim(hyper)
    if heads < 1 or heads * head_dim(hyper) != tensor.shape[0] or head_dim(hyper) % 2:
        raise ModelLoadFailed(f"{hyper.file.name} has a tensor {tensor.name[:80]} of {tensor.shape[0]} rows.")
    return heads


def _most_weights(file: Gguf) -> str:
    """The type that most weights are in, or their scales."""
    sizes: dict[str, int] = {}
    for tensor in file.tensors.values():
        if len(tensor.shape) > 1:
            kind = _PLAIN.get(tensor.kind, "F16")
            sizes[kind] = sizes.get(kind, 0) + tensor.size
    return max(sizes, key=lambda kind: sizes[kind], default="F32")


def _as(values: Array, dtype: str) -> Array:
    if dtype == "BF16":
        return (np.ascontiguousarray(values, dtype="<f4").view("<u4") >> 16).astype("<u2")
    with np.errstate(over="ignore"):
        return values.astype("<f2" if dtype == "F16" else "<f4")


def _widened(values: Array, dtype: str) -> Array:
    if dtype == "BF16":
        return (values.astype("<u4") << 16).view("<f4")
    return values.astype("<f4")
