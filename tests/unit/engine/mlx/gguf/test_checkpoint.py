"""GGUF files as MLX checkpoints: the same numbers, of every architecture and every kind of blocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from mlx_lm.utils import load_model, load_tokenizer

from src.engine.mlx.gguf import blocks, checkpoint
from tests import gguf_models
from tests.gguf_models import TinyModel

PROMPT = mx.array([[1, 70, 33, 257, 12, 99, 5]])
ROWS = np.random.default_rng(3).normal(size=(4, 512)).astype(np.float32)


def converted(model: TinyModel, folder: Path) -> Path:
    file = model.write(folder / "tiny.gguf")
    target = folder / "out"
    target.mkdir()
    checkpoint.write([file], target, lambda _: None, lambda _: None)
    return target


def logits(model: Any) -> Any:
    return np.array(model(PROMPT).astype(mx.float32))


@pytest.mark.parametrize("architecture", gguf_models.ARCHITECTURES)
def test_an_architecture_gives_the_logits_of_its_own_weights(architecture: str, tmp_path: Path) -> None:
    """Names, the order of rotary pairs, norms with a 1 in them, what is special to a configuration."""
    tiny = TinyModel(architecture)
    loaded, _ = load_model(converted(tiny, tmp_path))
    np.testing.assert_allclose(logits(loaded), logits(tiny.model()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0])
def test_an_exact_kind_keeps_every_weight(kind: Kind, tmp_path: Path) -> None:
    """Compared with the `gguf` package's own dequantisation, bit for bit."""
    tiny = TinyModel("qwen2", kind)
    loaded, _ = load_model(converted(tiny, tmp_path))
    layer = loaded.model.layers[1].mlp.down_proj
    got = layer.weight if kind in (Kind.F16, Kind.BF16) else _dequantised(layer)
    expected = np.array(tiny.model().model.layers[1].mlp.down_proj.weight)
    expected = gguf.quants.dequantize(gguf.quants.quantize(expected, kind), kind)
    np.testing.assert_array_equal(np.array(got.astype(mx.float32)), expected)


def _dequantised(layer: Any) -> Any:
    scales, biases = (part.astype(mx.float32) for part in (layer.scales, layer.biases))
    return mx.dequantize(layer.weight, scales, biases, layer.group_size, layer.bits)


def raw_blocks(kind: Kind) -> Any:
    """Random blocks of a K-quant, whose factors are ordinary numbers."""
    size, length = gguf.GGML_QUANT_SIZES[kind]
    raw = np.random.default_rng(5).integers(0, 256, size=(4 * 512 // size, length), dtype=np.uint8)
    factor = np.array([0.01], np.float16).view(np.uint8)
    for at in {Kind.Q2_K: (80, 82), Kind.Q3_K: (108,), Kind.Q6_K: (208,)}.get(kind, (0, 2)):
        raw[:, at : at + 2] = factor
    return raw.reshape(4, -1)


@pytest.mark.parametrize("kind", [Kind.Q4_K, Kind.Q5_K])
def test_a_k_quant_with_groups_of_32_keeps_its_integers(kind: Kind) -> None:
    """Its scales are products of two: exact in float32, rounded once in float16."""
    raw = raw_blocks(kind)
    expected = gguf.quants.dequantize(raw, kind)
    for scale_type, bound in ((np.float32, 0.0), (np.float16, 2.0**-9)):
        packed = blocks.pack(raw, kind, scale_type)
        parts = (mx.array(packed.weight), mx.array(packed.scales, mx.float32), mx.array(packed.biases, mx.float32))
        got = np.array(mx.dequantize(*parts, group_size=32, bits=blocks.block_format(kind).bits))
        assert np.abs(got - expected).max() <= bound * np.abs(expected).max()


@pytest.mark.parametrize("kind", [Kind.Q2_K, Kind.Q3_K, Kind.Q6_K, Kind.IQ4_NL, Kind.IQ4_XS])
def test_another_kind_is_requantised_with_no_fewer_bits(kind: Kind) -> None:
    """The error of that is small beside the weights, and the bits are at least the file's."""
    raw = raw_blocks(kind)
    expected, bits = gguf.quants.dequantize(raw, kind), blocks.block_format(kind).bits
    packed = blocks.pack(raw, kind, np.float32)
    got = np.array(mx.dequantize(mx.array(packed.weight), mx.array(packed.scales), mx.array(packed.biases), 32, bits))
    size, length = gguf.GGML_QUANT_SIZES[kind]
    assert bits >= 8 * length // size
    assert np.sqrt(((got - expected) ** 2).mean()) < 0.05 * np.sqrt((expected**2).mean())


def test_what_became_of_the_weights_is_said(tmp_path: Path) -> None:
    """One line for the log, by the file's own types."""
    file = TinyModel("qwen3", Kind.Q8_0).write(tmp_path / "tiny.gguf")
    (tmp_path / "out").mkdir()
    written: list[int] = []
    summary = checkpoint.write([file], tmp_path / "out", written.append, lambda count: written.append(-count))
    assert summary == "15 Q8_0 tensors exactly; 9 others exactly"
    assert sum(written) == 0 < written[0]


def test_the_tokenizer_and_its_marks(tmp_path: Path) -> None:
    """Merges, digits, marks that are one token, the chat template, the tokens that end an answer."""
    folder = converted(TinyModel(), tmp_path)
    tokenizer = load_tokenizer(folder, {"trust_remote_code": False}, eos_token_ids=_config(folder)["eos_token_id"])
    tokens = tokenizer.encode("hello world 12<|im_end|>", add_special_tokens=False)
    words = [tokenizer.convert_ids_to_tokens(token) for token in tokens]
    assert words == ["hello", "Ġworld", "Ġ", "1", "2", "<|im_end|>"]
    assert tokenizer.decode(tokens) == "hello world 12<|im_end|>"
    turn = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    assert turn.startswith("<|im_start|>user\nhello<|im_end|>\n")
    assert {tokenizer.convert_ids_to_tokens(token) for token in tokenizer.eos_token_ids} == {
        "<|im_end|>",
        "<|endoftext|>",
    }


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def test_llama_3_scaling_is_recognised(tmp_path: Path) -> None:
    """The file has only the factors that the scaling comes to."""
    from src.engine.mlx.gguf.architectures import _llama3_factors

    factors = _llama3_factors(gguf_models.HEAD_DIM, 10_000.0, 8.0).astype(np.float32)
    tiny = TinyModel(adjust=lambda writer: writer.add_tensor("rope_freqs.weight", factors))
    scaling = _config(converted(tiny, tmp_path))["rope_scaling"]
    assert (scaling["rope_type"], scaling["factor"]) == ("llama3", 8.0)
