"""What waits in an engine: how many sequences it takes, in all and of one key, and in which order they run. Pure.

Priority classes with ageing, API keys by turns within a class (`fairness`). A request of the next class stands
PRIORITY_AGEING seconds behind: `low` that has waited that long goes before a `normal` that just came, so nothing
starves. The order is the scheduler's, on the owner thread; the limit is asked by the servers of all engines, on theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from src.errors import InvalidRequest, Overloaded
from src.fairness import FairQueue, share
from src.ipc.messages.base import Priority
from src.ipc.messages.chat import DetokenizeRequest, EmbedRequest, GenerateRequest, TokenizeRequest
from src.settings import EngineSettings

# a background request has waited for its time before it came here; it never overtakes anybody
_RANK: dict[Priority, float] = {"high": -1, "normal": 0, "low": 1, "background": math.inf}


class Waits(Protocol):
    """What can stand in the queue."""

    @property
    def request(self) -> GenerateRequest | EmbedRequest: ...

    @property
    def arrived(self) -> float: ...


W = TypeVar("W", bound=Waits)


def waiting_queue(ageing_s: float) -> FairQueue[W]:
    """What waits, in the order in which its turn comes."""
    return FairQueue(_RANK, ageing_s, lambda one: one.request.priority, lambda one: one.request.salt)


Admissible = GenerateRequest | EmbedRequest | TokenizeRequest | DetokenizeRequest
P = TypeVar("P")
_SMALL_BATCH = 8  # below, a place is too much of the batch to be kept free
_LIMITS = "MAX_NUM_SEQS + MAX_QUEUE_SIZE"


def sequences_of(request: Admissible) -> int:
    """What a request counts: its answers."""
    return max(1, len(request.choices)) if isinstance(request, GenerateRequest) else 1


def salt_of(request: Admissible) -> str:
    return request.request.salt if isinstance(request, TokenizeRequest) else request.salt


def batch_share(max_num_seqs: int, owner: str) -> int:
    """Running sequences of one key: of a batch that is not small, the last place is for another one's first."""
    return max_num_seqs - 1 if owner and max_num_seqs >= _SMALL_BATCH else max_num_seqs


class SequenceLimit(Generic[P]):
    """The sequences of the requests that are running or waiting, by peer."""

    def __init__(self, settings: EngineSettings) -> None:
        self._limit = settings.max_num_seqs + settings.max_queue_size
        self._open: dict[P, tuple[str, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def __iter__(self) -> Iterator[P]:
        return iter(self._open)

    def enter(self, peer: P, request: Admissible, retry_after_s: float) -> None:
        """Count a request's sequences. The share does not depend on the others: after a crash all have room again.

        Background requests are bounded before (BACKGROUND_MAX_SEQS): one that gave way comes back whoever came since.

        Raises:
            InvalidRequest: they would never have room.
            Overloaded: they have none now.
        """
        count, owner = sequences_of(request), salt_of(request)
        own = share(self._limit, owner)
        if count > own:
            text = f"n asks for {count} answers; at most {own} of one client run or wait here ({_LIMITS})."
            raise InvalidRequest(text, param="n")
        taken, held = (sum(n for whose, n in self._open.values() if of in (None, whose)) for of in (None, owner))
        if isinstance(request, GenerateRequest) and request.priority == "background":
            self._open[peer] = owner, count
            return
        if taken + count > self._limit:
            text = f"Too many sequences: {taken} of {self._limit} are running or waiting ({_LIMITS})"
            raise Overloaded(f"{text}, there is no capacity for {count} more.", retry_after_s=retry_after_s)
        if held + count > own:
            text = f"Too many sequences of this key: {held} are running or waiting, its share is {own} of {self._limit}"
            raise Overloaded(f"{text} ({_LIMITS}); there is none for {count} more.", retry_after_s=retry_after_s)
        self._open[peer] = owner, count

    def leave(self, peer: P) -> None:
        """May be told again."""
        self._open.pop(peer, None)
