"""One process per model: how the model table's orders reach the supervisor's children and the engines themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from src.ipc import runtime
from src.ipc.framing import FramingError
from src.ipc.messages.base import Failed
from src.ipc.messages.control import MoveWeights
from src.ipc.messages.status import ChildStatus, Health
from src.settings import Settings
from src.supervisor import specs
from src.supervisor.children import Children
from src.supervisor.models import MoveFailed
from src.supervisor.processes import outcome


class EngineProcesses:
    """`models.Engines` over the real thing."""

    def __init__(self, children: Children, settings: Settings, directory: Path) -> None:
        self._children = children
        self._settings = settings
        self._directory = directory

    def start(self, model: str) -> None:
        name = self.name(model)
        if not self._children.restart(name):
            self._children.add(specs.engine(self._settings, self._directory, model))

    async def end(self, model: str) -> None:
        await self._children.remove(self.name(model))

    async def move(self, model: str, to: Literal["cpu", "gpu"]) -> None:
        """Repeated when a standby replaced the process meanwhile: the standby is on the device."""
        pid, health, failure = self._pid(model), None, None
        try:
            health = await self._request_move(model, to)
        except MoveFailed as error:
            failure = error
        if self._pid(model) != pid:
            await self.move(model, to)
        elif failure is not None:
            raise failure
        elif health is not None:
            self._children.update_health(self.name(model), health)

    async def _request_move(self, model: str, to: Literal["cpu", "gpu"]) -> Health:
        path = runtime.engine_socket(self._directory, model)
        try:
            work = outcome(path, MoveWeights(to), Health, Failed)
            answer = await asyncio.wait_for(work, self._settings.start_timeout)
        except (TimeoutError, OSError, FramingError) as error:
            raise MoveFailed(str(error) or f"no reply within {self._settings.start_timeout:g} s") from None
        if isinstance(answer, Health):
            return answer
        raise MoveFailed(answer.message if isinstance(answer, Failed) else "unexpected reply")

    def _pid(self, model: str) -> int | None:
        child = self.status(model)
        return child.pid if child is not None else None

    def due_for_recycle(self, model: str) -> bool:
        return self._children.recycling(self.name(model))

    def status(self, model: str) -> ChildStatus | None:
        return self._children.status_of(self.name(model))

    @staticmethod
    def name(model: str) -> str:
        return specs.engine_name(model)
