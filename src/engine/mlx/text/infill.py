"""Filling in the middle: a prompt with a suffix, as a model that was trained for it marks the two. Tokenizer thread."""

from __future__ import annotations

from typing import Any

from src.errors import UnsupportedValue

# before the prefix, before the suffix, before the middle; all of them tokens of their own
MARKS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen-Coder, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder
)


def infilled(prefix: str, suffix: str, tokenizer: Any) -> str:
    """The text that the model goes on with between the two.

    Raises:
        UnsupportedValue: this model has no marks for it.
    """
    vocabulary = tokenizer.get_vocab()
    for before, behind, middle in MARKS:
        if before in vocabulary and behind in vocabulary and middle in vocabulary:
            return f"{before}{prefix}{behind}{suffix}{middle}"
    raise UnsupportedValue("This model has no tokens to fill in the middle with.", param="suffix")
