"""Qwen3-Reranker: a language model that is asked in words whether a document fits a query; its score is how likely it
says yes. The words are those of its model card. Owner thread; the tokenizer on its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx import nn
from mlx_lm.models import qwen3
from mlx_lm.utils import load_model
from tokenizers import Encoding, Tokenizer

from src import encoders
from src.encoders import EncoderFacts
from src.engine.mlx.encoders.passes import Forward
from src.engine.mlx.encoders.tokenizer import EncoderTokenizer
from src.errors import ModelLoadFailed
from src.ipc.messages.chat import RawPrompt, TextReading

_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
_BEFORE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_BEHIND = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def load(folder: Path, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The module of a folder, its weights not read yet."""
    if not encoders.is_classifier(config):
        return load_model(folder, lazy=True)[0], config
    own = {"tie_word_embeddings": True}  # there is no head
    return load_model(folder, lazy=True, model_config=own, get_model_classes=_scoring)[0], config


def _scoring(config: dict[str, Any]) -> tuple[Any, Any]:
    del config
    return _with_scores, qwen3.ModelArgs


def _with_scores(args: Any) -> Any:
    """A row of scores in the place of the head: `Qwen3ForSequenceClassification` of one label."""
    model = qwen3.Model(args)
    model.score = nn.Linear(args.hidden_size, 1, bias=False)
    return model


def answers(facts: EncoderFacts, tokenizer: Tokenizer) -> tuple[int, int]:
    """The token ids of yes and no.

    Raises:
        ModelLoadFailed: the tokenizer has no such tokens.
    """
    yes, no = facts.answers or (tokenizer.token_to_id("yes"), tokenizer.token_to_id("no"))
    if yes is None or no is None:
        raise ModelLoadFailed('The reranker\'s tokenizer has no token "yes" or "no", by which documents are judged.')
    return yes, no


def judged(model: Any, tokens: tuple[int, int]) -> Forward:
    """How likely yes is, against no, behind each text. Padding on the right is behind all that a token may see."""

    def forward(ids: mx.array, mask: mx.array, types: mx.array) -> mx.array:
        del types
        hidden = model.model(ids)[mx.arange(len(ids)), mask.sum(axis=1) - 1]
        if "score" in model:
            return mx.sigmoid(model.score(hidden).astype(mx.float32))
        head = model.model.embed_tokens.as_linear if model.args.tie_word_embeddings else model.lm_head
        yes, no = (head(hidden)[:, token : token + 1].astype(mx.float32) for token in tokens)
        return mx.sigmoid(yes - no)

    return forward


class JudgeTokenizer(EncoderTokenizer):
    """A query and a document as the question that the model was trained to judge."""

    def _with_query(self, raw: RawPrompt, query: str, reading: TextReading, limit: int | None) -> list[int]:
        told = reading.instruction or self._facts.prompts.get(self._facts.default_prompt or "") or _INSTRUCTION
        head = f"<Instruct>: {told}\n<Query>: {query}\n<Document>: "
        found = self._literal(head + (raw.text or ""))
        first = next((at for at, (_, end) in enumerate(found.offsets) if end > len(head)), len(found))
        before, behind = self._plain(_BEFORE).ids, self._plain(_BEHIND).ids
        room = self._room(first, len(before) + len(behind))
        kept = len(found) if limit is None else min(limit, room)
        document = found.ids[first:]
        document = document[:kept] if reading.keep == "start" else document[-kept:]
        return [*before, *found.ids[:first], *document, *behind]

    def _literal(self, text: str) -> Encoding:
        """With marks of a chat as plain text: a document must not end its turn and answer for the model."""
        self._tokenizer.encode_special_tokens = True
        try:
            return self._plain(text)
        finally:
            self._tokenizer.encode_special_tokens = False
