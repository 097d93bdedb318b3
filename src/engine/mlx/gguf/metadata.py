"""Reads the header of a GGUF file: metadata and the places of its tensors. Nothing of it is trusted: every count and
length is bounded, and checked against the file. Engine process, and `run.py import`'s; no MLX here.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeAlias

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from src.errors import ModelLoadFailed

Value: TypeAlias = "int | float | bool | str | list[Value]"

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_KEYS, _MOST_TENSORS, _MOST_DIMENSIONS = 10_000, 200_000, 4
_LONGEST_NAME, _LONGEST_STRING, _LONGEST_ARRAY = 1024, 16 << 20, 4_000_000
_MOST_METADATA = 512 << 20  # bytes of metadata in one file
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True)
class GgufTensor:
    """Where a tensor lies. `shape` as numpy and MLX have it: the last dimension is contiguous."""

    name: str
    kind: GGMLQuantizationType
    shape: tuple[int, ...]
    file: Path
    offset: int
    size: int


@dataclass(frozen=True)
class Gguf:
    """A model's metadata and tensors, of all its files."""

    name: str
    metadata: dict[str, Value]
    tensors: dict[str, GgufTensor]


def read(files: Sequence[Path]) -> Gguf:
    """The headers of a model's files.

    Raises:
        ModelLoadFailed: in one line, what is wrong with which file.
    """
    headers = [_read_file(file) for file in files]
    first = headers[0].metadata
    told = first.get("split.count", 1)
    if isinstance(told, int) and told not in (len(files), 0):
        raise ModelLoadFailed(f"{files[0].name} is one of {told} files; {len(files)} are here.")
    tensors = {name: tensor for header in headers for name, tensor in header.tensors.items()}
    return Gguf(files[0].name, first, tensors)


def _read_file(file: Path) -> Gguf:
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(file, data).read()
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise ModelLoadFailed(f"{file.name} cannot be read: {error}.") from None


class _Header:
    """Reads one file from its beginning."""

    def __init__(self, file: Path, data: mmap.mmap) -> None:
        self._file, self._data, self._at = file, data, 0

    def read(self) -> Gguf:
        if self._take(4) != _MAGIC:
            raise self._failure("is not a GGUF file")
        version = int(self._number("I"))
        if version not in _VERSIONS:
            raise self._failure(f"has GGUF version {version}, or another byte order; versions 2 and 3 can be read")
        tensors, keys = self._count("Q", _MOST_TENSORS, "tensors"), self._count("Q", _MOST_KEYS, "metadata keys")
        metadata = dict(self._pair() for _ in range(keys))
        entries = [self._entry() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise self._failure(f"has an alignment of {alignment!r}")
        start = -(-self._at // alignment) * alignment
        return Gguf(self._file.name, metadata, {entry[0]: self._tensor(*entry, start) for entry in entries})

    def _failure(self, text: str) -> ModelLoadFailed:
        return ModelLoadFailed(f"{self._file.name} {text}.")

    def _take(self, count: int) -> bytes:
        begin, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise self._failure(f"is cut short: its header does not end within its {len(self._data):,} bytes")
        if self._at > _MOST_METADATA:
            raise self._failure(f"has more than {_MOST_METADATA >> 20} MB of metadata")
        return self._data[begin : self._at]

    def _number(self, code: str) -> int | float | bool:
        number: int | float | bool = struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0]
        return number

    def _count(self, code: str, most: int, of: str) -> int:
        count = int(self._number(code))
        if count > most:
            raise self._failure(f"claims {count:,} {of}; at most {most:,} are read")
        return count

    def _string(self, longest: int = _LONGEST_STRING) -> str:
        return self._take(self._count("Q", longest, "bytes of a string")).decode("utf-8", "replace")

    def _pair(self) -> tuple[str, Value]:
        key, kind = self._string(_LONGEST_NAME), int(self._number("I"))
        return key, self._array(key) if kind == _ARRAY else self._reader(kind, key)()

    def _reader(self, kind: int, key: str) -> Callable[[], Value]:
        if kind == _STRING:
            return self._string
        if kind not in _NUMBERS:
            raise self._failure(f"has a value of the unknown type {kind} at {key[:80]!r}")
        return lambda: self._number(_NUMBERS[kind])

    def _array(self, key: str) -> list[Value]:
        kind, count = int(self._number("I")), self._count("Q", _LONGEST_ARRAY, f"values of {key[:80]!r}")
        if kind in _NUMBERS:
            code = f"<{count}{_NUMBERS[kind]}"
            return list(struct.unpack(code, self._take(struct.calcsize(code))))
        take = self._reader(kind, key)
        return [take() for _ in range(count)]

    def _entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string(_LONGEST_NAME)
        dimensions = self._count("I", _MOST_DIMENSIONS, f"dimensions of {name[:80]!r}")
        shape = tuple(int(self._number("Q")) for _ in range(dimensions))
        return name, shape[::-1], int(self._number("I")), int(self._number("Q"))

    def _tensor(self, name: str, shape: tuple[int, ...], number: int, offset: int, start: int) -> GgufTensor:
        try:
            kind = GGMLQuantizationType(number)
        except ValueError:
            raise self._failure(
                f"has a tensor of a type that is not known here: {name[:80]} is of type {number}"
            ) from None
        block, block_bytes = GGML_QUANT_SIZES[kind]
        if not shape or min(shape) < 1 or shape[-1] % block:
            raise self._failure(f"has a tensor of an impossible shape: {name[:80]} is {shape}")
        size = prod(shape) // block * block_bytes
        if start + offset + size > len(self._data):
            missing = start + offset + size - len(self._data)
            raise self._failure(f"is cut short: {missing:,} bytes of {name[:80]} are missing")
        return GgufTensor(name, kind, shape, self._file, start + offset, size)
