"""The open connections of a web worker, and which of them makes room when there are too many.

Owned by `worker`, configured by `lifetime`. It knows no sockets: each connection brings its own way to be closed. An
idle one is closed for a newcomer, the longest idle first; where all are at work, `begin` says that this one is over.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from contextvars import ContextVar
from typing import Literal

from src.api import owner

# beyond the cap, for probes: they are answered where all connections are at work
RESERVE = 64

Over = Literal["address", "total"]

# why the request at hand is over a limit; read by `limits`
over: ContextVar[Over | None] = ContextVar("over", default=None)


class Connection:
    """One of them. `close` must make its wait for a request end; it is called once at most. `ending`: it was, and a
    request that has come nevertheless is its last."""

    def __init__(self, groups: tuple[_Group, ...], close: Callable[[], None]) -> None:
        self.groups = groups
        self.close = close
        self.ending = False


class _Group:
    """Connections under one limit; 0 is none. The first of the idle ones has been so for the longest."""

    def __init__(self, name: Over, limit: int, key: str = "") -> None:
        self.name = name
        self.limit = limit
        self.key = key
        self.open: set[Connection] = set()
        self.idle: dict[Connection, None] = {}

    def is_full(self) -> bool:
        return 0 < self.limit <= len(self.open)

    def is_over(self) -> bool:
        """Whether more are at work than may be open."""
        return 0 < self.limit < len(self.open) - len(self.idle)


class Connections:
    """Told of each connection when it opens, waits for a request, begins one, and ends. One event loop, no locks."""

    def __init__(self, limit: int, per_address: int, exempt: Container[str] = ()) -> None:
        self._per_address = per_address
        self._exempt = exempt
        self._total = _Group("total", limit)
        self._addresses: dict[str, _Group] = {}

    def __len__(self) -> int:
        return len(self._total.open)

    def open(self, address: str, close: Callable[[], None]) -> Connection:
        """Count one in, waiting for its first request. An address of "" has no limit of its own."""
        groups = (*self._group_of(address), self._total)
        for group in groups:
            if group.is_full():
                self._make_room(group)
        connection = Connection(groups, close)
        for group in groups:
            group.open.add(connection)
            group.idle[connection] = None
        return connection

    def wait(self, connection: Connection) -> None:
        """It waits for its next request."""
        for group in connection.groups:
            if connection in group.open:
                group.idle.pop(connection, None)
                group.idle[connection] = None

    def begin(self, connection: Connection) -> Over | None:
        """It is at work; the limit it is over, if all that are open under one are."""
        for group in connection.groups:
            group.idle.pop(connection, None)
        return next((group.name for group in connection.groups if group.is_over()), None)

    def remove(self, connection: Connection) -> None:
        """It has ended, or is about to. May be told again."""
        for group in connection.groups:
            group.open.discard(connection)
            group.idle.pop(connection, None)
            if not group.open and self._addresses.get(group.key) is group:
                del self._addresses[group.key]

    def close_idle(self) -> None:
        """End all that wait for a request."""
        for connection in list(self._total.idle):
            self._close(connection)

    def _make_room(self, group: _Group) -> None:
        longest = next(iter(group.idle), None)
        if longest is not None:
            self._close(longest)

    def _close(self, connection: Connection) -> None:
        self.remove(connection)
        connection.ending = True
        connection.close()

    def _group_of(self, address: str) -> tuple[_Group, ...]:
        if not self._per_address or not address or address in self._exempt:
            return ()
        key = owner.client_of(address)
        return (self._addresses.setdefault(key, _Group("address", self._per_address, key)),)
