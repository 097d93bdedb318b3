"""mlx-lm's batch, with a step of our own: one sampler for all rows, and log-probabilities for those who asked.

Owner thread. mlx-lm keeps one opaque `sampler` per sequence through all it does to a batch; ours are `Row`s. What
prompts share is taken from the prefix cache and kept in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, GenerationBatch, PromptProcessingBatch
from mlx_lm.models.cache import BatchKVCache

from src.engine.backends.prefix import PrefixCache
from src.engine.backends.sampling import BatchSampler, Row
from src.engine.chunks import chunk

# with more rows a step is long, and its threads only stand in each other's way when it begins early (measured)
_EARLY_ROWS = 8
# one step in so many is divided into forward pass and sampling, at the price of waiting between them
_MEASURED = 32


class Scores:
    """Log-probabilities of one step, of the rows that asked; on the device until somebody reads them."""

    def __init__(self, logits: mx.array, tokens: mx.array, top: int) -> None:
        logits = logits.astype(mx.float32)
        scores = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        self.arrays = [tokens, mx.take_along_axis(scores, tokens[:, None], axis=-1)[:, 0]]
        if top:
            best = mx.contiguous(mx.argpartition(-scores, kth=top - 1, axis=-1)[:, :top])  # else it would hold them all
            self.arrays += [best, mx.take_along_axis(scores, best, axis=-1)]
        self._lists: list[Any] | None = None

    def read(self, line: int) -> tuple[tuple[int, float], list[tuple[int, float]]]:
        """The token that came, and the likeliest, best first, each with its log-probability."""
        if self._lists is None:
            self._lists = [array.tolist() for array in self.arrays]
        chosen = (self._lists[0][line], self._lists[1][line])
        if len(self._lists) == 2:
            return chosen, []
        return chosen, sorted(zip(self._lists[2][line], self._lists[3][line], strict=True), key=lambda pair: -pair[1])


@dataclass(frozen=True)
class RowScores:
    """One row's share of `Scores`."""

    scores: Scores
    line: int
    top: int

    def read(self) -> tuple[tuple[int, float], list[tuple[int, float]]]:
        """The token that came, and as many of the likeliest as were asked for, best first."""
        chosen, best = self.scores.read(self.line)
        return chosen, best[: self.top]


@dataclass(frozen=True)
class Reply:
    """A token of one sequence, as mlx-lm and mlx-vlm report it."""

    uid: int
    token: int
    finish_reason: str | None
    logprobs: RowScores | None


class Rows(Protocol):
    """Sequences that are computed together, on one model."""

    @property
    def kv_bytes(self) -> int: ...

    def add(self, prompt: list[int], max_tokens: int, row: Row, salt: str, media: object | None = None) -> int: ...

    def share(self, budget: int) -> None: ...

    def next(self) -> tuple[list[Any], list[Any]]: ...

    def times(self) -> dict[str, float]: ...

    def drop(self, uids: list[int]) -> None: ...

    def close(self) -> None: ...


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
    """Sequences that are decoded together; `samplers` are their `Row`s."""

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

    def _step(self) -> tuple[list[int], list[RowScores | None]]:
        """As mlx-lm's: start computing the next tokens, then return the current ones."""
        self._current_tokens, self._current_logprobs = self._next_tokens, self._next_logprobs
        inputs = self._current_tokens
        began = self._settle("", 0.0, inputs)
        logits = self.model(inputs[:, None], cache=self._caches())[:, -1, :]
        sampler = self._sampler_for(logits.shape[-1])
        began = self._settle("forward", began, logits)
        self._next_tokens = sampler.choose(logits, inputs)
        self._settle("sample", began, self._next_tokens)
        sampler.advance()
        self._next_logprobs = self._score(logits)
        pending = [each.scores.arrays for each in self._next_logprobs if each is not None]
        mx.async_eval(self._next_tokens, pending)  # type: ignore[no-untyped-call]
        known: Any = inputs.tolist()
        for tokens, token in zip(self.tokens, known, strict=True):
            tokens.append(token)
        return known, self._current_logprobs

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

    def _sampler_for(self, vocabulary: int) -> BatchSampler:
        composition = tuple(self.uids)
        if composition != self._composition:
            self._composition = composition
            self._sampler = BatchSampler(self.samplers, self.tokens, vocabulary)
        return self._sampler

    def _score(self, logits: mx.array) -> list[RowScores | None]:
        rows: list[Row] = self.samplers
        asked = [at for at, row in enumerate(rows) if row.logprobs is not None]
        scores: list[RowScores | None] = [None] * len(rows)
        if asked:
            at = mx.array(asked)
            shared = Scores(logits[at], self._next_tokens[at], max(rows[n].logprobs or 0 for n in asked))
            for line, n in enumerate(asked):
                scores[n] = RowScores(shared, line, rows[n].logprobs or 0)
        return scores


