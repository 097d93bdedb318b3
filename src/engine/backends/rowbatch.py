"""mlx-lm's batch of sequences that are decoded together, with a step of our own: one sampler for all. Owner thread.

On a GPU a step tells the device to compute the next tokens, and returns those that it has: nothing waits. On a CPU
tokens are drawn by the host (`drawing`), which has to wait for the forward pass; there a step draws and returns what it
drew, and the next forward pass is begun behind it, so that it runs while Python makes text of those tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Seq
from typing import Any

import mlx.core as mx
from mlx_lm.generate import GenerationBatch, PromptProcessingBatch
from mlx_lm.models.cache import BatchKVCache

from src.engine.backends.sampling import BatchSampler, Row
from src.engine.backends.scores import RowScores, Scores

# with more rows a step is long, and its threads only stand in each other's way when it begins early (measured)
_EARLY_ROWS = 8


class _Early:
    """A layer's cache whose tokens are computed as soon as they are written down, while Python writes down the rest.

    On a CPU the drawing waits for each step, so nothing else would be computed meanwhile (1.4 ms in 15, measured).
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        found: tuple[mx.array, mx.array] = self._cache.update_and_fetch(keys, values)
        mx.async_eval(found)  # type: ignore[no-untyped-call]
        return found


class RowBatch(GenerationBatch):  # type: ignore[misc]  # mlx-lm has no types
    """Sequences that are decoded together; `samplers` are their `Row`s. It computes ahead: `_next_tokens` are drawn."""

    _next_tokens: mx.array
    _next_logprobs: list[RowScores | None]
    _composition: tuple[int, ...] = ()
    _sampler: BatchSampler
    measured: dict[str, float] | None = None

    @property
    def extra_bytes(self) -> int:
        """Keys and values held for its rows beside its cache."""
        return 0

    def put_in_order(self, at: int) -> None:
        """See that a row's tokens stand in the cache as they came: they always do here."""

    def join(self, prompts: PromptProcessingBatch, inputs: list[int]) -> None:
        """Take sequences in whose prompts are computed but for their last tokens, `inputs`."""
        self.extend(_running(RowBatch, prompts, inputs))

    def begin(self) -> None:
        """Have the next step computed, where that has not been done."""

    def _step(self) -> tuple[list[int], list[RowScores | None]]:
        """As mlx-lm's: start computing the next tokens, then return the current ones."""
        self._current_tokens, self._current_logprobs = self._next_tokens, self._next_logprobs
        inputs = self._current_tokens
        logits = self._forward(inputs)
        self._next_tokens, self._next_logprobs = self._draw(logits, inputs, self.tokens)
        mx.async_eval(self._next_tokens)  # type: ignore[no-untyped-call]
        return self._fed(inputs), self._current_logprobs

    def _forward(self, inputs: mx.array) -> mx.array:
        """Logits [rows, vocabulary] behind one more token of each row."""
        began = self._settle("", 0.0, inputs)
        logits: mx.array = self.model(inputs[:, None], cache=self._caches())[:, -1, :]
        self._settle("forward", began, logits)
        return logits

    def _draw(
        self, logits: mx.array, inputs: mx.array, histories: Seq[list[int]]
    ) -> tuple[mx.array, list[RowScores | None]]:
        """The next token of each row, and its scores where they were asked for; `histories` end before `inputs`."""
        began = self._settle("", 0.0, logits)
        sampler = self._sampler_for(logits.shape[-1], histories)
        tokens = sampler.choose(logits, inputs)
        self._settle("sample", began, tokens)
        sampler.advance()
        return tokens, self._score(logits, tokens)

    def _fed(self, inputs: mx.array) -> list[int]:
        """Note what is in the cache now: mlx-lm's `tokens` says that."""
        known: Any = inputs.tolist()
        for tokens, token in zip(self.tokens, known, strict=True):
            tokens.append(token)
        return list(known)

    def _caches(self) -> list[Any]:
        if mx.default_device() != mx.cpu or len(self.uids) > _EARLY_ROWS:
            return list(self.prompt_cache)
        return [_Early(layer) if type(layer) is BatchKVCache else layer for layer in self.prompt_cache]

    def _settle(self, phase: str, began: float, array: mx.array) -> float:
        """In a step that is measured, compute what is due so far, and note its time; elsewhere nothing waits."""
        if self.measured is None:
            return 0.0
        mx.eval(array)
        now = time.perf_counter()
        if phase:
            self.measured[phase] = now - began
        return now

    def _sampler_for(self, vocabulary: int, histories: Seq[list[int]]) -> BatchSampler:
        composition = tuple(self.uids)
        if composition != self._composition:
            self._composition = composition
            self._sampler = BatchSampler(self.samplers, histories, vocabulary)
        return self._sampler

    def _score(self, logits: mx.array, tokens: mx.array) -> list[RowScores | None]:
        rows: list[Row] = self.samplers
        asked = [at for at, row in enumerate(rows) if row.logprobs is not None]
        scores: list[RowScores | None] = [None] * len(rows)
        if asked:
            at = mx.array(asked)
            shared = Scores(logits[at], tokens[at], max(rows[n].logprobs or 0 for n in asked))
            mx.async_eval(shared.arrays)  # type: ignore[no-untyped-call]
            for line, n in enumerate(asked):
                scores[n] = RowScores(shared, line, rows[n].logprobs or 0)
        return scores


def suitable(model: Any) -> RowBatch:
    """A batch without rows, as the device wants it."""
    batch: RowBatch = (HostBatch if mx.default_device() == mx.cpu else RowBatch).empty(model, None)
    return batch


class HostBatch(RowBatch):
    """The same where the host draws. `_next_tokens` are drawn and returned, but not in the cache until `begin`."""

    _logits: mx.array | None = None

    def join(self, prompts: PromptProcessingBatch, inputs: list[int]) -> None:
        self.extend(_running(HostBatch, prompts, inputs))

    def begin(self) -> None:
        """Start computing what the next step draws from; no rows may join or leave what is in the cache till then."""
        if self.uids and self._logits is None:
            self._logits = self._forward(self._next_tokens)
            mx.async_eval(self._logits)  # type: ignore[no-untyped-call]
            self._fed(self._next_tokens)

    def filter(self, keep: list[int]) -> None:
        super().filter(keep)
        if self._logits is not None:
            self._logits = self._logits[mx.array(keep)] if keep else None

    def _step(self) -> tuple[list[int], list[RowScores | None]]:
        """Draw from what was computed. mlx-lm calls this at the batch's beginning too, when there is nothing yet."""
        self._next_logprobs = [None] * len(self.uids)
        if self._logits is None:
            return [], []
        logits, self._logits = self._logits, None
        histories = [tokens[:-1] for tokens in self.tokens]
        self._next_tokens, scores = self._draw(logits, self._next_tokens, histories)
        known: Any = self._next_tokens.tolist()
        return known, scores


def _running(kind: type[RowBatch], prompts: PromptProcessingBatch, inputs: list[int]) -> RowBatch:
    return kind(
        prompts.model,
        prompts.uids,
        mx.array(inputs),
        prompts.prompt_cache,
        prompts.tokens,
        prompts.samplers,
        prompts.fallback_sampler,
        prompts.logits_processors,
        prompts.stop_sequences,
        prompts.max_tokens,
    )
