"""Keys and values of a block of tokens as a file: safetensors, checked in every byte. Pure: neither MLX nor a disk.

A block's name is a digest of its salt and of all tokens up to its end: who asks for a name has said everything that its
content depends on, and a name tells neither. What comes from a disk is believed in nothing.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

BLOCK = 64  # tokens of a block: what ends within one is computed again
FORMAT = 1
_LENGTH = 8  # bytes of a safetensors file that say how long its header is
# bytes of a number, by safetensors' names
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "U32": 4, "U16": 2, "U8": 1, "I32": 4, "I8": 1}

Buffer = bytes | memoryview


class Damaged(Exception):
    """It is not what was written."""


@dataclass(frozen=True)
class Array:
    """One array: safetensors' name of its type, its shape, its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: Buffer


class _BlockEntry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class _About(msgspec.Struct, frozen=True):
    """Safetensors allows text alone."""

    format: str
    block: str
    crc32: str


def names(salt: str, tokens: Sequence[int]) -> Iterator[str]:
    """The names of the whole blocks that a sequence begins with."""
    digest = hashlib.blake2b(salt.encode(), digest_size=16).digest()
    for at in range(0, len(tokens) - BLOCK + 1, BLOCK):
        content = array("I", tokens[at : at + BLOCK]).tobytes()
        digest = hashlib.blake2b(digest + content, digest_size=16).digest()
        yield digest.hex()


def pack(name: str, arrays: dict[str, Array]) -> list[Buffer]:
    """The file of a block, in pieces."""
    entries: dict[str, _BlockEntry] = {}
    end = 0
    for key, each in arrays.items():
        entries[key] = _BlockEntry(each.dtype, each.shape, (end, end + len(each.data)))
        end += len(each.data)
    data = [each.data for each in arrays.values()]
    about = _About(str(FORMAT), name, _checksum(entries, data))
    header = msgspec.json.encode({"__metadata__": about, **entries})
    header += b" " * (-len(header) % _LENGTH)
    return [len(header).to_bytes(_LENGTH, "little"), header, *data]


def unpack(name: str, file: Buffer) -> dict[str, Array]:
    """The arrays of a block's file.

    Raises:
        Damaged: it is no file of ours, of another version, another block's, cut short, or changed.
    """
    view = memoryview(file)
    size = int.from_bytes(view[:_LENGTH], "little")
    data = view[_LENGTH + size :]
    try:
        header = msgspec.json.decode(view[_LENGTH : _LENGTH + size], type=dict[str, msgspec.Raw])
        about = msgspec.json.decode(header.pop("__metadata__", b""), type=_About)
        entries = {key: msgspec.json.decode(raw, type=_BlockEntry) for key, raw in header.items()}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"its header cannot be read: {error}") from None
    if (about.format, about.block) != (str(FORMAT), name):
        raise Damaged("it is another block's, or of another version")
    if about.crc32 != _checksum(entries, [data]):
        raise Damaged("its checksum is another")
    return {key: _array(entry, data) for key, entry in entries.items()}


def _array(entry: _BlockEntry, data: memoryview) -> Array:
    start, end = entry.data_offsets
    if end - start != math.prod(entry.shape) * ITEM_BYTES.get(entry.dtype, 0):
        raise Damaged("an array has not the size of its shape")
    return Array(entry.dtype, entry.shape, data[start:end])


def _checksum(entries: dict[str, _BlockEntry], data: Sequence[Buffer]) -> str:
    found = zlib.crc32(msgspec.json.encode(entries))
    for piece in data:
        found = zlib.crc32(piece, found)
    return f"{found:08x}"
