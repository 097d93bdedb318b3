"""The line in which work waits for a worker: three classes, in order of arrival in each; nobody waits for ever.

Belongs to `admission`. A class below stands as if it had arrived `AGE_S` later: a low page waits behind high ones for
that long, not without end. Clocks are passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from src.ipc.messages.base import Priority

AGE_S = 20.0
_RANK: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2, "background": 3}


class Waiter(Protocol):
    """`arrived`: on the clock of whoever owns the line."""

    @property
    def arrived(self) -> float: ...
    @property
    def priority(self) -> Priority: ...


T = TypeVar("T", bound=Waiter)


class PageQueue(Generic[T]):
    """Those who come back (`put_back`) go before all others."""

    def __init__(self) -> None:
        self._back: deque[T] = deque()
        self._classes: dict[Priority, deque[T]] = {priority: deque() for priority in _RANK}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues())

    def __iter__(self) -> Iterator[T]:
        for queue in self._queues():
            yield from queue

    def __bool__(self) -> bool:
        return len(self) > 0

    def add(self, waiter: T) -> None:
        self._classes[waiter.priority].append(waiter)

    def put_back(self, waiter: T) -> None:
        self._back.appendleft(waiter)

    def first(self) -> T:
        """Who is next; IndexError when nobody is."""
        if self._back:
            return self._back[0]
        heads = [queue[0] for queue in self._classes.values() if queue]
        if not heads:
            raise IndexError("nobody waits")
        return min(heads, key=lambda waiter: waiter.arrived + AGE_S * _RANK[waiter.priority])

    def remove(self, waiter: T) -> None:
        """Leave the line, if still in it."""
        for queue in self._queues():
            if waiter in queue:
                queue.remove(waiter)
                return

    def _queues(self) -> Iterator[deque[T]]:
        yield self._back
        yield from self._classes.values()
