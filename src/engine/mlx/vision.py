"""mlx-vlm's batch behind the interface of `rows.RowGenerator`: pictures go in, our sampler chooses.

Owner thread. Each prompt is computed by itself, in chunks between decode steps; its pictures first, when their turn
comes. mlx-vlm calls one sampler for all rows and does not say whose they are: they are in the order of its batch.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import mlx.core as mx
import numpy as np
from mlx_vlm.generate.ar import BatchGenerator, _split_prompt_kwargs_per_row
from mlx_vlm.generate.common import _chunked_prefill_enabled

from src.engine.mlx import vision_mends
from src.engine.mlx.rows import RowTokens
from src.engine.mlx.sampling import BatchSampler, SamplingRow
from src.engine.mlx.scores import RowScores, Scores

Arrays = dict[str, Any]
_PIXELS = "pixel_values"


@dataclass(frozen=True)
class MovedArray:
    """An array of MLX on its way to another thread."""

    values: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Media:
    """What a processor made of a request's pictures: `MovedArray`s and plain values, some in lists."""

    inputs: Arrays
    tokens: int  # of the prompt that it belongs to; those of an answer's beginning may follow
    kept_tokens: int = 0


@dataclass
class _VisionRow:
    """A row here. `scores` wait for the reports of their tokens, which come a step later."""

    row: SamplingRow
    tokens: list[int]
    step_size: int | None
    scores: deque[RowScores | None] = field(default_factory=deque)
    level: mx.array | None = None  # what mlx-vlm took from the logits, where a penalty needs them as they were


class _Level:
    """Notes how far a row's logits are from log-probabilities: a repetition penalty asks for their sign."""

    def __init__(self, running: _VisionRow) -> None:
        self._running = running

    def __call__(self, _: Any, logits: mx.array) -> mx.array:
        self._running.level = mx.logsumexp(logits, axis=-1, keepdims=True)
        return logits

    process_last_token = __call__


