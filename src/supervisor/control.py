"""The control socket's request handler: serves web, the command line, and MCP through web."""

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
    SettingsRequest,
    SettingsTable,
    StatusRequest,
    StopRequest,
)
from src.ipc.messages.status import SystemStatus
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Handler, Peer
from src.supervisor.models import ModelTable


class ControlTarget(Protocol):
    """The supervisor, as the control socket sees it."""

    models: ModelTable

    def status(self) -> SystemStatus: ...

    def settings_table(self) -> SettingsTable: ...

    def stop(self) -> None: ...

    def restart(self, child: str) -> bool:
        """False for an unknown name."""


def control_handler(service: ControlTarget) -> Handler:
    """A handler for `ipc.server`. One connection may send many requests; an `AcquireModel` holds it until it closes."""

    def answer(message: AnyMessage) -> AnyMessage:
        if isinstance(message, StatusRequest):
            return service.status()
        if isinstance(message, SettingsRequest):
            return service.settings_table()
        try:
            _handle(message, service)
        except ServiceError as error:
            return Failed.of(error)
        return Accepted()

    async def serve(peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            if isinstance(message, AcquireModel):
                return await service.models.acquire_lease(peer, message)
            peer.send(answer(message))
        return None

    return serve


def _handle(message: AnyMessage, service: ControlTarget) -> None:
    """Raises ServiceError for a request that cannot be carried out."""
    if isinstance(message, StopRequest):
        service.stop()
    elif isinstance(message, RestartRequest):
        if not service.restart(message.child):
            raise NotFound(f"No process named {message.child!r}.")
    elif isinstance(message, MoveModel):
        service.models.move(message.model, message.to)
    elif isinstance(message, SetIdleTimeout):
        service.models.set_idle_timeout(message.seconds)
    elif isinstance(message, PauseBackground):
        service.models.pause_background(paused=message.paused)
    else:
        raise UnsupportedValue(f"The supervisor does not handle {type(message).__name__}.")
