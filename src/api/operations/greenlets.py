"""How many greenlets the web process has alive: one for each connection, and what those have begun. A leak shows here.

`lifetime` starts the count in the worker; a scrape reads it.
"""

from __future__ import annotations

import gevent

_alive: set[int] = set()


def count_from_now() -> None:
    """Count every greenlet that is spawned from here on."""
    gevent.Greenlet.add_spawn_callback(_spawned)


def alive() -> int:
    return len(_alive)


def _spawned(greenlet: gevent.Greenlet) -> None:
    name = id(greenlet)
    _alive.add(name)
    greenlet.rawlink(lambda _: _alive.discard(name))
