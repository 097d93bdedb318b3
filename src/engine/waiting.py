"""The engine's queue: priority classes with ageing, first come first served within a class. Pure.

A sequence of the next class stands PRIORITY_AGEING seconds behind: `low` that has waited that long goes before a
`normal` that just came, so nothing starves. Owner thread; written by the scheduler alone.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from src.engine.sequence import Sequence
from src.ipc.messages import Priority

_RANK: dict[Priority, int] = {"high": -1, "normal": 0, "low": 1}


class Waiting:
    """Sequences in the order in which they will be admitted."""

    def __init__(self, ageing_s: float) -> None:
        self._ageing_s = ageing_s
        self._queue: list[tuple[float, int, Sequence]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Sequence]:
        return (sequence for _, _, sequence in self._queue)

    def push(self, sequence: Sequence) -> None:
        self._count += 1
        due = sequence.arrived + _RANK[sequence.request.priority] * self._ageing_s
        insort(self._queue, (due, self._count, sequence))

    def first(self) -> Sequence:
        return self._queue[0][2]

    def pop(self) -> Sequence:
        return self._queue.pop(0)[2]

    def remove(self, sequence: Sequence) -> None:
        self._queue = [entry for entry in self._queue if entry[2] is not sequence]
