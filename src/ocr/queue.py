"""The priority queue of pages: classes with ageing, API keys by turns within a class (`fairness`). Used by `admission`.

Each lower class is ordered as if it had arrived `AGE_S` later: a low page waits that long behind high ones, not for
ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from src.fairness import FairQueue
from src.ipc.messages.base import Priority

AGE_S = 20.0
_RANK: dict[Priority, float] = {"high": 0, "normal": 1, "low": 2, "background": 3}


class QueueItem(Protocol):
    """`arrived`: on the clock of the queue's owner. `owner`: the key it is read for."""

    @property
    def arrived(self) -> float: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def owner(self) -> str: ...


T = TypeVar("T", bound=QueueItem)


class PageQueue(Generic[T]):
    """Requeued items come before all others."""

    def __init__(self) -> None:
        self._requeued: deque[T] = deque()
        self._fair: FairQueue[T] = FairQueue(_RANK, AGE_S, lambda item: item.priority, lambda item: item.owner)

    def __len__(self) -> int:
        return len(self._requeued) + len(self._fair)

    def __iter__(self) -> Iterator[T]:
        yield from self._requeued
        yield from self._fair

    def __bool__(self) -> bool:
        return len(self) > 0

    def held(self, owner: str) -> int:
        """How many of one owner's wait for their first turn."""
        return self._fair.held(owner)

    def add(self, item: T) -> None:
        self._fair.push(item, item.arrived)

    def requeue(self, item: T) -> None:
        self._requeued.appendleft(item)

    def pop(self) -> T:
        """The next item; IndexError when the queue is empty."""
        if self._requeued:
            return self._requeued.popleft()
        item = self._fair.pop()
        if item is None:
            raise IndexError("the page queue is empty")
        return item

    def remove(self, item: T) -> None:
        """Remove an item, if it is queued."""
        if item in self._requeued:
            self._requeued.remove(item)
        self._fair.remove(item)
