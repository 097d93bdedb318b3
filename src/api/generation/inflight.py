"""What this web process is working on: the caps, each request's slot and the watch on its client, and the means to end
it all politely. One event loop, no locks.

That a client left is noticed within milliseconds, also before the first byte and for whole answers, through gunicorn's
environ key and gevent's loop; without them (tests, another server) there is no early notice, and the next failing write
tells.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gevent
from gevent import monkey

from src.api import owner
from src.api.body import leave_slot
from src.errors import Overloaded, ShuttingDown

_LEAST_RETRY_S = 1.0
DRAIN_RETRY_S = 5.0
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


class ClientGone(Exception):
    """The client left: nobody to answer."""


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
        self.drain_announced = self.draining = False

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
            raise ShuttingDown("The service is shutting down.", retry_after_s=DRAIN_RETRY_S)
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

    def announce_drain(self) -> None:
        """Begin no work of our own; requests are still taken."""
        self.drain_announced = True

    def begin_drain(self) -> None:
        """Take nothing new."""
        self.drain_announced = self.draining = True

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


_READ = 1
# how often the end of a stream is looked for behind bytes that nobody reads yet
_LOOK_S = 0.05
# macOS has no POLLRDHUP: there POLLHUP tells of the peer's end, too
_HANG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP
_ENDS = _HANG_UP | select.POLLERR | select.POLLNVAL


class InFlightRequest:
    """One request's slot, and the watch on its client, from here to `close`. `ended`: why its wait is over, once it is.

    `on_end` is called once, at the client's end or the service's; from the hub, so it must not block.
    """

    def __init__(
        self, inflight: InFlight, environ: Mapping[str, Any], on_end: Callable[[], None] = lambda: None
    ) -> None:
        """Raises ShuttingDown and Overloaded as `InFlight.enter`."""
        self.ended: Exception | None = None
        self._inflight, self._on_end = inflight, on_end
        leave_slot(environ)
        self._ticket = inflight.enter(self._shut_down, owner.of(environ))
        self._watch = ClientWatch(environ, lambda: self._end(ClientGone()))

    def check(self) -> None:
        """Raise what has ended the wait, if anything has."""
        if self.ended is not None:
            raise self.ended

    def close(self) -> None:
        """May be called again."""
        self._watch.stop()
        self._inflight.leave(self._ticket)

    def __enter__(self) -> InFlightRequest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shut_down(self) -> None:
        text = "The service shut down before the answer was complete."
        self._end(ShuttingDown(text, retry_after_s=DRAIN_RETRY_S))

    def _end(self, why: Exception) -> None:
        if self.ended is None:
            self.ended = why
            self._on_end()


class ClientWatch:
    """Calls `on_gone` once when the client closes. `on_gone` runs in the hub: it must not block."""

    def __init__(self, environ: Mapping[str, Any], on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone
        self._sock: Any = environ.get("gunicorn.socket")
        self._io: Any = None  # of the loop: what is readable, then the timer
        if self._sock is not None:
            self._io = gevent.get_hub().loop.io(self._sock.fileno(), _READ)
            self._io.start(self._readable)

    def _readable(self) -> None:
        raw = self._sock._sock  # noqa: SLF001  # the cooperative recv would wait
        try:
            data = raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self.stop()
        if data:
            self._look_behind()
        else:
            self._on_gone()

    def _look_behind(self) -> None:
        """Of a pipelined request, say, whose bytes stay where they are: they would hide the end from a reader."""
        poll = monkey.get_original("select", "poll")()  # gevent's would let other greenlets run
        poll.register(self._sock.fileno(), _HANG_UP)
        self._io = gevent.get_hub().loop.timer(_LOOK_S, _LOOK_S)
        self._io.start(self._look, poll)

    def _look(self, poll: Any) -> None:
        if any(found & _ENDS for _, found in poll.poll(0)):
            self.stop()
            self._on_gone()

    def stop(self) -> None:
        io, self._io = self._io, None
        if io is not None:
            io.stop()
            io.close()
