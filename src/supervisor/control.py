"""What the supervisor answers on its control socket: to web, to the command line, later to MCP."""

from __future__ import annotations

from collections.abc import Callable

from src.errors import UnsupportedValue
from src.ipc.messages import Accepted, AnyMessage, Failed, StatusRequest, StopRequest, SystemStatus
from src.ipc.server import Handler, Peer


def answering(status: Callable[[], SystemStatus], stop: Callable[[], None]) -> Handler:
    """A handler for `ipc.server`. Questions may be repeated on one connection."""

    def answer(message: AnyMessage) -> AnyMessage:
        if isinstance(message, StatusRequest):
            return status()
        if isinstance(message, StopRequest):
            stop()
            return Accepted()
        return Failed(UnsupportedValue.code, f"the supervisor does not take {type(message).__name__}")

    async def serve(peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            peer.send(answer(message))

    return serve
