"""The priority queue of pages: FIFO within each class, with ageing against starvation. Used by `admission`.

Each lower class is ordered as if it had arrived `AGE_S` later: a low page waits that long behind high ones, not for
ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from src.ipc.messages.base import Priority

AGE_S = 20.0
_RANK: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2, "background": 3}


class QueueItem(Protocol):
    """`arrived`: on the clock of the queue's owner."""

    @property
    def arrived(self) -> float: ...
    @property
    def priority(self) -> Priority: ...


T = TypeVar("T", bound=QueueItem)


class PageQueue(Generic[T]):
    """Requeued items come before all others."""

    def __init__(self) -> None:
        self._requeued: deque[T] = deque()
        self._classes: dict[Priority, deque[T]] = {priority: deque() for priority in _RANK}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues())

    def __iter__(self) -> Iterator[T]:
        for queue in self._queues():
            yield from queue

    def __bool__(self) -> bool:
        return len(self) > 0

    def add(self, item: T) -> None:
        self._classes[item.priority].append(item)

    def requeue(self, item: T) -> None:
        self._requeued.appendleft(item)

    def first(self) -> T:
        """The next item; IndexError when the queue is empty."""
        if self._requeued:
            return self._requeued[0]
        heads = [queue[0] for queue in self._classes.values() if queue]
        if not heads:
            raise IndexError("the page queue is empty")
        return min(heads, key=lambda item: item.arrived + AGE_S * _RANK[item.priority])

    def remove(self, item: T) -> None:
        """Remove an item, if it is queued."""
        for queue in self._queues():
            if item in queue:
                queue.remove(item)
                return

    def _queues(self) -> Iterator[deque[T]]:
        yield self._requeued
        yield from self._classes.values()
