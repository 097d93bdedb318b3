"""The asking end of the wire, with plain sockets: `api` (where gevent makes them cooperative), `cli` and tests use it.

`Stream` is one request. Leaving it, for whatever reason, is `close()`, which cancels the request on the other side. A
stream that was left here (`Cancelled`) is never mistaken for one whose peer broke (`Disconnected`).
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
    """No answer came, for one of the reasons below: what a caller catches to whom they are all the same."""


class ConnectError(Unanswered):
    """Nobody listens there."""


class Disconnected(Unanswered):
    """The peer closed before the outcome: it crashed, or it ended."""


class Cancelled(Unanswered):
    """The stream was cancelled or closed on this side: the peer is not to blame."""


class WaitTimeout(Unanswered):
    """Nothing came within the given time; the stream is still good."""


class Stream:
    """One connection: a request was sent, messages come back."""

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
            Disconnected: when the peer is gone.
            Cancelled: when this side has left.
        """
        if self._cancelled:
            raise Cancelled
        deadline = self._clock() + timeout_s
        while not self._ready:
            self._ready.extend(self._decode(self._recv(deadline - self._clock())))
        return self._ready.popleft()

    def receive_all(self, timeout_s: float) -> list[AnyMessage]:
        """All messages that are there by now, at least one; raises as `receive`."""
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
        """A connection that ends under who waits: by our own hand, or by the peer's."""
        return Cancelled(why) if self._cancelled else Disconnected(why)

    def _decode(self, data: bytes) -> Iterable[AnyMessage]:
        if not data:
            raise self._broken("connection closed")
        try:
            return self._decoder.feed(data)
        except FramingError as error:
            raise Disconnected(str(error)) from None

    def cancel(self) -> None:
        """Wake whoever waits in `receive` with `Cancelled`. Safe from any greenlet or thread, never blocks."""
        self._cancelled = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cancel, and free the socket. May be called again."""
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
        ConnectError: when nobody listens.
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
    """One question, one answer; raises `Unanswered`, as one of its kinds."""
    with connect(path, timeout_s) as stream:
        stream.send(message, timeout_s)
        return stream.receive(timeout_s)
