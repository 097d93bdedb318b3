"""Guesses by what was said before, in the prompt or the answer, or by what the request predicts. Owner thread."""

from __future__ import annotations

from collections.abc import Sequence as Seq

from src.engine.mlx.speculation.batch import SpeculativeRow
from src.engine.mlx.speculation.ngram import NgramIndex


class LookupDrafter:
    """An index for each row."""

    nbytes = 0

    def __init__(self) -> None:
        self._lookups: dict[int, RowLookup] = {}
        self._guesses: list[list[int]] = []

    def reach(self, lines: Seq[SpeculativeRow]) -> list[int]:
        self._guesses = []
        for line in lines:
            if line.uid not in self._lookups:
                self._lookups[line.uid] = RowLookup(line)
            lookup = self._lookups[line.uid]
            lookup.read(line)
            self._guesses.append(lookup.guess(line.limit))
        return [len(guess) for guess in self._guesses]

    def guess(self, lines: Seq[SpeculativeRow], most: int) -> list[list[int]]:
        del lines  # `reach` has made them
        return [guess[:most] for guess in self._guesses]

    def is_predicted(self, uid: int) -> bool:
        return self._lookups[uid].is_predicted

    def keep(self, uids: Seq[int]) -> None:
        self._lookups = {uid: lookup for uid, lookup in self._lookups.items() if uid in uids}


class RowLookup:
    """A row's prompt, the prediction of its answer, and the answer so far, in one index.

    While the answer goes as predicted, it is expected to go on so; where it has left the prediction, what it says is
    looked up there as in all other text.
    """

    def __init__(self, line: SpeculativeRow) -> None:
        self._taken = line.row.prompt_tokens
        self._index = NgramIndex(line.since(0)[: self._taken])
        self._begin = len(self._index)
        self._index.extend(line.row.prediction)
        self._end = len(self._index)
        self._next = self._begin  # what of the prediction comes next; its end when the answer says something else
        self.is_predicted = False

    def read(self, line: SpeculativeRow) -> None:
        """The answer's new tokens."""
        for token in (news := line.since(self._taken)):
            as_predicted = self._next < self._end and self._index[self._next] == token
            self._next = self._next + 1 if as_predicted else self._end
        self._taken += len(news)
        self._index.extend(news)

    def guess(self, most: int) -> list[int]:
        """Up to `most` tokens; `is_predicted` tells where they are from."""
        place = self._next if self._next < self._end else self._index.find()
        self.is_predicted = self._begin <= place < self._end
        if self.is_predicted:
            self._next, most = place, min(most, self._end - place)
        elif self._begin < self._end == place:
            return []  # it ends here
        return self._index.following(place, most)
