"""Fake engines for the table of models: they start, stop, move and fail as scripted, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, cast

from src import catalog
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import AcquireModel
from src.ipc.messages.status import ChildState, ChildStatus, Health, MemoryReading
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer
from src.settings import Settings
from src.supervisor.models import ModelTable, MoveFailed

LOAD_S, MOVE_S, END_S = 1.0, 0.2, 0.1


class FakeEngines:
    """Processes by model: `loading`, `gpu`, `cpu`; every change is checked against what a real one could do."""

    def __init__(self) -> None:
        self.models: ModelTable
        self.known: dict[str, catalog.CatalogEntry] = {}  # what is on the disk
        self.where: dict[str, str] = {}
        self.broken: set[str] = set()  # models whose load fails
        self.immovable: set[str] = set()  # engines whose moves fail
        self.recycling: set[str] = set()  # engines with a standby
        self.starts: list[str] = []
        self.restarted: list[str] = []  # engines whose backoff was skipped
        self.in_backoff: set[str] = set()  # engines in backoff
        self.memory_level: Literal["normal", "high"] = "normal"

    def start(self, model: str) -> None:
        assert model not in self.where or model in self.in_backoff, f"{model} is there already"
        (self.restarted if model in self.in_backoff else self.starts).append(model)
        self.in_backoff.discard(model)
        self.where[model] = "loading"
        asyncio.get_running_loop().call_later(LOAD_S, self._loaded, model)

    def _loaded(self, model: str) -> None:
        if self.where.get(model) != "loading":
            return
        if model in self.broken:
            self.models.changed(model, "failed", "it is broken", stalled=False)
        else:
            self.where[model] = "gpu"
            self.models.changed(model, "ready", None, stalled=False)

    def crash(self, model: str) -> None:
        """It crashes and is restarted, with the model on the device."""
        self.where[model] = "loading"
        self.models.changed(model, "starting", "killed by SIGKILL", stalled=False)
        asyncio.get_running_loop().call_later(LOAD_S, self._loaded, model)

    def back_off(self, model: str) -> None:
        """It has crashed again and is in backoff."""
        self.where[model] = "paused"
        self.in_backoff.add(model)
        self.models.changed(model, "backoff", "killed by SIGKILL", stalled=False)

    def give_up(self, model: str) -> None:
        """Restarting it has failed."""
        self.where[model] = "paused"
        self.models.changed(model, "failed", "the weights are gone", stalled=False)

    async def end(self, model: str) -> None:
        await asyncio.sleep(END_S)
        self.in_backoff.discard(model)
        self.where.pop(model, None)

    async def move(self, model: str, to: Literal["cpu", "gpu"]) -> None:
        await asyncio.sleep(MOVE_S)
        if model in self.immovable or self.where.get(model) not in ("cpu", "gpu"):
            raise MoveFailed("it does not move")
        self.where[model] = to

    def due_for_recycle(self, model: str) -> bool:
        return model in self.recycling

    def status(self, model: str) -> ChildStatus | None:
        if model not in self.where:
            return None
        state: ChildState = "backoff" if self.where[model] == "paused" else "ready"
        if self.where[model] == "loading":
            state = "starting"
        health = Health("ready", 1, MemoryReading(1), memory_level=self.memory_level)
        return ChildStatus(self.name(model), state, 1, 1.0, {}, None, health)

    @staticmethod
    def name(model: str) -> str:
        return f"engine:{model}"


class Asker:
    """One request's connection: its replies and its disconnect."""

    def __init__(self, models: ModelTable, request: AcquireModel) -> None:
        self.answers: list[AnyMessage] = []
        self.request = request
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.get_running_loop().create_task(models.acquire_lease(cast(Peer, self), request))

    def send(self, message: AnyMessage) -> None:
        self.answers.append(message)

    def leave(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    @property
    def granted(self) -> bool:
        return self.answers == [Accepted()] and not self.gone.done()

    @property
    def failure(self) -> Failed | None:
        return next((answer for answer in self.answers if isinstance(answer, Failed)), None)


def make(*names: str, size: int = 10, broken: str = "", **changes: Any) -> tuple[ModelTable, FakeEngines]:
    """A table of these models with one slot by default. Call in a running loop."""
    chosen: dict[str, Any] = {"max_concurrent_models": 1, "models_memory_mb": 1, "default_model": names[0], **changes}
    settings = Settings(_env_file=None, inference_engine="fake", **chosen)
    engines = FakeEngines()
    engines.known = {name: catalog.CatalogEntry(name, size=size) for name in names}
    engines.broken.update(broken)
    loop = asyncio.get_running_loop()
    engines.models = ModelTable(
        settings, engines, memory_bytes=1 << 30, scan=lambda _: dict(engines.known), clock=loop.time
    )
    engines.models.begin()
    return engines.models, engines
