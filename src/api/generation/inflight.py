"""What this web process is working on: the cap, and the means to end it all politely. One event loop, no locks."""

from __future__ import annotations

import time
from collections.abc import Callable

from src.errors import Overloaded, ShuttingDown

_LEAST_RETRY_S = 1.0
_DRAIN_RETRY_S = 5.0
_WEIGHT = 0.1  # of the latest request in the average


class InFlight:
    """Requests that hold a back-end connection, each with a way to interrupt it."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._service_s = 0.0
        self._interrupts: dict[int, Callable[[], None]] = {}
        self._entered: dict[int, float] = {}
        self._next = 0
        self._reading = 0
        self.draining = False

    def __len__(self) -> int:
        return len(self._interrupts)

    def enter(self, interrupt: Callable[[], None]) -> int:
        """Count a request in; `interrupt` ends its wait at shutdown.

        Raises:
            ShuttingDown: while draining.
            Overloaded: when MAX_CONCURRENT_REQUESTS are in flight.
        """
        self.check()
        self._next += 1
        self._interrupts[self._next] = interrupt
        self._entered[self._next] = self._clock()
        return self._next

    def check(self) -> None:
        """Raise what `enter` would raise, before any work is done for the request."""
        if self.draining:
            raise ShuttingDown("The service is shutting down.", retry_after_s=_DRAIN_RETRY_S)
        if len(self._interrupts) + self._reading >= self._limit:
            text = f"Too many requests in flight: {self._limit} (MAX_CONCURRENT_REQUESTS)."
            raise Overloaded(text, retry_after_s=max(_LEAST_RETRY_S, self._service_s / self._limit))

    def begin_reading(self) -> None:
        """A request whose body is being read holds a slot too: bodies are memory. Raises as `enter`."""
        self.check()
        self._reading += 1

    def end_reading(self) -> None:
        self._reading -= 1

    def leave(self, ticket: int) -> None:
        """May be told again."""
        if self._interrupts.pop(ticket, None) is not None:
            took_s = self._clock() - self._entered.pop(ticket)
            self._service_s += _WEIGHT * (took_s - self._service_s) if self._service_s else took_s

    def begin_drain(self) -> None:
        """Take nothing new."""
        self.draining = True

    def end_all(self) -> None:
        """Interrupt what still runs: streams end with an error event."""
        for interrupt in list(self._interrupts.values()):
            interrupt()
