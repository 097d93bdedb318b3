"""How many tokens are worth guessing: what a guess brings against what it costs, for the whole batch. Pure.

A guessed token is computed beside the one that is certain, and kept when the model chooses it too. All rows of a batch
are computed as wide as the widest, so one row's guess is paid for by all: cheap for a few rows, where a step's time
goes into reading the weights, and dear for many.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

_FADE = 0.95  # of what a row's guesses were worth, for each step: one that failed is tried again after a while
_MARGIN = 1.15  # what guessing must promise: looking up, taking back, and waiting for its outcome are not in the costs
_PRIOR = 0.8  # how likely a guess is said to be right of which nothing is known: what is never tried is never learnt


@dataclass(frozen=True)
class Costs:
    """Seconds of a step: `step_s` whatever it computes, `position_s` more for each token of each row.

    `guess_s`, `guess_row_s`: the same for one token of the draft model.
    """

    step_s: float
    position_s: float
    guess_s: float = 0.0
    guess_row_s: float = 0.0

    def of(self, rows: int, guesses: int) -> float:
        """Of a step in which rows guess up to so many tokens."""
        drafting = guesses * (self.guess_s + rows * self.guess_row_s)
        return self.step_s + rows * (1 + guesses) * self.position_s + drafting


class Rate:
    """How likely a row's next guess is right, by its last ones."""

    def __init__(self) -> None:
        self._right = self._tried = 0.0

    @property
    def value(self) -> float:
        return (self._right + _PRIOR) / (self._tried + 1.0)

    def add(self, guessed: int, right: int) -> None:
        """A step is over. Behind the first wrong guess nothing was learnt."""
        self._right = self._right * _FADE + right
        self._tried = self._tried * _FADE + min(guessed, right + 1)


def expected(rate: float, guesses: int) -> float:
    """How many of a row's guesses will be right: each only if those before it are."""
    return sum(rate**n for n in range(1, guesses + 1))


def speculation_depth(rows: int, guesses: Seq[tuple[int, float]], costs: Costs) -> int:
    """How far a batch of `rows` should guess to make the most tokens per second; 0 is not at all.

    `guesses`: of each row that could, how many tokens, and its rate.
    """

    def pace(most: int) -> float:
        return (rows + sum(expected(rate, min(most, could)) for could, rate in guesses)) / costs.of(rows, most)

    best = max(range(1 + max((could for could, _ in guesses), default=0)), key=pace)
    return best if pace(best) >= _MARGIN * pace(0) else 0
