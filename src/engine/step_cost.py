"""What a step's prompts cost, learned from the steps before: seconds = fixed + tokens + tokens × context.

Pure. The scheduler adds each chunk it measured and asks how many tokens the next may have. The fixed part is what a
chunk of one token takes too: charged to the tokens, it would make small chunks look slow, and the next one smaller.
"""

from __future__ import annotations

from collections import deque
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

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """One step's prompts. `tokens`: rows × columns, padding included; `context`: tokens before the longest row's."""

    tokens: int
    context: int
    seconds: float

    @property
    def features(self) -> tuple[float, float, float]:
        return 1.0, float(self.tokens), self.tokens * (self.context + self.tokens / 2) / _CONTEXT_UNIT

    @property
    def scale(self) -> float:
        """What it may roughly take, in no unit: measured seconds would make a lucky chunk count for everything."""
        return float(self.tokens + _LEAST)


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
    """Fits a `Cost` to the latest chunks; a chunk that a busy machine held up moves it little."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque(maxlen=_WINDOW)
        self._cost: Cost | None = None

    def add(self, tokens: int, context: int, seconds: float) -> None:
        self._chunks.append(Chunk(tokens, context, seconds))
        self._cost = None

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
    """Least squares over the chunks, later ones and those near the others' line counting more; no part is negative.

    Errors count relative to a chunk's size, so that large chunks do not outweigh small ones.
    """
    scales = np.array([chunk.scale for chunk in chunks])
    rows = np.array([chunk.features for chunk in chunks]) / scales[:, None]
    seconds = np.array([chunk.seconds for chunk in chunks]) / scales
    ages: Array = np.float64(_KEPT) ** np.arange(len(chunks))[::-1]
    weights, parts = ages, np.zeros(3)
    for _ in range(_PASSES):
        parts = _solve(rows, seconds, weights)
        errors = np.abs(seconds - rows @ parts)
        usual = max(1e-9, float(np.median(errors)))
        weights = ages * np.minimum(1.0, _OUTLIER * usual / np.maximum(errors, 1e-12))
    return Cost(*map(float, parts))


def _solve(rows: Array, seconds: Array, weights: Array) -> Array:
    """Without a part that would be negative: the others are fitted again."""
    used = [0, 1, 2]
    while used:
        taken = rows[:, used]
        matrix = taken.T @ (taken * weights[:, None])
        matrix += np.diag(_RIDGE * matrix.diagonal() + 1e-30)
        found = np.linalg.solve(matrix, taken.T @ (weights * seconds))
        if found.min() >= 0:
            parts = np.zeros(3)
            parts[used] = found
            return parts
        used.pop(int(found.argmin()))
    return np.zeros(3)
