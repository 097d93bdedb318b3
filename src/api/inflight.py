"""What this web process is working on: the cap, and the means to end it all politely. One event loop, no locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from src.errors import Overloaded, ShuttingDown

_RETRY_S = 1.0
_DRAIN_RETRY_S = 5.0


class InFlight:
    """Requests that hold a back-end connection, each with a way to interrupt it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._interrupts: dict[int, Callable[[], None]] = {}
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
        return self._next

    def check(self) -> None:
        """Raise what `enter` would raise, before any work is done for the request."""
        if self.draining:
            raise ShuttingDown("The service is shutting down.", retry_after_s=_DRAIN_RETRY_S)
        if len(self._interrupts) + self._reading >= self._limit:
            text = f"Too many requests in flight: {self._limit} (MAX_CONCURRENT_REQUESTS)."
            raise Overloaded(text, retry_after_s=_RETRY_S)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A request whose body is being read holds a place too: bodies are memory. Raises as `enter`."""
        self.check()
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    def leave(self, ticket: int) -> None:
        self._interrupts.pop(ticket, None)

    def begin_drain(self) -> None:
        """Take nothing new."""
        self.draining = True

    def end_all(self) -> None:
        """Interrupt what still runs: streams end with an error event."""
        for interrupt in list(self._interrupts.values()):
            interrupt()
