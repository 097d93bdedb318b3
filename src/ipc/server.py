"""The server end of the wire: asyncio on a private Unix socket, for engine, OCR broker and supervisor.

Each connection is one task running the given handler; `Peer.gone` completes when the client closes, which means cancel.
Sends never block: a client that does not read gets a bounded buffer, then is disconnected.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from loguru import logger
from typing_extensions import override

from src.errors import InternalError
from src.ipc import runtime
from src.ipc.framing import Decoder, FramingError, encode
from src.ipc.messages.base import Failed
from src.ipc.messages.wire import AnyMessage

_BACKLOG = 512
_PROBE_TIMEOUT_S = 1.0
_FLUSH_S = 60.0
_CHECK_S = 0.5


class AddressInUse(Exception):
    """Another process listens on this socket."""


class Peer(asyncio.Protocol):
    """One connection, as its handler sees it. All methods run on the event loop's thread."""

    def __init__(self, handler: Handler, buffer_bytes: int, tasks: set[asyncio.Task[None]]) -> None:
        self._handler = handler
        self._buffer_bytes = buffer_bytes
        self._tasks = tasks
        self._decoder = Decoder()
        self._inbox: asyncio.Queue[AnyMessage | None] = asyncio.Queue()
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(self) -> AnyMessage | None:
        """The next message, or None once the peer has closed."""
        message = await self._inbox.get()
        if message is None:
            self._inbox.put_nowait(None)
        return message

    def send(self, message: AnyMessage) -> None:
        """Queue a message; disconnects a peer with more than `buffer_bytes` unread."""
        self.send_frame(encode(message))

    async def drained(self, timeout_s: float) -> bool:
        """Wait until the peer has read most of the buffer; False on timeout or disconnect."""
        ready = asyncio.ensure_future(self._writable.wait())
        ends: set[asyncio.Future[Any]] = {ready, self.gone}
        await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        return self._writable.is_set() and not self.gone.done()

    def send_frame(self, frame: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(frame)
        if transport.get_write_buffer_size() > self._buffer_bytes:
            self._drop_slow(transport)

    def _drop_slow(self, transport: asyncio.Transport) -> None:
        """Append the reason and send no more. Closing at once would look like a crash."""
        logger.warning("disconnecting a client with more than {} unread bytes", self._buffer_bytes)
        transport.write(encode(Failed("client_too_slow", "The response was not read in time.")))
        transport.close()
        asyncio.get_running_loop().call_later(_FLUSH_S, transport.abort)
        self._end()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._inbox.put_nowait(message)
        except FramingError as error:
            logger.warning("closing a connection after an invalid frame: {}", error)
            self._abort()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> bool:
        return False  # half-closed counts as closed

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        self._inbox.put_nowait(None)
        if not self.gone.done():
            self.gone.set_result(None)

    async def _run(self) -> None:
        try:
            await self._handler(self)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001  # process boundary: one connection must not take the server down
            logger.exception("connection handler failed")
            self.send(Failed.of(InternalError()))  # closing without it would look like a crash
        finally:
            if self._transport is not None:
                self._transport.close()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


Handler = Callable[[Peer], Awaitable[None]]


class Server:
    """A listening Unix socket for this user only. It binds again when its file is removed."""

    def __init__(self, path: Path, handler: Handler, *, buffer_bytes: int = 1 << 20) -> None:
        self._path = path
        self._handler = handler
        self._buffer_bytes = buffer_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._rebinder: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind, replacing a stale socket file.

        Raises:
            AddressInUse: a process listens on it.
        """
        if await _is_served(self._path):
            raise AddressInUse(str(self._path))
        with suppress(FileNotFoundError):
            self._path.unlink()
        await self._bind()
        self._rebinder = asyncio.get_running_loop().create_task(self._rebind())

    async def _bind(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(str(self._path))
        except OSError:
            sock.close()
            raise
        self._path.chmod(0o600)
        self._inode = self._path.stat().st_ino
        loop = asyncio.get_running_loop()
        before, self._server = (
            self._server,
            await loop.create_unix_server(
                lambda: Peer(self._handler, self._buffer_bytes, self._tasks), sock=sock, backlog=_BACKLOG
            ),
        )
        if before is not None:
            before.close()  # unreachable by now; its open connections are kept

    async def _rebind(self) -> None:
        """Bind again when a cleaner of /tmp deletes the file, until another process has taken it over."""
        while True:
            await asyncio.sleep(_CHECK_S)
            if self._is_replaced():
                return
            if _inode(self._path) is None and self._directory_is_ours():
                with suppress(OSError):  # retried
                    await self._bind()
                    logger.warning("the socket {} was removed and has been bound again", self._path.name)

    def _is_replaced(self) -> bool:
        front = runtime.front(self._path)
        if front != self._path and _inode(front) == self._inode:
            self._path = front  # this standby has taken over: its socket was renamed
        return _inode(self._path) not in (None, self._inode)

    def _directory_is_ours(self) -> bool:
        try:
            runtime.check_own(self._path.parent)
        except OSError:  # the supervisor creates it again
            return False
        return True

    async def close(self) -> None:
        """Stop listening and cancel all handlers."""
        if self._rebinder is not None:
            self._rebinder.cancel()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if _inode(self._path) == self._inode:  # else a standby has taken over
            self._path.unlink(missing_ok=True)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


async def _is_served(path: Path) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_unix_connection(str(path)), _PROBE_TIMEOUT_S)
    except OSError:
        return False
    writer.close()
    return True
