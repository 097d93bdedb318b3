"""Every architecture and pre-tokenizer that the engine mlx reads, against llama.cpp on the same tiny file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.utils import load_model
from tokenizers import Tokenizer

from src.engine.mlx.gguf import checkpoint, metadata, tokenizer
from tests.gguf_models import ARCHITECTURES, TinyModel
from tests.real.conftest import FOLDER, llama_server
from tests.real.fetch import MODEL_FILE
from tests.real.texts import texts

PRE_TOKENIZERS = ("qwen2", "llama-bpe", "gpt-2", "gpt-4o", "tekken", "deepseek-v3", "qwen35")
NEAR = 0.05  # of a log-probability: llama.cpp keeps keys and values in float16


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_gives_llama_cpps_log_probabilities(architecture: str, tmp_path: Path) -> None:
    """Of the five likeliest tokens behind a prompt, with random weights."""
    tiny = TinyModel(architecture)
    file = tiny.write(tmp_path / "tiny.gguf")
    checkpoint.write([file], tmp_path, lambda _: None, lambda _: None)
    model, _ = load_model(tmp_path)
    prompt, scores = _reported_prompt(model, tiny.tokens)
    body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 5}
    with llama_server(file) as ask:
        theirs = ask("/completion", body)["completion_probabilities"][0]["top_logprobs"]
    assert [one["logprob"] for one in theirs] == pytest.approx([scores[one["id"]] for one in theirs], abs=NEAR)


def _reported_prompt(model: Any, tokens: list[str]) -> tuple[list[int], Any]:
    """One whose next token is a whole character: llama.cpp reports no other."""
    for first in range(1, 250):
        prompt = [first, 70, 33, 257, 12, 99, 5]
        logits = model(mx.array([prompt]))[0, -1].astype(mx.float32)
        scores = np.array(logits - mx.logsumexp(logits))
        if tokens[int(scores.argmax())].isascii() and scores.argmax() < len(tokens) - 64:
            return prompt, scores
    raise AssertionError("every prompt is followed by half a character")


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_a_pre_tokenizer_cuts_as_llama_cpp_does(pre: str, tmp_path: Path) -> None:
    """With the real model's vocabulary, whose merges show where a text was cut."""
    real = metadata.read([FOLDER / MODEL_FILE]).metadata
    words: dict[str, Any] = {key: real[f"tokenizer.ggml.{key}"] for key in ("tokens", "merges", "token_type")}

    def adjust(writer: Any) -> None:
        writer.kv_data[0]["tokenizer.ggml.token_type"].value = words["token_type"]

    tiny = TinyModel("qwen2", pre=pre, tokens=words["tokens"], merges=words["merges"], adjust=adjust)
    file = tiny.write(tmp_path / "tiny.gguf")
    tokenizer.write(metadata.read([file]), tmp_path)
    ours = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    with llama_server(file) as ask:
        different = [
            text
            for text in texts(250)
            if ask("/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"]
            != ours.encode(text, add_special_tokens=False).ids
        ]
    assert different == []
