"""Orders: to the supervisor from web, the command line and MCP; to an engine from the supervisor."""

from __future__ import annotations

from typing import Literal

from src.ipc.messages.base import Message


class Ping(Message, frozen=True):
    """Asks for `Health`; may be repeated on one connection."""


class StatusRequest(Message, frozen=True):
    """Asks the supervisor for `SystemStatus`."""


class RestartRequest(Message, frozen=True):
    """Asks the supervisor to replace a child now, or to start one that waits; answered with `Accepted`."""

    child: str


class AcquireModel(Message, frozen=True):
    """Asks the supervisor for a place at a model; answered with `Accepted` once it is on the device, or `Failed`.

    The place is kept until the connection closes. A `background` use waits for a time without other load; without a
    model it is only that: OCR's use of such a time. `retry`: although loading it failed a moment ago.
    """

    model: str | None
    background: bool = False
    retry: bool = False


class MoveModel(Message, frozen=True):
    """Asks the supervisor to move a model, or all, once their requests have ended; answered with `Accepted`."""

    to: Literal["cpu", "unloaded"]
    model: str | None = None


class SetIdleTimeout(Message, frozen=True):
    """Asks the supervisor for another GPU_IDLE_TIMEOUT, seconds, until it ends; answered with `Accepted`."""

    seconds: float


class PauseBackground(Message, frozen=True):
    """Asks the supervisor to let no more background requests begin, or to let them; answered with `Accepted`."""

    paused: bool


class MoveWeights(Message, frozen=True):
    """Asks an idle engine to free the device, or to come back to it; answered with its `Health` when that is done."""

    to: Literal["cpu", "gpu"]


class TrimRequest(Message, frozen=True):
    """Asks an engine to clear its caches; answered with `Accepted`."""


class StopRequest(Message, frozen=True):
    """Asks the supervisor to drain and end; answered with `Accepted`."""
