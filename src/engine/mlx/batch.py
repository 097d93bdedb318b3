"""mlx-lm's batch of sequences that are decoded together, with a step of our own: one sampler for all. Owner thread.

On a GPU a step tells the device to compute the next tokens, and returns those that it has: nothing waits. On a CPU the
host draws (`draw`) and waits for each forward pass, so a step returns what it drew, and nobody is computed ahead.
"""

from __future__ import annotations

import time
from typing import Any

import mlx.core as mx
from mlx_lm.generate import GenerationBatch, PromptProcessingBatch
from mlx_lm.models.cache import BatchKVCache

from src.engine.mlx.sampling import BatchSampler, SamplingRow
from src.engine.mlx.scores import RowScores, Scores

# with more rows a step is long, and its threads only stand in each other's way when it begins early (measured)
_EAGER_ROWS = 8


class EagerCache:
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
    """Sequences that are decoded together. `samplers` are their `SamplingRow`s; `_next_tokens` are drawn already."""

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
        """Add sequences whose prompts are computed but for their last tokens, `inputs`."""
        self.extend(_running(RowBatch, prompts, inputs))

    def extend(self, batch: GenerationBatch) -> None:
        """As mlx-lm's, but for how layers that keep every token are joined."""
        if self.prompt_cache:
            for layer, other in zip(self.prompt_cache, batch.prompt_cache, strict=True):
                _join(layer, other)
            batch.prompt_cache = []
        super().extend(batch)

    def _step(self) -> tuple[list[int], list[RowScores | None]]:
        """As mlx-lm's: start computing the next tokens, then return the current ones."""
        self._current_tokens, self._current_logprobs = self._next_tokens, self._next_logprobs
        inputs = self._current_tokens
        logits = self._forward(inputs)
        self._next_tokens, self._next_logprobs = self._draw(logits, inputs)
        mx.async_eval(self._next_tokens)  # type: ignore[no-untyped-call]
        return self._commit_inputs(inputs), self._current_logprobs

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
        tokens = sampler.choose(logits, inputs)
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
        """In a step that is measured, compute what is due so far, and note its time; elsewhere nothing waits."""
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
        rows: list[SamplingRow] = self.samplers
        asked = [at for at, row in enumerate(rows) if row.logprobs is not None]
        scores: list[RowScores | None] = [None] * len(rows)
        if asked:
            at = mx.array(asked)
            shared = Scores(logits[at], tokens[at], max(rows[n].logprobs or 0 for n in asked))
            mx.async_eval(shared.arrays)  # type: ignore[no-untyped-call]
            for line, n in enumerate(asked):
                scores[n] = RowScores(shared, line, rows[n].logprobs or 0)
        return scores


class HostBatch(RowBatch):
    """The same where the host draws: `_next_tokens` are reported already, and go through the model in the next step."""

    def next(self) -> list[Any]:
        """Compute and draw each row's next token; the report is mlx-lm's."""
        if self.uids:
            inputs = self._next_tokens
            self._next_tokens, self._next_logprobs = self._draw(self._forward(inputs), inputs)
            self._commit_inputs(inputs)
            self._leave_failed()
        replies: list[Any] = super().next()
        return replies

    def join(self, prompts: PromptProcessingBatch, inputs: list[int]) -> None:
        self.extend(_running(HostBatch, prompts, inputs))

    def _step(self) -> tuple[list[int], list[RowScores | None]]:
        """What `next` has drawn. mlx-lm calls this at a batch's beginning too, and has no use for what it returns."""
        if not self._next_logprobs:
            self._next_logprobs = [None] * len(self.uids)
        known: Any = self._next_tokens.tolist()
        return known, self._next_logprobs

    def _leave_failed(self) -> None:
        """A row whose grammar cannot go on has drawn what it may not say. Whoever gave it the grammar sees that too."""
        well = [at for at, row in enumerate(self.samplers) if not row.failed]
        if len(well) < len(self.uids):
            self.filter(well)


def empty_batch(model: Any) -> RowBatch:
    """A batch without rows, of the kind for this device."""
    batch: RowBatch = (HostBatch if mx.default_device() == mx.cpu else RowBatch).empty(model, None)
    return batch


def _join(layer: Any, other: Any) -> None:
    """As `layer.extend(other)`, but what is padded is written once: mlx-lm pads, then copies what it padded.

    Beside a long row that is most of a batch's memory: with 16 short rows and one of 4,000 tokens it took seconds.
    """
    if not (type(layer) is type(other) is BatchKVCache) or layer.keys is None or other.keys is None:
        layer.extend(other)
        return
    end = max(layer._idx, other._idx)  # noqa: SLF001  # mlx-lm has no name for where rows end
    layer.keys = _below(layer, other, layer.keys, other.keys, end)
    layer.values = _below(layer, other, layer.values, other.values, end)
    layer.offset = mx.concatenate([layer.offset, other.offset])
    paddings = [each.left_padding + (end - each._idx) for each in (layer, other)]  # noqa: SLF001  # as above
    layer.left_padding, layer._idx = mx.concatenate(paddings), end  # noqa: SLF001  # as above


def _below(layer: Any, other: Any, first: mx.array, second: mx.array, end: int) -> mx.array:
    """The rows of both, which end together at `end`."""
    rows, heads, size, width = first.shape
    both = mx.zeros((rows + second.shape[0], heads, max(size, second.shape[2]), width), first.dtype)
    both[:rows, :, end - layer._idx : end] = first[..., : layer._idx, :]  # noqa: SLF001  # as above
    both[rows:, :, end - other._idx : end] = second[..., : other._idx, :]  # noqa: SLF001  # as above
    return both


def _running(kind: type[RowBatch], prompts: PromptProcessingBatch, inputs: list[int]) -> RowBatch:
    return kind(
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
