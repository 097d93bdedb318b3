"""What the supervisor answers on its control socket: to web, to the command line, later to MCP."""

from __future__ import annotations

from collections.abc import Callable

from src.errors import NotFound, UnsupportedValue
from src.ipc.messages import Accepted, AnyMessage, Failed, RestartRequest, StatusRequest, StopRequest, SystemStatus
from src.ipc.server import Handler, Peer


def answering(status: Callable[[], SystemStatus], stop: Callable[[], None], restart: Callable[[str], bool]) -> Handler:
    """A handler for `ipc.server`. Questions may be repeated on one connection. `restart` is False for a stranger."""

    def answer(message: AnyMessage) -> AnyMessage:
        if isinstance(message, StatusRequest):
            return status()
        if isinstance(message, StopRequest):
            stop()
            return Accepted()
        if isinstance(message, RestartRequest):
            return Accepted() if restart(message.child) else Failed(NotFound.code, "no such child")
        return Failed(UnsupportedValue.code, f"the supervisor does not take {type(message).__name__}")

    async def serve(peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            peer.send(answer(message))

    return serve
