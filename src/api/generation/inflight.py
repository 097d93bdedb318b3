"""What this web process is working on: the caps, and the means to end it all politely. One event loop, no locks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from src.errors import Overloaded, ShuttingDown

_LEAST_RETRY_S = 1.0
_DRAIN_RETRY_S = 5.0
_WEIGHT = 0.1  # of the latest request in the average
_OF_FREE = 3  # an owner alone comes to three quarters of a cap; two to three sevenths each


class Cap:
    """So many slots, of which each owner may hold `_OF_FREE` times what is free: some are left for the next one.

    The owner "" is nobody in particular, and has no share.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._held: Counter[str] = Counter()

    def is_full(self) -> bool:
        return self.taken >= self.limit

    def is_over_share(self, owner: str) -> bool:
        return bool(owner) and self._held[owner] >= _OF_FREE * (self.limit - self.taken)

    def held(self, owner: str) -> int:
        return self._held[owner]

    def take(self, owner: str) -> None:
        self.taken += 1
        self._held[owner] += 1

    def give_back(self, owner: str) -> None:
        self.taken -= 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]


@dataclass(frozen=True)
class _Entry:
    owner: str
    interrupt: Callable[[], None]
    entered: float


class InFlight:
    """Requests that hold a back-end connection, each with a way to interrupt it, and bodies that are being read.

    The two are counted apart, `limit` each: a body that does not arrive keeps no request out whose body is there.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._service_s = 0.0
        self._entries: dict[int, _Entry] = {}
        self._next = 0
        self._working = Cap(limit)
        self._reading = Cap(limit)
        self.draining = False

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, interrupt: Callable[[], None], owner: str = "") -> int:
        """Count a request in; `interrupt` ends its wait at shutdown.

        Raises:
            ShuttingDown: while draining.
            Overloaded: when MAX_CONCURRENT_REQUESTS are in flight, or the owner's share of them is.
        """
        self.check(owner)
        self._working.take(owner)
        self._next += 1
        self._entries[self._next] = _Entry(owner, interrupt, self._clock())
        return self._next

    def check(self, owner: str = "") -> None:
        """Raise what `enter` would raise, before any work is done for the request."""
        if self.draining:
            raise ShuttingDown("The service is shutting down.", retry_after_s=_DRAIN_RETRY_S)
        self._refuse_beyond(self._working, owner, "requests in flight")

    def begin_reading(self, owner: str = "") -> None:
        """A request whose body is being read holds a slot too: bodies are memory. Raises as `enter`."""
        self.check(owner)
        self._refuse_beyond(self._reading, owner, "bodies being read")
        self._reading.take(owner)

    def end_reading(self, owner: str = "") -> None:
        self._reading.give_back(owner)

    def leave(self, ticket: int) -> None:
        """May be told again."""
        if (entry := self._entries.pop(ticket, None)) is not None:
            self._working.give_back(entry.owner)
            took_s = self._clock() - entry.entered
            self._service_s += _WEIGHT * (took_s - self._service_s) if self._service_s else took_s

    def begin_drain(self) -> None:
        """Take nothing new."""
        self.draining = True

    def end_all(self) -> None:
        """Interrupt what still runs: streams end with an error event."""
        for entry in list(self._entries.values()):
            entry.interrupt()

    def _refuse_beyond(self, cap: Cap, owner: str, what: str) -> None:
        if cap.is_full():
            text = f"Too many {what}: {cap.limit} (MAX_CONCURRENT_REQUESTS)."
        elif cap.is_over_share(owner):
            text = f"Too many {what} from this client: {cap.held(owner)}; the rest of {cap.limit} is for others"
            text += " (MAX_CONCURRENT_REQUESTS)."
        else:
            return
        raise Overloaded(text, retry_after_s=max(_LEAST_RETRY_S, self._service_s / cap.limit))
