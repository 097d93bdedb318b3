"""The order of a step: prefill, then decode, with the prefix cache. Owner thread.

mlx-lm keeps one opaque `sampler` per sequence through all it does to a batch; ours are `SamplingRow`s.
Cached prefixes are taken from the prefix cache, and computed ones inserted into it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx

from src.engine.admission import chunk
from src.engine.mlx.batch import RowBatch
from src.engine.mlx.kernels import head
from src.engine.mlx.lm_batches import SequenceBatches, unroll_windows
from src.engine.mlx.prefix.cache import PrefixCache
from src.engine.mlx.sampling import SamplingRow
from src.engine.mlx.scores import RowScores

# one step in so many is divided into forward pass and sampling, at the price of waiting between them
_MEASURED = 32
# after so many, MLX gives back the buffers that it keeps for others of their size (as mlx-lm does)
_CLEARED = 512
# tokens that all running rows are padded by beside a chunk of prompts; more takes as long as the chunk itself
_PADDING = 512


@dataclass(frozen=True)
class RowTokens:
    """A token of one sequence, as mlx-lm and mlx-vlm report it."""

    uid: int
    token: int
    finish_reason: str | None
    logprobs: RowScores | None


class Rows(Protocol):
    """Sequences of one model that are computed together."""

    @property
    def kv_bytes(self) -> int: ...

    def add(
        self, prompt: list[int], max_tokens: int, row: SamplingRow, salt: str, media: object | None = None
    ) -> int: ...

    def set_prefill_budget(self, budget: int) -> None: ...

    def next(self) -> tuple[dict[int, int], list[Any]]: ...

    def times(self) -> dict[str, float]: ...

    def drop(self, uids: list[int]) -> None: ...

    def close(self) -> None: ...


class RowGenerator(SequenceBatches):
    """Orders the steps of all sequences; `batch` has no rows yet."""

    def __init__(self, model: Any, prefixes: PrefixCache, batch: RowBatch, **options: Any) -> None:
        super().__init__(model, batch, **options)
        self._prefixes = prefixes
        self._salts: dict[int, str] = {}
        self.kv_bytes = 0
        self._steps = 0
        self._times: dict[str, float] = {}
        self.decoding = batch

    def add(self, prompt: list[int], max_tokens: int, row: SamplingRow, salt: str, media: object | None = None) -> int:
        """Add a sequence, with the cached prefix of its prompt; its uid."""
        del media  # a text model has none
        with mx.stream(self.stream):
            found = self._prefixes.find(salt, prompt)
        uids: list[int] = self.insert_segments(
            [[prompt[found.tokens : found.branch_point], prompt[found.branch_point :]]],
            max_tokens=[max_tokens],
            caches=[found.cache],
            all_tokens=[prompt[: found.tokens]],
            samplers=[row],
        )
        self._salts[uids[0]] = salt
        return uids[0]

    def set_prefill_budget(self, budget: int) -> None:
        """Divide the next step's prompt tokens among the sequences in prefill."""
        lefts = [_length(segments) - 1 for segments in (*self.segments(), *self.waiting_segments())]
        self.prefill_step_size = chunk([left for left in lefts if left], budget)

    def next(self) -> tuple[dict[int, int], list[Any]]:
        """One step: the tokens left of the prompts it computed, and the replies. Computed prefixes are cached.

        Decode comes last: its tokens are reported at once, and a sequence whose prefill just ended takes part.
        """
        batch = self.decoding
        self._steps += 1
        batch.measured = {} if self._steps % _MEASURED == 0 else None
        self._times = {}
        with mx.stream(self.stream):
            self._admit_prompts()
            left = self._prefill()
            self._start_decoding(padding=_PADDING)
            replies = self._decode()
        if self._steps % _CLEARED == 0:
            mx.clear_cache()
        self._times |= batch.measured or {}
        self._count_bytes()
        return left, replies

    def times(self) -> dict[str, float]:
        """What the last step spent its time on. MLX computes lazily: a few steps wait to be measured."""
        return self._times

    def drop(self, uids: list[int]) -> None:
        """Remove sequences before their end; what was computed for them goes to the prefix cache."""
        with mx.stream(self.stream):
            batch = self.decoding
            for at, (uid, tokens) in enumerate(zip(batch.uids, batch.tokens, strict=True)):
                if uid in uids:
                    batch.put_in_order(at)
                    self._prefixes.insert(self._salts[uid], tokens, batch.prompt_cache, at, end=True)
            self.remove(uids)
        self._count_bytes()
        for uid in uids:
            self._salts.pop(uid, None)

    # ---- a step's parts

    def _admit_prompts(self) -> None:
        """Admit new sequences, as many as may run; those without a prompt to compute decode at once."""
        self.admit_waiting()
        self._start_decoding()

    def _prefill(self) -> dict[int, int]:
        """Compute a chunk of every prompt in prefill, and insert it into the prefix cache."""
        batch, prompts = self.prefilling, self.segments()
        if not batch.uids:
            return {}
        began = time.perf_counter()
        unroll_windows(batch.prompt_cache)
        with head.skipped():
            batch.prompt([segments[0][: self.prefill_step_size] for segments in prompts])
        began = self._spent("prefill", began)
        for at, (uid, tokens, segments) in enumerate(zip(batch.uids, batch.tokens, prompts, strict=True)):
            del segments[0][: self.prefill_step_size]
            if end := not segments[0]:
                del segments[0]
            self._prefixes.insert(self._salts[uid], tokens, batch.prompt_cache, at, end=end)
        self._spent("keep", began)
        return {uid: _length(segments) for uid, segments in zip(batch.uids, prompts, strict=True)}

    def _start_decoding(self, padding: int | None = None) -> None:
        """Move prompts of which all but the last token is computed to the decode batch.

        One for which all running rows would be padded by more than `padding` tokens waits for the next step.
        """
        running = max(map(len, self.decoding.tokens), default=None)
        most = None if running is None or padding is None else running + padding
        lengths = [len(tokens) for tokens in self.prefilling.tokens]
        prompts = self.segments()
        ready = [
            at
            for at, (segments, length) in enumerate(zip(prompts, lengths, strict=True))
            if _length(segments) == 1 and (most is None or length <= most)
        ]
        if ready:
            self.decoding.join(self.take_prefilled(ready), [prompts[at][0][0] for at in ready])

    def _decode(self) -> list[Any]:
        """The next tokens of the decode batch; finished rows go into the prefix cache."""
        if not self.decoding.uids:
            return []
        began = time.perf_counter()
        replies: list[Any] = self.decoding.next()
        began = self._spent("decode", began)
        for reply in replies:
            if reply.finish_reason is not None:
                self._prefixes.insert(self._salts.pop(reply.uid), reply.all_tokens, reply.prompt_cache, 0, end=True)
        self._spent("keep", began)
        return replies

    def _spent(self, phase: str, began: float) -> float:
        now = time.perf_counter()
        self._times[phase] = self._times.get(phase, 0.0) + now - began
        return now

    def _count_bytes(self) -> None:
        self.kv_bytes = self.prompt_cache_nbytes + self.decoding.extra_bytes


def _length(segments: list[list[int]]) -> int:
    return sum(map(len, segments))
