"""Chooses the next token of every row of a batch in few array operations, each row by its own parameters. Owner thread.

Parameters are vectors, made anew when the batch changes. A row's random numbers come from its seed and the position in
its answer alone: the same seed gives the same text in any company, and when a fresh engine goes on with the answer.
Filters are applied in mlx-lm's order (top_p, min_p, top_k on the untempered distribution, then the temperature):
`draw`.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from src.engine.mlx import device
from src.engine.mlx.draw import Drawing, DrawParams
from src.engine.mlx.text.grammar import Matcher, token_masks

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_BITS = 23
_NOTHING = 1e-30  # a temperature or top_p below this is nothing: float32 cannot divide by it


@dataclass
class SamplingRow:
    """One sequence's parameters, all decided; `made` counts the tokens of its answer so far, a prefix included.

    `prediction`: what its answer may be.
    """

    prompt_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0
    made: int = 0
    logprobs: int | None = None
    matcher: Matcher | None = None
    started: bool = False
    prediction: Seq[int] = ()

    @property
    def greedy(self) -> bool:
        return min(self.temperature, self.top_p) < _NOTHING or self.top_k == 1

    @property
    def params(self) -> DrawParams:
        return DrawParams(self.temperature, self.top_p, self.top_k, self.min_p)

    @property
    def penalised(self) -> bool:
        return self.frequency_penalty != 0 or self.presence_penalty != 0 or self.repetition_penalty != 1


def uniforms(seeds: Seq[int], positions: Seq[int]) -> Any:
    """Numbers in [0, 1), one per row, from (seed, position): two rounds of splitmix64, so that neighbours differ."""
    with np.errstate(over="ignore"):
        start = _mix(np.array([seed & (1 << 64) - 1 for seed in seeds], np.uint64) + _GOLDEN)
        mixed = _mix(start + np.array(positions, np.uint64) * _GOLDEN)
    return (mixed >> np.uint64(64 - _BITS)).astype(np.float32) / np.float32(1 << _BITS)


def _mix(state: Any) -> Any:
    state = (state ^ (state >> np.uint64(30))) * _MIX[0]
    state = (state ^ (state >> np.uint64(27))) * _MIX[1]
    return state ^ (state >> np.uint64(31))


class BatchSampler:
    """Samples for one composition of a batch; `histories` are the tokens each row's cache holds (not its inputs)."""

    def __init__(self, rows: Seq[SamplingRow], histories: Seq[list[int]], vocabulary: int) -> None:
        self._rows = list(rows)
        self._greedy = _where(rows, lambda row: row.greedy)
        self._drawn = _where(rows, lambda row: not row.greedy)
        order = self._greedy + self._drawn
        self._back = None if order == sorted(order) else mx.array(np.argsort(order))
        on_host = mx.default_device() == mx.cpu
        self._drawing = Drawing([rows[at].params for at in self._drawn], on_host=on_host)
        self._penalties = _Penalties.of(rows, histories, vocabulary)
        self._bias = _bias(rows)
        self._matchers = [(at, row.matcher) for at, row in enumerate(rows) if row.matcher is not None]

    def choose(self, logits: mx.array, inputs: mx.array) -> mx.array:
        """The next token of each row. `inputs` are the tokens that gave these logits."""
        logits = self._adjusted(logits, inputs)
        if len(self._greedy) == len(self._rows):
            return mx.argmax(logits, axis=-1)
        rows = [self._rows[at] for at in self._drawn]
        uniform = uniforms([row.seed for row in rows], [row.made for row in rows])
        drawn = self._drawing.choose(self._of(logits, self._drawn), uniform)
        if not self._greedy:
            return drawn
        chosen = mx.concatenate([mx.argmax(self._of(logits, self._greedy), axis=-1), drawn])
        return chosen if self._back is None else chosen[self._back]

    def advance(self) -> None:
        """Every row has one more token."""
        for row in self._rows:
            row.made += 1
            row.started = True

    def _adjusted(self, logits: mx.array, inputs: mx.array) -> mx.array:
        if self._penalties is not None:
            logits = self._penalties.apply(logits, inputs)
        if self._bias is not None:
            rows, tokens, values = self._bias
            logits = logits.at[rows, tokens].add(values.astype(logits.dtype))
        return self._constrained(logits, inputs) if self._matchers else logits

    def _constrained(self, logits: mx.array, inputs: mx.array) -> mx.array:
        """Only tokens that the rows' grammars allow next; for them the last token must be known, so this waits."""
        device.start(logits)
        known: Any = inputs.tolist()
        for at, matcher in self._matchers:
            if self._rows[at].started:
                matcher.consume(known[at])
        allowed = mx.array(token_masks([matcher for _, matcher in self._matchers], logits.shape[-1]))
        if len(self._matchers) == len(self._rows):
            return mx.where(allowed, logits, -mx.inf)
        rows, logits = (
            mx.array([at for at, _ in self._matchers]),
            logits[:],
        )  # the caller's stay what the model said: scores are of those
        logits[rows] = mx.where(allowed, logits[rows], -mx.inf)
        return logits

    def _of(self, array: mx.array, rows: list[int]) -> mx.array:
        return array if len(rows) == len(self._rows) else array[mx.array(rows)]