class VisionRows:
    """Sequences with and without pictures, decoded together."""

    def __init__(self, model: Any, processor: Any, *, stop_tokens: set[int], batch: int, step_size: int) -> None:
        self._model = model
        self._language = model.language_model
        self._in_three_directions = _in_three_directions(self._language)
        self._running: dict[int, _VisionRow] = {}
        self._composition: tuple[int, ...] = ()
        self._sampler: BatchSampler
        self._times: dict[str, float] = {}
        self._step_size = step_size
        self._generator = BatchGenerator(
            model.language_model,
            processor,
            stop_tokens=stop_tokens,
            sampler=self,
            completion_batch_size=batch,
            prefill_batch_size=1,
            prefill_step_size=step_size,
            compute_logprobs=False,
        )

    # ---- as RowGenerator

    @property
    def kv_bytes(self) -> int:
        caches = [self._generator._generation_batch.prompt_cache]
        return sum(int(getattr(layer, "nbytes", 0)) for cache in caches for layer in cache)

    def add(self, prompt: list[int], max_tokens: int, row: SamplingRow, salt: str, media: object | None = None) -> int:
        del salt  # there is no prefix cache
        arrays = self._embedded(prompt, media if isinstance(media, Media) else None)
        running = _VisionRow(row, list(prompt), self._chunk(prompt, arrays))
        hooks = [_Level(running)] if row.repetition_penalty != 1 else None
        (uid,) = self._generator.insert(
            [prompt],
            [max_tokens],
            prompt_kwargs=_split_prompt_kwargs_per_row(arrays, 1),
            logits_processors=[hooks],
        )
        self._running[uid] = running
        return int(uid)

    def set_prefill_budget(self, budget: int) -> None:
        """A chunk is one prompt's here."""
        self._step_size = budget

    def next(self) -> tuple[dict[int, int], list[RowTokens]]:
        began = time.perf_counter()
        waiting = self._generator.unprocessed_prompts
        if waiting:
            self._generator.prefill_step_size = self._running[waiting[0][0]].step_size and self._step_size
        _, generated = self._generator.next()
        self._times = {"decode": time.perf_counter() - began}
        return {}, [self._report(reply) for reply in generated]

    def times(self) -> dict[str, float]:
        return self._times

    def drop(self, uids: list[int]) -> None:
        for uid in uids:
            self._generator.remove(uid)
            self._running.pop(uid, None)

    def close(self) -> None:
        self._generator.close()

    # ---- prompts

    def _embedded(self, prompt: list[int], media: Media | None) -> Arrays:
        """A prompt's vectors, pictures in their places, and where each token stands. Nothing is computed yet."""
        inputs = {} if media is None else _inputs(media, len(prompt) - media.tokens)
        pixels = inputs.pop(_PIXELS, None)
        ids = mx.array([prompt])
        found = self._model.get_input_embeddings(ids, pixels, mask=mx.ones(ids.shape, mx.int32), **inputs)
        arrays = inputs | {name: value for name, value in found.to_dict().items() if value is not None}
        if self._in_three_directions and "rope_deltas" not in arrays:
            arrays |= self._places(len(prompt), has_pictures=pixels is not None)
        self._forget_places()
        return vision_mends.of_embedded(arrays)

    def _forget_places(self) -> None:
        """What a model notes of its last prompt: a row that is decoded alone would take its places for its own."""
        if hasattr(self._language, "_position_ids"):
            self._language._position_ids = None
        if hasattr(self._language, "_rope_deltas"):
            self._language._rope_deltas = mx.zeros((1, 1), mx.int64)  # each row brings its own

    def _places(self, length: int, *, has_pictures: bool) -> Arrays:
        """Positions of a model that counts them in three directions. Left in the model (as some do), the next prompt's
        would be taken for this one's, and batches would give wrong text."""
        if has_pictures:
            return {"position_ids": self._language._position_ids, "rope_deltas": self._language._rope_deltas}
        straight = mx.broadcast_to(mx.arange(length)[None, None, :], (3, 1, length))
        return {"position_ids": straight, "rope_deltas": mx.zeros((1, 1), mx.int64)}

    def _chunk(self, prompt: list[int], arrays: Arrays) -> int | None:
        """None for a model whose prompts mlx-vlm cannot compute in pieces."""
        rest = {name: value for name, value in arrays.items() if name != "inputs_embeds"}
        divisible = _chunked_prefill_enabled(
            self._model,
            input_ids=mx.array([prompt]),
            inputs_embeds=arrays.get("inputs_embeds"),
            draft_model=None,
            draft_kind=None,
            prefill_kwargs=rest,
        )
        return self._step_size if divisible else None

    # ---- sampling, called by mlx-vlm

    def __call__(self, _: mx.array) -> mx.array:
        raise RuntimeError("mlx-vlm is expected to call sample_target")

    def sample_target(self, logprobs: mx.array, *, row_ids: list[int], positions: list[int]) -> mx.array:
        del row_ids  # mlx-vlm numbers all rows 0
        if positions[0] == 0:
            (uid,) = self._generator._prompt_batch.uids
            first = self._running[uid]
            sampler = BatchSampler([first.row], [first.tokens[:-1]], logprobs.shape[-1])
            return self._choose(sampler, [first], logprobs, mx.array(first.tokens[-1:]))
        batch = self._generator._generation_batch
        rows = [self._running[uid] for uid in batch.uids]
        if tuple(batch.uids) != self._composition:
            self._composition = tuple(batch.uids)
            self._sampler = BatchSampler([one.row for one in rows], [one.tokens for one in rows], logprobs.shape[-1])
        return self._choose(self._sampler, rows, logprobs, batch._current_tokens)

    def _choose(self, sampler: BatchSampler, rows: list[_VisionRow], logprobs: mx.array, inputs: mx.array) -> mx.array:
        if any(one.level is not None for one in rows):
            levels = [mx.zeros((1, 1)) if one.level is None else one.level for one in rows]
            logprobs = logprobs + mx.concatenate(levels)
        chosen = sampler.choose(logprobs, inputs)
        sampler.advance()
        asked = [one.row.logprobs for one in rows if one.row.logprobs is not None]
        scores = Scores(logprobs, chosen, max(asked)) if asked else None
        for line, one in enumerate(rows):
            top = one.row.logprobs
            one.scores.append(None if scores is None or top is None else RowScores(scores, line, top))
        return chosen

    def _report(self, reply: Any) -> RowTokens:
        running = self._running[reply.uid]
        running.tokens.append(int(reply.token))
        finish = cast("str | None", reply.finish_reason)
        scores = running.scores.popleft()
        if finish is not None:
            del self._running[reply.uid]
        return RowTokens(reply.uid, int(reply.token), finish, scores)


def _in_three_directions(language: Any) -> bool:
    """Whether a model counts the places of its tokens so, and notes those of its last prompt in itself."""
    if not all(hasattr(language, name) for name in ("_rope_deltas", "_position_ids")):
        return False
    return bool(language.get_rope_index(mx.array([[1, 2]]))[0].ndim == 3)


def _inputs(media: Media, behind: int) -> Arrays:
    found = {name: _array(value) for name, value in media.inputs.items()}
    return vision_mends.of_inputs(found, media.tokens, behind)


def _array(value: Any) -> Any:
    if isinstance(value, MovedArray):
        return mx.array(value.values)
    return type(value)(map(_array, value)) if type(value) in (list, tuple) else value
