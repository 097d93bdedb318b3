"""Notices within milliseconds that a client left, also before the first byte and for whole answers.

Depends on gunicorn's environ key and gevent's loop; without them (tests, another server) there is no early notice,
and the next failing write tells.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import gevent

_READ = 1


class ClientWatch:
    """Calls `on_gone` once when the client closes. `on_gone` runs in the hub: it must not block."""

    def __init__(self, environ: Mapping[str, Any], on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone
        self._sock = environ.get("gunicorn.socket")
        self._io = None
        if self._sock is not None:
            self._io = gevent.get_hub().loop.io(self._sock.fileno(), _READ)
            self._io.start(self._readable)

    def _readable(self) -> None:
        raw = self._sock._sock  # type: ignore[union-attr]  # noqa: SLF001  # the cooperative recv would wait
        try:
            data = raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self.stop()  # with data: a pipelined request; from here on nothing can be told
        if not data:
            self._on_gone()

    def stop(self) -> None:
        io, self._io = self._io, None
        if io is not None:
            io.stop()
            io.close()
