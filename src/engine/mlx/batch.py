"""The decode step: one forward pass and one sampler for all rows of mlx-lm's batch. Owner thread.

On a GPU a step tells the device to compute the next tokens, and returns those that it has: nothing waits. On a CPU the
host draws (`draw`) and waits for each forward pass, so a step returns what it drew, and computes nothing ahead.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import BatchKVCache

from src.engine.mlx import agreement, device
from src.engine.mlx.lm_batches import DecodeBatch, PrefillBatch, extend_layer
from src.engine.mlx.sampling import BatchSampler, SamplingRow
from src.engine.mlx.scores import RowScores, Scores

# with more rows a step is long, and its threads only stand in each other's way when it begins early (measured)
_EAGER_ROWS = 8


class EagerCache:
    """A layer's cache whose tokens are computed as soon as they are in the graph, while Python builds the rest.

    On a CPU the drawing waits for each step, so nothing else would be computed meanwhile (1.4 ms in 15, measured).
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        found: tuple[mx.array, mx.array] = self._cache.update_and_fetch(keys, values)
        device.start(found)
        return found


class RowBatch(DecodeBatch):
    """Sequences that are decoded together."""

    samplers: list[SamplingRow]
    _composition: tuple[int, ...] = ()
    _sampler: BatchSampler
    measured: dict[str, float] | None = None

    @property
    def extra_bytes(self) -> int:
        """Keys and values held for its rows beside its cache."""
        return 0

    def put_in_order(self, at: int) -> None:
        """Put a row's tokens in the cache in their order: here they always are."""

    def join(self, prompts: PrefillBatch, inputs: list[int]) -> None:
        """Add sequences whose prompts are computed but for their last tokens, `inputs`."""
        self.extend(RowBatch.of(prompts, inputs))

    def extend(self, batch: DecodeBatch) -> None:
        """As mlx-lm's, but for how layers that keep every token are joined."""
        if self.prompt_cache:
            for layer, other in zip(self.prompt_cache, batch.prompt_cache, strict=True):
                extend_layer(layer, other)
            batch.prompt_cache = []
        super().extend(batch)

    def decode_step(self) -> tuple[list[int], list[RowScores | None]]:
        """As mlx-lm's: start computing the next tokens, then return the current ones."""
        inputs, scores = self.pending, self.pending_scores
        logits = self._forward(inputs)
        self.set_pending(*self._draw(logits, inputs))
        device.start(self.pending)
        return self._commit_inputs(inputs), scores

    def _forward(self, inputs: mx.array) -> mx.array:
        """Logits [rows, vocabulary] behind one more token of each row."""
        began = self._settle("", 0.0, inputs)
        logits: mx.array = self.model(inputs[:, None], cache=self._caches())[:, -1, :]
        self._settle("forward", began, logits)
        return logits

    def _draw(self, logits: mx.array, inputs: mx.array) -> tuple[mx.array, list[RowScores | None]]:
        """The next token of each row, and its scores where they were asked for; `inputs` are not committed yet."""
        began = self._settle("", 0.0, logits)
        sampler = self._sampler_for(logits.shape[-1])
        tokens = agreement.agreed_tokens(partial(sampler.choose, logits, inputs), logits)
        self._settle("sample", began, tokens)
        sampler.advance()
        return tokens, self._score(logits, tokens)

    def _commit_inputs(self, inputs: mx.array) -> list[int]:
        """Append the inputs to `tokens`, which mirror what the KV cache holds."""
        known: Any = inputs.tolist()
        for tokens, token in zip(self.tokens, known, strict=True):
            tokens.append(token)
        return list(known)

    def _caches(self) -> list[Any]:
        if mx.default_device() != mx.cpu or len(self.uids) > _EAGER_ROWS:
            return list(self.prompt_cache)
        return [EagerCache(layer) if type(layer) is BatchKVCache else layer for layer in self.prompt_cache]

    def _settle(self, phase: str, began: float, array: mx.array) -> float:
        """In a measured step, evaluate what is due so far, and record its time; other steps do not wait."""
        if self.measured is None:
            return 0.0
        mx.eval(array)
        now = time.perf_counter()
        if phase:
            self.measured[phase] = now - began
        return now

    def _sampler_for(self, vocabulary: int) -> BatchSampler:
        composition = tuple(self.uids)
        if composition != self._composition:
            self._composition = composition
            self._sampler = BatchSampler(self.samplers, self.tokens, vocabulary)
        return self._sampler

    def _score(self, logits: mx.array, tokens: mx.array) -> list[RowScores | None]:
        rows = self.samplers
        asked = [at for at, row in enumerate(rows) if row.logprobs is not None]
        scores: list[RowScores | None] = [None] * len(rows)
        if asked:
            at = mx.array(asked)
            shared = Scores(logits[at], tokens[at], max(rows[n].logprobs or 0 for n in asked))
            device.start(shared.arrays)
            for line, n in enumerate(asked):
                scores[n] = RowScores(shared, line, rows[n].logprobs or 0)
        return scores


class HostBatch(RowBatch):
    """The same where the host draws: pending tokens are reported already; the next step puts them through the model."""

    def next(self) -> list[Any]:
        """Compute and draw each row's next token; the report is mlx-lm's."""
        if self.uids:
            inputs = self.pending
            self.set_pending(*self._draw(self._forward(inputs), inputs))
            self._commit_inputs(inputs)
        replies: list[Any] = super().next()
        return replies

    def join(self, prompts: PrefillBatch, inputs: list[int]) -> None:
        self.extend(HostBatch.of(prompts, inputs))

    def decode_step(self) -> tuple[list[int], list[RowScores | None]]:
        """What `next` has drawn; a batch that begins has drawn nothing yet."""
        if not self.pending_scores:
            self.set_pending(self.pending, [None] * len(self.uids))
        known: Any = self.pending.tolist()
        return known, self.pending_scores


def empty_batch(model: Any) -> RowBatch:
    """A batch without rows, of the kind for this device."""
    batch: RowBatch = (HostBatch if mx.default_device() == mx.cpu else RowBatch).empty(model, None)
    return batch
