"""The one file that touches mlx-lm's internals: its batches and caches, under names of our own (docs/adr/0021).

`requirements-base.txt` pins mlx-lm exactly. `tests/contract/test_mlx_lm.py` says what is relied upon, and where to look
when another version moves it. Owner thread.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Any, Literal, Self, TypeAlias

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, GenerationBatch, PromptProcessingBatch
from mlx_lm.models.cache import BatchKVCache, BatchRotatingKVCache, CacheList, KVCache

Finish = Literal["length", "stop"]
PrefillBatch: TypeAlias = PromptProcessingBatch
Segments = list[list[int]]  # what of a prompt is not computed yet; the last segment is one token


class DecodeBatch(GenerationBatch):  # type: ignore[misc]  # mlx-lm has no types
    """Sequences in decode. A subclass computes the step: mlx-lm keeps the rows, their ends and their caches.

    `samplers` are opaque to mlx-lm; of each row, `tokens` are those that its KV cache holds.
    """

    model: Any
    uids: list[int]
    tokens: list[list[int]]
    samplers: list[Any]
    max_tokens: list[int]
    prompt_cache: list[Any]

    @classmethod
    def of(cls, prompts: PrefillBatch, inputs: list[int]) -> Self:
        """The rows of a prefill batch, of whose prompts all but the last tokens, `inputs`, are computed."""
        return cls(
            prompts.model,
            prompts.uids,
            mx.array(inputs, mx.uint32),
            prompts.prompt_cache,
            prompts.tokens,
            prompts.samplers,
            prompts.fallback_sampler,
            prompts.logits_processors,
            prompts.stop_sequences,
            prompts.max_tokens,
        )

    def decode_step(self) -> tuple[list[int], list[Any]]:
        """The tokens that `next` reports, and their scores; called when a batch begins, too."""
        raise NotImplementedError

    def _step(self) -> tuple[list[int], list[Any]]:
        return self.decode_step()

    @property
    def pending(self) -> mx.array:
        """The next token of each row: drawn, and not computed yet."""
        tokens: mx.array = self._next_tokens
        return tokens

    @property
    def pending_scores(self) -> list[Any]:
        scores: list[Any] = self._next_logprobs
        return scores

    def set_pending(self, tokens: mx.array, scores: list[Any]) -> None:
        self._next_tokens, self._next_logprobs = tokens, scores

    def tokens_left(self, at: int) -> int:
        """How many tokens a row may still report."""
        return int(self.max_tokens[at] - self._num_tokens[at])

    def count_token(self, at: int, token: int) -> Finish | None:
        """Count a token that a row reports; why it is the row's last, if it is."""
        self._num_tokens[at] += 1
        if self._matchers[at].advance(token):
            return "stop"
        return "length" if self._num_tokens[at] >= self.max_tokens[at] else None

    def responses(self, at: int, tokens: Seq[int], finish: Finish | None, scores: Any) -> list[Any]:
        """The reports of a row's new tokens, as `next` returns them; `scores` are the first one's."""
        uid = self.uids[at]
        made: list[Any] = [self.Response(uid, token, None, None, None, None) for token in tokens]
        made[0].logprobs, made[-1].finish_reason = scores, finish
        if finish is not None:
            made[-1].prompt_cache, made[-1].all_tokens = self.extract_cache(at), self.tokens[at]
        return made


class SequenceBatches(BatchGenerator):  # type: ignore[misc]  # mlx-lm has no types
    """mlx-lm's books of sequences that wait, are in prefill, or in decode; a subclass orders the steps."""

    _prompt_batch: PrefillBatch
    _currently_processing: list[list[Any]]  # of each row in prefill: its segments, and mlx-lm's counts

    def __init__(self, model: Any, decoding: DecodeBatch, **options: Any) -> None:
        super().__init__(model, **options)
        self._generation_batch = decoding

    @property
    def prefilling(self) -> PrefillBatch:
        return self._prompt_batch

    def segments(self) -> list[Segments]:
        """Of each row in prefill; whoever computes a part cuts it off there."""
        return [row[0] for row in self._currently_processing]

    def waiting_segments(self) -> list[Segments]:
        """Of each sequence that waits."""
        return [row[1] for row in self._unprocessed_sequences]

    def admit_waiting(self) -> None:
        """Move sequences that wait into prefill, as many as may run."""
        room = self.completion_batch_size - len(self._generation_batch) - len(self._prompt_batch)
        count = min(room, len(self._unprocessed_sequences))
        if count > 0:
            self._prompt_batch.extend(self._make_batch(count))

    def take_prefilled(self, rows: list[int]) -> PrefillBatch:
        """Take rows out of the prefill batch; when they are all, nothing is copied."""
        self._currently_processing = [row for at, row in enumerate(self._currently_processing) if at not in rows]
        batch = self._prompt_batch
        if len(rows) < len(batch):
            return batch.split(rows)
        self._prompt_batch = PromptProcessingBatch.empty(self.model, self.sampler, batch.prefill_step_size)
        return batch


def extend_layer(layer: Any, other: Any) -> None:
    """As `layer.extend(other)`, but what is padded is written once: mlx-lm pads, then copies what it padded.

    Beside a long row that is most of a batch's memory: with 16 short rows and one of 4,000 tokens it took seconds.
    """
    if not (type(layer) is type(other) is BatchKVCache) or layer.keys is None or other.keys is None:
        layer.extend(other)
        return
    end = max(layer._idx, other._idx)
    layer.keys = _right_aligned(layer, other, layer.keys, other.keys, end)
    layer.values = _right_aligned(layer, other, layer.values, other.values, end)
    layer.offset = mx.concatenate([layer.offset, other.offset])
    paddings = [each.left_padding + (end - each._idx) for each in (layer, other)]
    layer.left_padding, layer._idx = mx.concatenate(paddings), end


def _right_aligned(layer: Any, other: Any, first: mx.array, second: mx.array, end: int) -> mx.array:
    """The rows of both, which end together at `end`."""
    rows, heads, size, width = first.shape
    both = mx.zeros((rows + second.shape[0], heads, max(size, second.shape[2]), width), first.dtype)
    both[:rows, :, end - layer._idx : end] = first[..., : layer._idx, :]
    both[rows:, :, end - other._idx : end] = second[..., : other._idx, :]
    return both


def unroll_windows(cache: list[Any]) -> None:
    """Put windows in order before several tokens follow: mlx-lm's mask counts what they drop from where a full one was
    written last, and hid the first tokens of rows that were padded.
    """
    for layer in cache:
        if isinstance(layer, CacheList):
            unroll_windows(list(layer.caches))
        elif type(layer) is BatchRotatingKVCache and layer.rotated:
            layer._temporal_order()


def end_of(layer: KVCache | BatchKVCache) -> int:
    """Where the rows of a layer that keeps every token end."""
    return int(layer.offset if isinstance(layer, KVCache) else layer._idx)


def set_window(state: Any, keys: mx.array, values: mx.array) -> None:
    """Have a RotatingKVCache hold just these, in order, as its own `extract` does."""
    state.keys, state.values, state._idx = keys, values, keys.shape[2]


def plain_tokenizer(wrapped: Any) -> Any:
    """The tokenizer of transformers inside mlx-lm's wrapper."""
    return wrapped._tokenizer
