"""A real server on a real socket, its event loop in a thread, so that the blocking client can be tested against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pytest

from src.ipc.server import Handler, Server

PATIENCE_S = 5.0


class ServerThread:
    """A `Server` with its loop; use it in a `with` statement."""

    def __init__(self, path: Path, handler: Handler, buffer_bytes: int = 1 << 20) -> None:
        self.path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server")
        self._server = Server(path, handler, buffer_bytes=buffer_bytes)

    def __enter__(self) -> ServerThread:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(PATIENCE_S)
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close().result(PATIENCE_S)
        self._end_loop()

    def close(self) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(self._server.close(), self._loop)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()


Serve = Callable[..., ServerThread]


@pytest.fixture
def serve(runtime_dir: Path) -> Iterator[Serve]:
    """Starts servers in this test's folder; they end with the test."""
    with ExitStack() as servers:

        def start(handler: Handler, *, name: str = "test.sock", buffer_bytes: int = 1 << 20) -> ServerThread:
            return servers.enter_context(ServerThread(runtime_dir / name, handler, buffer_bytes))

        yield start
