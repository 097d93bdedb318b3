"""The engine standby, `python -m src.engine.main --standby`: imports what engines need, then waits for a model's name.

Owner thread, before it has a model; a thread of its own answers the supervisor's pings meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

from loguru import logger

from src import selection
from src.engine import loading
from src.gpu import footprint
from src.ipc import runtime
from src.ipc.framing import Decoder
from src.ipc.lifeline import STDIN
from src.ipc.messages.control import Ping, ServeModel
from src.ipc.messages.status import BackendState, Health
from src.ipc.server import Peer, Server
from src.settings import Settings

_CHUNK = 1 << 12
_CLOSE_S = 1.0


def wait_for_model(settings: Settings) -> ServeModel | None:
    """Import, then block until a model is named; None when the supervisor has exited."""
    path = runtime.standby_socket(runtime.prepare(settings.runtime_path))
    server = _StandbyServer(path, settings.client_buffer_kb << 10)
    server.start()
    try:
        _import_engine(settings)
        gc.collect()
        gc.freeze()  # later collections skip all this: one before a load takes a tenth of a second less
        server.state = "ready"
        return _read_order()
    finally:
        server.stop()


def _import_engine(settings: Settings) -> None:
    """What an engine for DEFAULT_MODEL imports; what fails here fails again when a model is loaded, and is reported."""
    try:
        if selection.select(settings.default_model, settings).engine == "mlx":
            loading.rehearse(settings.default_model, settings)
    except Exception as error:  # noqa: BLE001  # a checkpoint may make its loader raise anything; another may be fine
        logger.info("the engine standby has not opened {}: {}", settings.default_model, error)


def _read_order() -> ServeModel | None:
    """The one message on standard input, which is the lifeline too."""
    decoder = Decoder()
    while data := os.read(STDIN, _CHUNK):
        for message in decoder.feed(data):
            if isinstance(message, ServeModel):
                return message
    return None


class _StandbyServer:
    """Answers pings on the standby's socket."""

    def __init__(self, path: Path, buffer_bytes: int) -> None:
        self.state: BackendState = "loading"
        self._server = Server(path, self._handle, buffer_bytes=buffer_bytes)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_CLOSE_S)

    async def _serve(self) -> None:
        await self._server.start()
        await self._stopping.wait()
        await self._server.close()

    async def _handle(self, peer: Peer) -> None:
        while isinstance(await peer.receive(), Ping):
            peer.send(Health(self.state, os.getpid(), footprint.own(), detail="waits for a model"))
