"""The engine's queue: priority classes with ageing, first come first served within a class. Pure.

A request of the next class stands PRIORITY_AGEING seconds behind: `low` that has waited that long goes before a
`normal` that just came, so nothing starves. Owner thread; written by the scheduler alone.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from src.ipc.messages.base import Priority
from src.ipc.messages.chat import EmbedRequest, GenerateRequest

# a background request has waited for its time before it came here; it never overtakes anybody
_RANK: dict[Priority, float] = {"high": -1, "normal": 0, "low": 1, "background": math.inf}


class Waits(Protocol):
    """What can stand in the queue."""

    @property
    def request(self) -> GenerateRequest | EmbedRequest: ...

    @property
    def arrived(self) -> float: ...


W = TypeVar("W", bound=Waits)


class Waiting(Generic[W]):
    """Requests in the order in which their turn comes."""

    def __init__(self, ageing_s: float) -> None:
        self._ageing_s = ageing_s
        self._queue: list[tuple[float, int, W]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[W]:
        return (one for _, _, one in self._queue)

    def push(self, one: W) -> None:
        self._count += 1
        due = one.arrived + _RANK[one.request.priority] * self._ageing_s
        insort(self._queue, (due, self._count, one))

    def first(self) -> W:
        return self._queue[0][2]

    def pop(self) -> W:
        return self._queue.pop(0)[2]

    def remove(self, one: W) -> None:
        self._queue = [entry for entry in self._queue if entry[2] is not one]
