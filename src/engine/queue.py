"""The engine's queue: priority classes with ageing, API keys by turns within a class (`fairness`). Pure.

A request of the next class stands PRIORITY_AGEING seconds behind: `low` that has waited that long goes before a
`normal` that just came, so nothing starves. Owner thread; written by the scheduler alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from src.fairness import Turns, anybody
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
        self._turns: Turns[W] = Turns(_RANK, ageing_s, lambda one: one.request.priority, lambda one: one.request.salt)

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[W]:
        return iter(self._turns)

    def push(self, one: W) -> None:
        self._turns.push(one, one.arrived)

    def first(self, may_run: Callable[[str], bool] = anybody) -> W | None:
        """Whose turn it is, among the owners who `may_run`."""
        return self._turns.first(may_run)

    def take(self, one: W) -> None:
        """It runs now: its owner's next turn is behind all others'."""
        self._turns.count_turn(one)
        self._turns.remove(one)

    def count_turn(self, one: W) -> None:
        """It had a turn and waits for its next."""
        self._turns.count_turn(one)

    def remove(self, one: W) -> None:
        self._turns.remove(one)
