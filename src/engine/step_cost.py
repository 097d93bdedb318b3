"""What a step costs, learned from the steps before: its prompts take fixed + tokens + tokens × context, its decoding
fixed + rows.

Pure. The scheduler adds what it measured, and asks how many tokens the next chunk may have and what the next step
should take. The fixed part is what a chunk of one token takes too: charged to the tokens, it would make small chunks
look slow, and the next one smaller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

_WINDOW = 48  # chunks that are remembered
_KEPT = 0.95  # a chunk counts so much less than the one after it
_PASSES = 6
_OUTLIER = 1.5  # × the usual error: beyond it a chunk counts less
_RIDGE = 1e-3  # chunks all alike do not tell the parts from each other: the parts share evenly then
_LEAST = 16  # tokens
_CONTEXT_UNIT = 1000.0
_LEAST_DECODES = 16  # steps without prompts, before it is known what they take; and between two fits
_LEAST_DECODES_S = 0.25  # that they took, between two fits: a fit costs as much as several quick steps
_REACH = 4.0  # × the largest that was measured: beyond it nothing is said

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """One step's prompts. `tokens`: rows × columns, padding included; `context`: tokens before the longest row's."""

    tokens: int
    context: int
    seconds: float

    @property
    def features(self) -> tuple[float, ...]:
        return 1.0, float(self.tokens), self.tokens * (self.context + self.tokens / 2) / _CONTEXT_UNIT

    @property
    def scale(self) -> float:
        """What it may roughly take, in no unit: measured seconds would make a lucky chunk count for everything."""
        return float(self.tokens + _LEAST)


@dataclass(frozen=True)
class DecodeTime:
    """A step without prompts: its running sequences, and seconds."""

    rows: int
    seconds: float

    @property
    def features(self) -> tuple[float, ...]:
        return 1.0, float(self.rows)

    @property
    def scale(self) -> float:
        return 1.0


@dataclass(frozen=True)
class Cost:
    """Seconds of a chunk, of each of its tokens, and of each token for a thousand tokens before it."""

    fixed: float
    token: float
    context: float

    def seconds(self, tokens: int, context: int) -> float:
        one, linear, square = Chunk(tokens, context, 0.0).features
        return self.fixed * one + self.token * linear + self.context * square

    def tokens(self, pause_s: float, context: int) -> int:
        """As many as take `pause_s`, and no fewer than cost as much as the chunk's fixed part."""
        slope = self.token + self.context * context / _CONTEXT_UNIT
        if slope <= 0:
            return 1 << 30
        bend = self.context / _CONTEXT_UNIT / 2
        room = max(0.0, pause_s - self.fixed)
        most = room / slope if bend * room <= 0 else (sqrt(slope * slope + 4 * bend * room) - slope) / (2 * bend)
        return max(_LEAST, int(most), int(self.fixed / slope))


class StepCost:
    """Fits what was measured last; a step that a busy machine held up moves it little."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque(maxlen=_WINDOW)
        self._cost: Cost | None = None
        self._decodes: deque[DecodeTime] = deque(maxlen=_WINDOW)
        self._decode: tuple[float, float] | None = None  # fixed, of each row
        self._unfitted, self._unfitted_s = 0, 0.0

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """What is remembered, oldest first."""
        return tuple(self._chunks)

    @property
    def decodes(self) -> tuple[DecodeTime, ...]:
        """Likewise."""
        return tuple(self._decodes)

    def add(self, tokens: int, context: int, seconds: float) -> None:
        self._chunks.append(Chunk(tokens, context, seconds))
        self._cost = None

    def add_decode(self, rows: int, seconds: float) -> None:
        """A step without prompts. Fitted now and then: they are many, and alike."""
        self._decodes.append(DecodeTime(rows, seconds))
        self._unfitted, self._unfitted_s = self._unfitted + 1, self._unfitted_s + seconds
        due = self._decode is None or self._unfitted_s >= _LEAST_DECODES_S
        if due and self._unfitted >= _LEAST_DECODES:
            fixed, row = _fit(list(self._decodes))
            self._decode, self._unfitted, self._unfitted_s = (float(fixed), float(row)), 0, 0.0

    def seconds(self, rows: int, tokens: int, context: int) -> float | None:
        """What a step should take that decodes so many rows and computes so many prompt tokens behind `context` others.

        None while nothing like it was measured: a larger model of the same kind may be anything.
        """
        prompts = self._chunk_seconds(tokens, context) if tokens else 0.0
        if self._decode is None or prompts is None or rows > _REACH * max(step.rows for step in self._decodes):
            return None
        fixed, row = self._decode
        return prompts + fixed + row * rows

    def _chunk_seconds(self, tokens: int, context: int) -> float | None:
        asked = Chunk(tokens, context, 0.0).features
        known = [max(feature) for feature in zip(*(chunk.features for chunk in self._chunks), strict=True)]
        cost = self.cost
        if cost is None or any(value > _REACH * most for value, most in zip(asked, known, strict=True)):
            return None
        return cost.seconds(tokens, context)

    @property
    def cost(self) -> Cost | None:
        """None before the first chunk."""
        if self._cost is None and self._chunks:
            self._cost = fit(list(self._chunks))
        return self._cost

    def tokens(self, step_size: int, pause_s: float, context: int) -> int:
        """Tokens of the next chunk, padding included: at most `step_size`, which is also what is tried unmeasured."""
        cost = self.cost
        return step_size if cost is None or not pause_s else min(step_size, cost.tokens(pause_s, context))


def fit(chunks: list[Chunk]) -> Cost:
    """The cost that the chunks tell."""
    return Cost(*map(float, _fit(chunks)))


def _fit(steps: Seq[Chunk | DecodeTime]) -> Array:
    """Least squares, later steps and those near the others' line counting more; no part is negative.

    Errors count relative to a step's size, so that large ones do not outweigh small ones.
    """
    scales = np.array([step.scale for step in steps])
    rows = np.array([step.features for step in steps]) / scales[:, None]
    seconds = np.array([step.seconds for step in steps]) / scales
    ages: Array = np.float64(_KEPT) ** np.arange(len(steps))[::-1]
    weights, parts = ages, np.zeros(rows.shape[1])
    for _ in range(_PASSES):
        parts = _solve(rows, seconds, weights)
        errors = np.abs(seconds - rows @ parts)
        usual = max(1e-9, float(np.median(errors)))
        weights = ages * np.minimum(1.0, _OUTLIER * usual / np.maximum(errors, 1e-12))
    return parts


def _solve(rows: Array, seconds: Array, weights: Array) -> Array:
    """Without a part that would be negative: the others are fitted again."""
    used = list(range(rows.shape[1]))
    while used:
        taken = rows[:, used]
        matrix = taken.T @ (taken * weights[:, None])
        matrix += np.diag(_RIDGE * matrix.diagonal() + 1e-30)
        found = np.linalg.solve(matrix, taken.T @ (weights * seconds))
        if found.min() >= 0:
            parts = np.zeros(rows.shape[1])
            parts[used] = found
            return parts
        used.pop(int(found.argmin()))
    return np.zeros(rows.shape[1])
