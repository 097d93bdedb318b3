"""The tokens of a model one by one: the bytes each stands for. Built at load; used on both threads."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

from llguidance import LLTokenizer
from llguidance.hf import from_tokenizer
from loguru import logger

from src.engine.mlx.lm_batches import plain_tokenizer
from src.engine.mlx.scores import RowScores
from src.ipc.messages.chat import Alternative, TokenLogprob

_CACHED = 1 << 16
_CHARACTER_BYTES = 4


class Vocabulary:
    """What log-probabilities and grammars need to know of a tokenizer."""

    def __init__(self, tokenizer: Any, size: int) -> None:
        self.size = size
        self._tokenizer = tokenizer
        self.grammar_tokenizer = _grammar_tokenizer(tokenizer, size)
        self.text_of = lru_cache(_CACHED)(self._text_of)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest entry; a token for what is unknown may stand for a whole character."""
        return max(_CHARACTER_BYTES, *(len(self._text_of(token)) for token in range(self.size)))

    def _text_of(self, token: int) -> bytes:
        """The bytes of one token: maybe half a character."""
        if self.grammar_tokenizer is None:
            return str(self._tokenizer.decode([token])).encode()
        return bytes(self.grammar_tokenizer.decode_bytes([token]))

    def logprob(self, row: RowScores) -> TokenLogprob:
        chosen, top = row.read()
        return TokenLogprob(self._alternative(*chosen), tuple(self._alternative(*pair) for pair in top))

    def _alternative(self, token: int, logprob: float) -> Alternative:
        return Alternative(token, self.text_of(token), logprob)


def _grammar_tokenizer(tokenizer: Any, size: int) -> LLTokenizer | None:
    ends = sorted(tokenizer.eos_token_ids)
    try:
        return from_tokenizer(plain_tokenizer(tokenizer), n_vocab=size, eos_token=ends)
    except (ValueError, TypeError, AttributeError) as error:  # a tokenizer of a kind llguidance cannot read
        logger.warning("no structured output: llguidance cannot read this tokenizer ({})", type(error).__name__)
        return None
