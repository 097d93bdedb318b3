"""Whose turn it is: classes with ageing, owners by turns within a class, and nobody passed over for ever. Pure.

The one order of all queues of work: the engines' (`engine.queue`), their threads' (`engine.fair_executor`) and the OCR
broker's (`ocr.queue`). An owner is an API key, by whatever stands for it; "" is everybody without one, in the order of
their arrival.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Generic, TypeVar

from src.ipc.messages.base import Priority

# so many turns of others for each owner that waits: then an owner goes first, whatever its class
_PATIENCE = 4

W = TypeVar("W")
_Entry = tuple[float, int, W]


def share(limit: int, owner: str) -> int:
    """How many of `limit` places one owner may hold: the last quarter is for the others."""
    return limit - limit // 4 if owner else limit


def anybody(_: str) -> bool:
    return True


class FairQueue(Generic[W]):
    """Work that waits. `class_of` and `owner_of` read a piece; an item of rank r stands r × `ageing_s` behind."""

    def __init__(
        self,
        ranks: Mapping[Priority, float],
        ageing_s: float,
        class_of: Callable[[W], Priority],
        owner_of: Callable[[W], str],
    ) -> None:
        self._ranks, self._ageing_s = ranks, ageing_s
        self._class_of, self._owner_of = class_of, owner_of
        # per class its owners in the order of their turns, with what each has waiting, by when it is due
        self._classes: dict[Priority, dict[str, list[_Entry[W]]]] = {name: {} for name in ranks}
        self._passed: dict[str, int] = {}  # turns of others since an owner's last one, of those who wait
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._passed)

    def __len__(self) -> int:
        return sum(map(len, self._lines()))

    def __iter__(self) -> Iterator[W]:
        """By when they are due; owners' turns apart."""
        return (one for _, _, one in sorted(chain.from_iterable(self._lines()), key=lambda entry: entry[:2]))

    def held(self, owner: str) -> int:
        """How much of one owner's waits."""
        return sum(len(lines.get(owner, ())) for lines in self._classes.values())

    def push(self, one: W, arrived: float) -> None:
        self._count += 1
        name, owner = self._class_of(one), self._owner_of(one)
        due = arrived + self._ranks[name] * self._ageing_s
        insort(self._classes[name].setdefault(owner, []), (due, self._count, one))
        self._passed.setdefault(owner, 0)

    def first(self, may_run: Callable[[str], bool] = anybody) -> W | None:
        """Whose turn it is, among the owners who `may_run`; the same one until something comes or goes."""
        heads = self._overdue(may_run)
        if heads:
            return min(heads, key=lambda entry: entry[:2])[2]
        classes = [[line[0] for owner, line in lines.items() if may_run(owner)] for lines in self._classes.values()]
        classes = [heads for heads in classes if heads]
        if not classes:
            return None
        return min(classes, key=lambda heads: min(entry[:2] for entry in heads))[0][2]

    def pop(self, may_run: Callable[[str], bool] = anybody) -> W | None:
        one = self.first(may_run)
        if one is not None:
            self.take(one)
        return one

    def take(self, one: W) -> None:
        """It runs now: its owner's next turn is behind all others'."""
        self.count_turn(one)
        self.remove(one)

    def count_turn(self, one: W) -> None:
        """Its owner has had a turn: the next one is behind all others'."""
        name, owner = self._class_of(one), self._owner_of(one)
        for other in self._passed:
            self._passed[other] += 1
        self._passed[owner] = 0
        lines = self._classes[name]
        lines[owner] = lines.pop(owner)

    def remove(self, one: W) -> bool:
        """Whether it waited."""
        name, owner = self._class_of(one), self._owner_of(one)
        entries = self._classes[name].get(owner, ())
        left = [entry for entry in entries if entry[2] is not one]
        if left:
            self._classes[name][owner] = left
        else:
            self._classes[name].pop(owner, None)
            if not self.held(owner):
                self._passed.pop(owner, None)
        return len(left) < len(entries)

    def _overdue(self, may_run: Callable[[str], bool]) -> list[_Entry[W]]:
        """The first of what each class has waiting of the owner that was passed over too often; not of `background`."""
        patience = _PATIENCE * len(self._passed)
        owner = max(filter(may_run, self._passed), key=self._passed.__getitem__, default="")
        if self._passed.get(owner, 0) < patience:
            return []
        return [lines[owner][0] for name, lines in self._classes.items() if name != "background" and owner in lines]

    def _lines(self) -> Iterator[list[_Entry[W]]]:
        return chain.from_iterable(lines.values() for lines in self._classes.values())
