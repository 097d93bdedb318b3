"""GGUF files that are damaged, hostile or unknown: one clear line each, and nothing of them is run."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.engine.mlx.gguf import checkpoint
from src.errors import ModelLoadFailed
from tests.gguf_models import SPECIAL, TinyModel, vocabulary


def failure(file: Path) -> str:
    target = file.parent / "out"
    target.mkdir()
    with pytest.raises(ModelLoadFailed) as caught:
        checkpoint.write([file], target, lambda _: None, lambda _: None)
    assert "\n" not in caught.value.message
    return str(caught.value.message)


def header(tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"GGU", "cut short"),
        (b"PK\x03\x04" + bytes(64), "is not a GGUF file"),
        (header(version=1), "version 1"),
        (header(version=0x03000000), "byte order"),
        (header(tensors=1 << 60), "claims 1,152,921,504,606,846,976 tensors"),
        (header(keys=1 << 60), "metadata keys"),
        (header(keys=1) + struct.pack("<Q", 1 << 62), "bytes of a string"),
        (header(keys=1) + string(b"k") + struct.pack("<I", 99), "unknown type 99"),
        (header(keys=1) + string(b"k") + struct.pack("<IIQ", 9, 4, 1 << 61), "values of 'k'"),
        (header(keys=1) + string(b"k") + struct.pack("<IIQ", 9, 9, 3), "unknown type 9"),
        (header(keys=1) + string(b"k") + struct.pack("<IIQ", 9, 4, 3_999_999), "cut short"),
        (header(tensors=1) + string(b"t") + struct.pack("<I", 1 << 30), "dimensions"),
        (header(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 32, 4711, 0), "of a type that is not known here"),
        (header(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 31, 2, 0), "impossible shape"),
        (header(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 1 << 62, 0, 0), "are missing"),
        (header(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 32, 0, 1 << 63), "are missing"),
        (header(), "has the architecture None"),
    ],
)
def test_a_damaged_header(content: bytes, words: str, tmp_path: Path) -> None:
    """Counts and lengths are bounded before anything is allocated for them."""
    file = tmp_path / "bad.gguf"
    file.write_bytes(content)
    assert words in failure(file)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_cut_file(share: float, tmp_path: Path) -> None:
    """Wherever it was cut."""
    file = TinyModel().write(tmp_path / "cut.gguf")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert "is cut short" in failure(file)


def replaced(key: str, value: object) -> Callable[[Any], None]:
    def adjust(writer: Any) -> None:
        writer.kv_data[0][key].value = value

    return adjust


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("general.architecture", "gptneox", "has the architecture 'gptneox'"),
        ("tokenizer.ggml.model", "rwkv", "has a tokenizer 'rwkv'"),
        ("tokenizer.ggml.pre", "martian", "pre-tokenizer 'martian'"),
        ("tokenizer.ggml.merges", ["no such"], "damaged tokenizer"),
        ("tokenizer.ggml.token_type", [1], "1 kinds"),
        ("llama.block_count", 0, "llama.block_count = 0"),
        ("llama.embedding_length", 1 << 31, "llama.embedding_length"),
    ],
)
def test_what_is_not_known_is_named(key: str, value: object, words: str, tmp_path: Path) -> None:
    """The key, and what stands there."""
    file = TinyModel(adjust=replaced(key, value)).write(tmp_path / "odd.gguf")
    assert words in failure(file)


def test_a_tensor_without_a_place(tmp_path: Path) -> None:
    """A file with more than its architecture has would be served wrong without it."""
    extra = np.zeros((32, 32), np.float32)
    tiny = TinyModel(adjust=lambda writer: writer.add_tensor("blk.0.ffn_gate_exps.weight", extra))
    assert "blk.0.ffn_gate_exps.weight" in failure(tiny.write(tmp_path / "odd.gguf"))


def test_a_file_without_its_other_parts(tmp_path: Path) -> None:
    """A split model is whole or not served."""
    tiny = TinyModel(adjust=lambda writer: writer.add_uint16("split.count", 3))
    assert "one of 3 files; 1 are here" in failure(tiny.write(tmp_path / "a-00001-of-00003.gguf"))


def test_a_vocabulary_with_doubles_still_loads(tmp_path: Path) -> None:
    """Real files have some: the last one wins, as in llama.cpp."""
    tokens = vocabulary()
    tokens[300] = tokens[301]
    file = TinyModel(tokens=tokens).write(tmp_path / "double.gguf")
    (tmp_path / "out").mkdir()
    assert "exactly" in checkpoint.write([file], tmp_path / "out", lambda _: None, lambda _: None)
    assert tokens[-3:] == SPECIAL
