"""SentencePiece tokenizers of GGUF files give the ids of SentencePiece itself, BPE and unigram."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import pytest
import sentencepiece
from tokenizers import Tokenizer

from src.engine.mlx.gguf import tokenizer
from src.engine.mlx.gguf.metadata import Gguf
from src.settings import ROOT

TEXTS = (
    "The engine runs the model.",
    "the engine  has   white space",
    "你好 means hello",
    "x = 12345 + 3.14",
    "emoji 🎉 is bytes",
    "unseen: Ω ≈ ж",
)


def trained(kind: Literal["bpe", "unigram"]) -> Any:
    """Of this project's own documentation."""
    lines = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=600,
        model_type=kind,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def converted(processor: Any, model: str, folder: Path) -> Any:
    """Its vocabulary as llama.cpp's converter writes it."""
    ids = range(processor.vocab_size())
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": model,
        "tokenizer.ggml.tokens": [processor.id_to_piece(number) for number in ids],
        "tokenizer.ggml.scores": [processor.get_score(number) for number in ids],
        "tokenizer.ggml.token_type": [_type(processor, number) for number in ids],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    assert tokenizer.write(Gguf("tiny.gguf", metadata, {}), folder) == [2]
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _type(processor: Any, number: int) -> int:
    if processor.is_unknown(number):
        return 2
    return 3 if processor.is_control(number) else 6 if processor.is_byte(number) else 1


@pytest.mark.parametrize("text", TEXTS)
def test_bpe(text: str, tmp_path: Path) -> None:
    """Scores become merges, what no piece has becomes bytes, and the text comes back whole."""
    processor = trained("bpe")
    ours = converted(processor, "llama", tmp_path)
    ids = ours.encode(text, add_special_tokens=False).ids
    assert ids == processor.encode(text)
    assert ours.decode(ids) == text
    assert ours.encode(text).ids == [1, *ids]


@pytest.mark.parametrize("text", [text for text in TEXTS if "  " not in text])
def test_unigram(text: str, tmp_path: Path) -> None:
    """The likeliest pieces. (White space in a row is one space, as in T5.)"""
    processor = trained("unigram")
    assert converted(processor, "t5", tmp_path).encode(text, add_special_tokens=False).ids == processor.encode(text)