class RowPrompts(PromptProcessingBatch):  # type: ignore[misc]  # mlx-lm has no types
    """Sequences in prefill, which become a `RowBatch`."""

    def generate(self, tokens: list[list[int]]) -> RowBatch:
        return RowBatch(
            self.model,
            self.uids,
            mx.array([last for (last,) in tokens]),
            self.prompt_cache,
            self.tokens,
            self.samplers,
            self.fallback_sampler,
            self.logits_processors,
            self.stop_sequences,
            self.max_tokens,
        )


class RowGenerator(BatchGenerator):  # type: ignore[misc]  # mlx-lm has no types
    """mlx-lm's scheduler of prefill and decode over our batches."""

    def __init__(
        self, model: Any, prefixes: PrefixCache, start: Callable[..., RowBatch] = RowBatch.empty, **options: Any
    ) -> None:
        super().__init__(model, **options)
        self._prefixes = prefixes
        self._salts: dict[int, str] = {}
        self.kv_bytes = 0
        self._steps = 0
        self._times: dict[str, float] = {}
        self._prompt_batch = RowPrompts.empty(model, self.sampler, prefill_step_size=self.prefill_step_size)
        self._generation_batch = start(model, self.sampler)

    def add(self, prompt: list[int], max_tokens: int, row: Row, salt: str, media: object | None = None) -> int:  # noqa: ARG002  # text alone
        """Take a sequence in, with what is known of its prompt; its uid."""
        with mx.stream(self._stream):
            found = self._prefixes.find(salt, prompt)
        uids: list[int] = self.insert_segments(
            [[prompt[found.tokens : found.part], prompt[found.part :]]],
            max_tokens=[max_tokens],
            caches=[found.cache],
            all_tokens=[prompt[: found.tokens]],
            samplers=[row],
        )
        self._salts[uids[0]] = salt
        return uids[0]

    def share(self, budget: int) -> None:
        """Divide the next step's prompt tokens among the sequences in prefill."""
        begun, new = [row[0] for row in self._currently_processing], [row[1] for row in self._unprocessed_sequences]
        lefts = [sum(map(len, segments)) - 1 for segments in (*begun, *new)]
        self.prefill_step_size = chunk([left for left in lefts if left], budget)

    def next(self) -> tuple[list[Any], list[Any]]:
        """One step; what it computed is kept for others."""
        with mx.stream(self._stream):
            prompts, generated = self._measured_next()
            began = time.perf_counter()
            ends = {reply.uid for reply in prompts if reply.end_of_segment}
            batch = self._prompt_batch
            for at, (uid, tokens) in enumerate(zip(batch.uids, batch.tokens, strict=True)):
                self._prefixes.keep(self._salts[uid], tokens, batch.prompt_cache, at, end=uid in ends)
            for reply in generated:
                if reply.finish_reason is not None:
                    self._prefixes.keep(self._salts.pop(reply.uid), reply.all_tokens, reply.prompt_cache, 0, end=True)
        self._times["keep"] = time.perf_counter() - began
        self._count_bytes()
        return prompts, generated

    def times(self) -> dict[str, float]:
        """What the last step spent its time on. MLX computes later than it is told: a few steps wait to be measured."""
        return self._times

    def _measured_next(self) -> tuple[list[Any], list[Any]]:
        self._steps += 1
        batch, now = self._generation_batch, self._counters
        before = (now.prompt_tokens, now.prompt_time, now.generation_steps, now.decode_time)
        batch.measured = {} if self._steps % _MEASURED == 0 else None
        prompts, generated = self._next()
        self._times = batch.measured or {}
        if now.prompt_tokens > before[0]:
            self._times["prefill"] = now.prompt_time - before[1]
        if now.generation_steps > before[2]:
            self._times["decode"] = now.decode_time - before[3]
        return prompts, generated

    def drop(self, uids: list[int]) -> None:
        """Forget sequences before their end, but not what was computed for them."""
        with mx.stream(self._stream):
            batch = self._generation_batch
            for at, (uid, tokens) in enumerate(zip(batch.uids, batch.tokens, strict=True)):
                if uid in uids:
                    batch.put_in_order(at)
                    self._prefixes.keep(self._salts[uid], tokens, batch.prompt_cache, at, end=True)
            self.remove(uids)
        self._count_bytes()
        for uid in uids:
            self._salts.pop(uid, None)

    def _count_bytes(self) -> None:
        self.kv_bytes = self.prompt_cache_nbytes + self._generation_batch.extra_bytes
