"""One worker process and its socket, on the broker's event loop. Owned by `pool`.

Nothing here blocks: what a worker does not read (stopped, or busy in native code) is buffered.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from multiprocessing.process import BaseProcess
from typing import cast

import psutil
from loguru import logger
from typing_extensions import override

from src.ipc.framing import Decoder, FramingError, encode
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings

_REAP_TIMEOUT_S = 5.0
_REAP_INTERVAL_S = 0.005
_spawning = multiprocessing.get_context("spawn")


def _run(sock: socket.socket, settings: Settings) -> None:
    """Entry point of the spawned process."""
    from src.ocr import worker  # in the child only: the broker never imports numpy or Pillow

    worker.main(sock, settings)


class WorkerProcess(asyncio.Protocol):
    """A worker's process. Await `end` finally, also when `start` failed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: BaseProcess | None = None
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder()
        self._inbox: asyncio.Queue[AnyMessage | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return not self.gone.done() and self._process is not None and self._process.is_alive()

    def memory_bytes(self) -> int:
        """Resident memory; 0 for an exited process."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else 0
        except psutil.Error:
            return 0

    async def start(self) -> None:
        """Spawn the process; raises OSError when the system cannot."""
        ours, theirs = socket.socketpair()
        try:
            await self._loop.create_unix_connection(lambda: self, sock=ours)
            # no await from here on, so that `end` always sees a started process
            process = _spawning.Process(target=_run, args=(theirs, self._settings), name="ocr-worker", daemon=True)
            process.start()
            self._process = process
        finally:
            theirs.close()

    def send(self, message: AnyMessage) -> None:
        if self._transport is not None:
            self._transport.write(encode(message))

    async def receive(self) -> AnyMessage | None:
        """The worker's next message, or None once it has exited."""
        message = await self._inbox.get()
        if message is None:
            self._inbox.put_nowait(None)
        return message

    def kill(self) -> None:
        """SIGKILL: a worker has no state to save and may hang in native code."""
        if self._process is not None:
            self._process.kill()

    async def end(self) -> None:
        """Kill and reap the process, close the socket."""
        self.kill()
        if self._transport is not None:
            self._transport.abort()
        await self._reap()

    async def _reap(self) -> None:
        process = self._process
        if process is None:
            return
        deadline = self._loop.time() + _REAP_TIMEOUT_S
        # polled: waitpid has no event, and socket and sentinel close a moment before the exit code is available
        while process.exitcode is None:
            if self._loop.time() >= deadline:
                break
            await asyncio.sleep(_REAP_INTERVAL_S)
        logger.info("worker {} exited with code {}", process.pid, process.exitcode)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._inbox.put_nowait(message)
        except FramingError as error:
            logger.error("worker {} sent an invalid frame: {}", self.pid, error)
            self.kill()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.put_nowait(None)
        if not self.gone.done():
            self.gone.set_result(None)
