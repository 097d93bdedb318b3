"""Control messages: to the supervisor from web, the command line and MCP; to an engine from the supervisor."""

from __future__ import annotations

from typing import Literal

from src.effective_settings import EffectiveSetting
from src.ipc.messages.base import Message


class Ping(Message, frozen=True):
    """Requests `Health`; may be repeated on one connection."""


class StatusRequest(Message, frozen=True):
    """Requests `SystemStatus` from the supervisor."""


class SettingsRequest(Message, frozen=True):
    """Requests `SettingsTable` from the supervisor."""


class SettingsTable(Message, frozen=True):
    """The settings that the service runs with."""

    settings: tuple[EffectiveSetting, ...]


class RestartRequest(Message, frozen=True):
    """Restart a child now, also one in backoff; the reply is `Accepted`."""

    child: str


class AcquireModel(Message, frozen=True):
    """Acquire a lease on a model; the reply is `Accepted` once it is on the device, or `Failed`.

    The lease is held until the connection closes. A `background` lease waits until the server is idle; without a model
    it is for OCR. `retry`: load it although loading failed a moment ago.
    """

    model: str | None
    background: bool = False
    retry: bool = False


class MoveModel(Message, frozen=True):
    """Move a model, or all, once their requests have finished; the reply is `Accepted`."""

    to: Literal["cpu", "unloaded"]
    model: str | None = None


class SetIdleTimeout(Message, frozen=True):
    """Change GPU_IDLE_TIMEOUT (seconds) until the next start; the reply is `Accepted`."""

    seconds: float


class PauseBackground(Message, frozen=True):
    """Pause or resume background requests; the reply is `Accepted`."""

    paused: bool


class MoveWeights(Message, frozen=True):
    """Offload an idle engine's weights, or restore them; the reply is its `Health` when done."""

    to: Literal["cpu", "gpu"]


class ServeModel(Message, frozen=True):
    """To an engine standby, on its standard input: become the engine that these arguments of the command line name."""

    arguments: tuple[str, ...]


class TrimRequest(Message, frozen=True):
    """Clear an engine's caches; the reply is `Accepted`."""


class StopRequest(Message, frozen=True):
    """Drain and stop the service; the reply is `Accepted`."""
