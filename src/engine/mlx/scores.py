"""What a step's tokens were worth to the model, for the rows that asked. Owner thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx


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