class _Penalties:
    """Frequency and presence count the answer's tokens, repetition those of the prompt too."""

    def __init__(self, rows: Seq[SamplingRow], at: list[int], histories: Seq[list[int]], vocabulary: int) -> None:
        self._all = len(at) == len(rows)
        self._at = mx.array(at)
        self._frequency = _column([rows[n].frequency_penalty for n in at])
        self._presence = _column([rows[n].presence_penalty for n in at])
        self._repetition = _column([rows[n].repetition_penalty for n in at])
        counts = np.zeros((len(at), vocabulary), np.float32)
        seen = np.zeros((len(at), vocabulary), bool)
        for line, n in enumerate(at):
            history = np.array(histories[n], np.int64)
            np.add.at(counts[line], history[rows[n].prompt_tokens :], 1.0)
            seen[line, history] = True
        self._counts, self._seen = mx.array(counts), mx.array(seen)
        self._lines = mx.arange(len(at))
        # the first input of an answer is the prompt's last token, unless the answer has a prefix
        self._ours = mx.array([float(len(histories[n]) >= rows[n].prompt_tokens) for n in at])

    @classmethod
    def of(cls, rows: Seq[SamplingRow], histories: Seq[list[int]], vocabulary: int) -> _Penalties | None:
        at = _where(rows, lambda row: row.penalised)
        return cls(rows, at, histories, vocabulary) if at else None

    def apply(self, logits: mx.array, inputs: mx.array) -> mx.array:
        last = inputs[self._at]
        self._counts = self._counts.at[self._lines, last].add(self._ours)
        self._seen[self._lines, last] = True
        self._ours = mx.ones_like(self._ours)
        some = (logits if self._all else logits[self._at]).astype(mx.float32)
        repeated = mx.where(some > 0, some / self._repetition, some * self._repetition)
        some = mx.where(self._seen, repeated, some)
        some = some - self._frequency * self._counts - self._presence * (self._counts > 0)
        if self._all:
            return some
        logits = logits.astype(mx.float32)
        logits[self._at] = some
        return logits


def _where(rows: Seq[SamplingRow], holds: Any) -> list[int]:
    return [at for at, row in enumerate(rows) if holds(row)]


def _column(values: Any) -> mx.array:
    return mx.array(np.array(values, np.float32)[:, None])


def _bias(rows: Seq[SamplingRow]) -> tuple[mx.array, mx.array, mx.array] | None:
    entries = [(at, token, value) for at, row in enumerate(rows) for token, value in row.bias]
    if not entries:
        return None
    lines, tokens, values = zip(*entries, strict=True)
    return mx.array(lines), mx.array(tokens), mx.array(values, dtype=mx.float32)
