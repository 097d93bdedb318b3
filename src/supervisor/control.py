"""What the supervisor answers on its control socket: to web, to the command line, to MCP through web."""

from __future__ import annotations

from typing import Protocol

from src.errors import NotFound, ServiceError, UnsupportedValue
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import (
    AcquireModel,
    MoveModel,
    PauseBackground,
    RestartRequest,
    SetIdleTimeout,
    StatusRequest,
    StopRequest,
)
from src.ipc.messages.status import SystemStatus
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Handler, Peer
from src.supervisor.models import ModelTable


class ControlTarget(Protocol):
    """The supervisor, as those who ask it see it."""

    models: ModelTable

    def status(self) -> SystemStatus: ...

    def stop(self) -> None: ...

    def restart(self, child: str) -> bool:
        """False when there is none of that name."""


def answering(service: ControlTarget) -> Handler:
    """A handler for `ipc.server`. Questions may be repeated on one connection; a `AcquireModel` keeps it to its end."""

    def answer(message: AnyMessage) -> AnyMessage:
        if isinstance(message, StatusRequest):
            return service.status()
        try:
            _obey(message, service)
        except ServiceError as error:
            return Failed.of(error)
        return Accepted()

    async def serve(peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            if isinstance(message, AcquireModel):
                return await service.models.lend(peer, message)
            peer.send(answer(message))
        return None

    return serve


def _obey(message: AnyMessage, service: ControlTarget) -> None:
    """Raises ServiceError for an order that cannot be taken."""
    if isinstance(message, StopRequest):
        service.stop()
    elif isinstance(message, RestartRequest):
        if not service.restart(message.child):
            raise NotFound("no such child")
    elif isinstance(message, MoveModel):
        service.models.move(message.model, message.to)
    elif isinstance(message, SetIdleTimeout):
        service.models.set_idle_timeout(message.seconds)
    elif isinstance(message, PauseBackground):
        service.models.pause_background(paused=message.paused)
    else:
        raise UnsupportedValue(f"the supervisor does not take {type(message).__name__}")
