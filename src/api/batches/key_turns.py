"""Whose work the feeder takes next: the key that has had the fewest tokens, and its model's neighbours. Pure.

Tokens are counted when work ends; until then it counts as much as work did on average. A key that was away begins level
with the others, so that nobody saves turns up. Work of the model that was used last is preferred while its key is no
more than `_MODEL_TOKENS` ahead: a model is changed rarely, and never at another key's cost for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

_FIRST_GUESS = 256.0
_WEIGHT = 0.1  # of the latest piece of work in the average
_MODEL_TOKENS = 20_000.0


class OwnedWork(Protocol):
    @property
    def owner(self) -> str: ...

    @property
    def model(self) -> str | None: ...


W = TypeVar("W", bound=OwnedWork)


class KeyTurns:
    """`order` candidates, `start` what is taken, `end` it with its tokens."""

    def __init__(self) -> None:
        self._tokens: dict[str, float] = {}
        self._guess = _FIRST_GUESS
        self._model: str | None = None

    def order(self, candidates: Sequence[W]) -> list[W]:
        """The first has its turn; of one key's, and of keys that are level, the order given is kept."""
        owners = {one.owner for one in candidates}
        known = [self._tokens[owner] for owner in owners if owner in self._tokens]
        level = min(known, default=0.0)
        self._tokens = {owner: max(level, self._tokens.get(owner, level)) for owner in owners}
        return sorted(candidates, key=self._rank)

    def start(self, work: OwnedWork) -> float:
        """Count it; what is returned belongs to `end`."""
        self._model = work.model
        self._tokens[work.owner] = self._tokens.get(work.owner, 0.0) + self._guess
        return self._guess

    def end(self, owner: str, guess: float, tokens: int) -> None:
        """It took so many tokens; 0 when it was not answered."""
        self._guess += _WEIGHT * (tokens - self._guess)
        if owner in self._tokens:
            self._tokens[owner] += tokens - guess

    def _rank(self, work: OwnedWork) -> float:
        ahead = self._tokens[work.owner]
        return ahead - _MODEL_TOKENS if work.model == self._model is not None else ahead
