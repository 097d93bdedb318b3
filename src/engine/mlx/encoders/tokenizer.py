"""Texts of an embedding model or a reranker as token ids: its tokenizer.json, with the model's prompts and pairs.

Tokenizer thread. The truncation and padding that a tokenizer.json may ask for are switched off: a text is refused or
cut as its request says, and the pass pads.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from src.encoders import EncoderFacts
from src.engine.backend import Detokenizer, Grammar, OutputParser
from src.engine.embedding import kept_tokens
from src.errors import ContextLengthExceeded, InvalidRequest, ModelLoadFailed, UnsupportedValue
from src.ipc.messages.chat import ChatMessage, EmbedRequest, GenerateRequest, RawPrompt, Sampling, TextReading

# what a vocabulary does not know is one token, whatever its length: a bound on texts, not a promise
_LONGEST = 256


def open_file(folder: Path) -> Tokenizer:
    """Raises ModelLoadFailed without a tokenizer.json that can be read."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelLoadFailed(f"{folder} has no tokenizer.json, from which an embedding model's texts are read.")
    found = Tokenizer.from_file(str(file))
    found.no_truncation()
    found.no_padding()
    return found


class EncoderTokenizer:
    """Text to token ids; what belongs to generation is refused, or empty."""

    def __init__(self, tokenizer: Tokenizer, facts: EncoderFacts, context: int) -> None:
        self._tokenizer = tokenizer
        self._facts = facts
        self._context = context

    def read(self, raw: RawPrompt, request: EmbedRequest, index: int) -> list[int]:
        limit = kept_tokens(request.reading, self._context)
        if request.reading.query is not None:
            return self._with_query(raw, request.reading.query, request.reading, limit)
        if raw.text is None:
            found = self._known(raw.tokens)
            return found if limit is None else found[:limit]
        text = self._prompt(request.reading, index) + raw.text
        return self._ids(self._cut(self._plain(text), limit, self._marks(), request.reading.keep))

    def _prompt(self, reading: TextReading, index: int) -> str:
        facts = self._facts
        if reading.prompt is not None:
            if reading.prompt not in facts.prompts:
                known = ", ".join(facts.prompts) or "none"
                raise UnsupportedValue(f"This model's prompts are: {known}.", param="prompt_name")
            return facts.prompts[reading.prompt]
        if reading.roles:
            return facts.prompt_of_role(reading.roles[min(index, len(reading.roles) - 1)])
        return facts.prompts.get(facts.default_prompt or "", "")

    def _with_query(self, raw: RawPrompt, query: str, reading: TextReading, limit: int | None) -> list[int]:
        if reading.instruction is not None:
            raise UnsupportedValue("This reranker cannot be told an instruction.", param="instruction")
        return self._pair(query, raw, limit, reading.keep)

    def _pair(self, query: str, raw: RawPrompt, limit: int | None, keep: str) -> list[int]:
        """A query and a document as one text; only the document is cut."""
        first, second = self._plain(query), self._plain(raw.text or "")
        room = self._room(len(first), self._marks(pair=True))
        if limit is not None:
            second.truncate(min(limit, room), direction="right" if keep == "start" else "left")
        return self._ids(first, second)

    def _room(self, query: int, others: int) -> int:
        """Tokens that a query's document may have."""
        if (room := self._context - query - others) < 1:
            text = f"The query has {query} tokens; with its document it must fit into {self._context}."
            raise ContextLengthExceeded(text, param="query")
        return room

    def _cut(self, found: Encoding, limit: int | None, marks: int, keep: str) -> Encoding:
        if limit is not None:
            found.truncate(max(1, limit - marks), direction="right" if keep == "start" else "left")
        return found

    def _plain(self, text: str) -> Encoding:
        return self._tokenizer.encode(text.lower() if self._facts.limits.lower_case else text, add_special_tokens=False)

    def _ids(self, found: Encoding, second: Encoding | None = None) -> list[int]:
        return list(self._tokenizer.post_process(found, second).ids)

    def _marks(self, *, pair: bool = False) -> int:
        return int(self._tokenizer.num_special_tokens_to_add(pair))

    def _known(self, tokens: Seq[int]) -> list[int]:
        size = self._tokenizer.get_vocab_size()
        if unknown := [token for token in tokens if token >= size]:
            text = f"Token id {unknown[0]} is outside the vocabulary ({size} entries)."
            raise InvalidRequest(text, param="prompt")
        return list(tokens)

    # ---- as every tokenizer

    def encode(self, request: GenerateRequest) -> list[int]:
        raw = request.raw_prompt
        if raw is None:
            return self.encode_chat(request.messages)
        return self._known(raw.tokens) if raw.text is None else self._ids(self._plain(raw.text))

    def encode_text(self, text: str) -> list[int]:
        return list(self._plain(text).ids)

    def encode_chat(self, messages: Seq[ChatMessage]) -> list[int]:
        del messages
        raise UnsupportedValue("This model has no chat template: it takes texts.", param="messages")

    def text(self, request: GenerateRequest) -> str:
        return request.raw_prompt.text or "" if request.raw_prompt is not None else ""

    def count(self, text: str) -> int:
        return len(self._plain(text))

    @cached_property
    def longest(self) -> int:
        return max(_LONGEST, *(len(token.encode()) for token in self._tokenizer.get_vocab()))

    def set_aside(self, request: GenerateRequest, prompt: list[int]) -> tuple[str, ...]:
        del request, prompt
        return ()

    def media(self, request: GenerateRequest) -> None:
        del request

    def decode(self, tokens: Seq[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=False))

    def detokenizer(self, *, continues: bool = False) -> Detokenizer:
        del continues
        raise RuntimeError("an embedding model generates nothing")

    def reader(self, request: GenerateRequest, prompt: list[int]) -> OutputParser | None:
        del request, prompt
        return None

    def grammar(self, request: GenerateRequest) -> Grammar | None:
        del request
        return None

    def check(self, sampling: Sampling) -> None:
        self._known(list(sampling.logit_bias))


def padding_id(tokenizer: Tokenizer, config: dict[str, Any]) -> int:
    """What rows are filled up with: it must be the model's own, where positions are counted by it."""
    own = config.get("pad_token_id")
    if isinstance(own, int) and own >= 0:
        return own
    return next((found for mark in ("[PAD]", "<pad>") if (found := tokenizer.token_to_id(mark)) is not None), 0)
