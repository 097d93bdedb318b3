"""Prompt look-up: what followed the last time the text went like this. Pure; one per sequence, owner thread.

Copies, quotations, code that is edited and forms that repeat are foreseen by it, at no cost but this index.
"""

from __future__ import annotations

from collections.abc import Iterable

# tokens that must be alike before a guess, the most that are compared, and the earlier places that are looked at
_LEAST, _MOST, _PLACES = 2, 8, 8
TOKEN_BYTES = 150  # what a token of a sequence takes here (measured: docs/adr/0018)


class NgramIndex:
    """The tokens of one sequence, by the pairs they end with. A token costs one entry; a guess a few comparisons."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._tokens: list[int] = []
        self._last: dict[tuple[int, int], int] = {}  # a pair → where it was seen last, behind it
        self._before: list[int] = []  # for each place: where its pair was seen before; 0 is nowhere
        self.extend(tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        """The sequence goes on with these."""
        for token in tokens:
            self._tokens.append(token)
            place, before = len(self._tokens), 0
            if place >= _LEAST:
                pair = (self._tokens[-2], token)
                before = self._last.get(pair, 0)
                self._last[pair] = place
            self._before.append(before)

    def __getitem__(self, place: int) -> int:
        return self._tokens[place]

    def following(self, place: int, most: int) -> list[int]:
        """Up to `most` tokens from a place on; none from 0, which is nowhere."""
        return self._tokens[place : place + most] if place else []

    def find(self) -> int:
        """The place behind the longest end seen before, of equally long ones the latest; 0 without any."""
        best = length = 0
        place = self._before[-1] if self._tokens else 0
        for _ in range(_PLACES):
            if not place:
                break
            if (alike := self._alike(place)) > length:
                best, length = place, alike
            place = self._before[place - 1]
        return best

    def _alike(self, place: int) -> int:
        """How many tokens before `place` are those at the end; the last pair is known to be."""
        tokens, alike = self._tokens, _LEAST
        while alike < min(_MOST, place) and tokens[place - alike - 1] == tokens[-alike - 1]:
            alike += 1
        return alike
