"""The client end of the wire, on plain sockets: used by `api` (cooperative under gevent), `commands` and tests.

`Stream` is one request. `close()` cancels the request on the other side. A stream that was cancelled here (`Cancelled`)
is always distinguished from one whose peer disconnected (`Disconnected`).
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from src.ipc.framing import Decoder, FramingError, encode
from src.ipc.messages.wire import AnyMessage

_CHUNK = 1 << 18


class Unanswered(Exception):
    """No reply was received: the base of the errors below."""


class ConnectError(Unanswered):
    """No process listens on the socket."""


class Disconnected(Unanswered):
    """The peer closed before the outcome: it crashed or exited."""


class Cancelled(Unanswered):
    """The stream was cancelled or closed on this side."""


class WaitTimeout(Unanswered):
    """No message within the timeout; the stream is still usable."""


class Stream:
    """One connection: one request out, messages back."""

    def __init__(self, sock: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._sock = sock
        self._clock = clock
        self._decoder = Decoder()
        self._ready: deque[AnyMessage] = deque()
        self._cancelled = False

    def send(self, message: AnyMessage, timeout_s: float) -> None:
        try:
            self._sock.settimeout(timeout_s)
            self._sock.sendall(encode(message))
        except OSError as error:
            raise self._broken(str(error)) from None

    def receive(self, timeout_s: float) -> AnyMessage:
        """The next message.

        Raises:
            WaitTimeout: after `timeout_s` seconds.
            Disconnected: the peer has closed.
            Cancelled: cancelled on this side.
        """
        if self._cancelled:
            raise Cancelled
        deadline = self._clock() + timeout_s
        while not self._ready:
            self._ready.extend(self._decode(self._recv(deadline - self._clock())))
        return self._ready.popleft()

    def receive_all(self, timeout_s: float) -> list[AnyMessage]:
        """All messages received so far, at least one; raises as `receive`."""
        messages = [self.receive(timeout_s), *self._ready]
        self._ready.clear()
        return messages

    def _recv(self, timeout_s: float) -> bytes:
        if timeout_s <= 0:
            raise WaitTimeout
        try:
            self._sock.settimeout(timeout_s)
            return self._sock.recv(_CHUNK)
        except TimeoutError:
            raise WaitTimeout from None
        except OSError as error:
            raise self._broken(str(error)) from None

    def _broken(self, why: str) -> Unanswered:
        """The error for a broken connection: cancelled here, or closed by the peer."""
        return Cancelled(why) if self._cancelled else Disconnected(why)

    def _decode(self, data: bytes) -> Iterable[AnyMessage]:
        if not data:
            raise self._broken("connection closed")
        try:
            return self._decoder.feed(data)
        except FramingError as error:
            raise Disconnected(str(error)) from None

    def cancel(self) -> None:
        """Make a pending `receive` raise `Cancelled`. Safe from any greenlet or thread, never blocks."""
        self._cancelled = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cancel and close the socket. Idempotent."""
        self.cancel()
        with suppress(OSError):
            self._sock.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def connect(path: Path, timeout_s: float) -> Stream:
    """Connect to a back end's socket.

    Raises:
        ConnectError: no process listens.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(str(path))
    except OSError as error:
        sock.close()
        raise ConnectError(f"{path.name}: {error.strerror or error}") from None
    return Stream(sock)


def ask(path: Path, message: AnyMessage, timeout_s: float) -> AnyMessage:
    """One request, one reply; raises an `Unanswered`."""
    with connect(path, timeout_s) as stream:
        stream.send(message, timeout_s)
        return stream.receive(timeout_s)
