"""One process per model: how the model table's orders reach the supervisor's children and the engines themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from src.ipc import runtime
from src.ipc.framing import FramingError
from src.ipc.messages import Accepted, ChildStatus, Failed, MoveWeights
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
        path = runtime.engine_socket(self._directory, model)
        try:
            answer = await asyncio.wait_for(
                outcome(path, MoveWeights(to), Accepted, Failed), self._settings.start_timeout
            )
        except (OSError, FramingError, asyncio.TimeoutError) as error:
            raise MoveFailed(str(error) or f"no answer within {self._settings.start_timeout:g} s") from None
        if isinstance(answer, Failed):
            raise MoveFailed(answer.message)

    def status(self, model: str) -> ChildStatus | None:
        return self._children.status_of(self.name(model))

    @staticmethod
    def name(model: str) -> str:
        return specs.engine_name(model)
