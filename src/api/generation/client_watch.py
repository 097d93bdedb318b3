"""Notices within milliseconds that a client left, also before the first byte and for whole answers.

Depends on gunicorn's environ key and gevent's loop; without them (tests, another server) there is no early notice,
and the next failing write tells. Web process, in the hub.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent import monkey

_READ = 1
# how often the end of a stream is looked for behind bytes that nobody reads yet
_LOOK_S = 0.05
# macOS has no POLLRDHUP: there POLLHUP tells of the peer's end, too
_HANG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP
_ENDS = _HANG_UP | select.POLLERR | select.POLLNVAL


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
