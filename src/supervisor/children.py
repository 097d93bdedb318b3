"""The table of supervised processes: name → `Child`, each with its task. `main.py` owns it; engines come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from loguru import logger

from src.ipc.messages.status import ChildState, ChildStatus, EngineLoad, Health, OcrLoad
from src.settings import SupervisorSettings
from src.supervisor import watchdog
from src.supervisor.child import Child
from src.supervisor.launcher import Process, ProcessLauncher
from src.supervisor.past import Past
from src.supervisor.specs import STANDBY, ChildSpec


class Children:
    """All children. `on_change` is called for every new state, `on_fault` when a child's own task raises."""

    def __init__(
        self,
        launcher: ProcessLauncher,
        settings: SupervisorSettings,
        *,
        on_change: Callable[[Child], None],
        on_fault: Callable[[], None],
    ) -> None:
        self._launcher = launcher
        self._settings = settings
        self._on_change = on_change
        self._on_fault = on_fault
        self._children: dict[str, Child] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._past: dict[str, Past] = {}

    def add(self, spec: ChildSpec) -> None:
        past = self._past.pop(spec.name, None)
        child = Child(spec, self._launcher, self._settings, on_change=self._on_change, past=past)
        self._children[spec.name] = child
        task = asyncio.get_running_loop().create_task(child.run(), name=spec.name)
        self._tasks[spec.name] = task
        task.add_done_callback(self._on_task_done)

    async def remove(self, name: str) -> None:
        """Stop a child and drop it, except its counters; a no-op for an unknown name."""
        if name not in self._children:
            return
        self._children[name].stop()
        await asyncio.wait({self._tasks[name]})
        if child := self._children.pop(name, None):
            self._past[name] = child.past
        self._tasks.pop(name, None)

    def release(self, name: str) -> Process | None:
        """Give a ready child's process away and drop the child, except its counters."""
        process = self._children[name].release() if name in self._children else None
        if process is not None:
            self._past[name] = self._children.pop(name).past
        return process

    def in_state(self, name: str, state: ChildState) -> bool:
        return name in self._children and self._children[name].state == state

    def kind_in_state(self, kind: str, state: ChildState) -> bool:
        """Whether a child of this kind that serves requests is in this state."""
        children = self._children.values()
        return any(
            child.spec.kind == kind and child.state == state and child.spec.name != STANDBY for child in children
        )

    def signal(self, name: str, number: int) -> None:
        self._children[name].signal(number)

    def status(self) -> tuple[ChildStatus, ...]:
        return tuple(child.status() for child in self._children.values())

    def restarts(self) -> dict[str, dict[str, int]]:
        """By child and reason, removed children included: counters are monotonic."""
        return {name: past.restarts for name, past in self._pasts().items()}

    def ended_engines(self) -> dict[str, EngineLoad]:
        """What engines counted that have ended, by child; removed children included."""
        return {name: past.engine for name, past in self._pasts().items() if past.engine is not None}

    def ended_ocr(self) -> OcrLoad | None:
        """What OCR brokers counted that have ended."""
        return next((past.ocr for past in self._pasts().values() if past.ocr is not None), None)

    def _pasts(self) -> dict[str, Past]:
        return self._past | {name: child.past for name, child in self._children.items()}

    def status_of(self, name: str) -> ChildStatus | None:
        return self._children[name].status() if name in self._children else None

    def recycling(self, name: str) -> bool:
        """Whether a standby for this child is starting."""
        return name in self._children and self._children[name].recycling

    def update_health(self, name: str, health: Health) -> None:
        """Record health that a child reported outside of a heartbeat."""
        if name in self._children:
            self._children[name].update_health(health)

    def sockets(self) -> list[tuple[str, Path]]:
        """Name and socket of each ready child that listens on one."""
        ready = [child.spec for child in self._children.values() if child.state == "ready"]
        return [(spec.name, spec.address) for spec in ready if isinstance(spec.address, Path)]

    def overdue(self) -> list[str]:
        """Children whose heartbeat timeout was not acted on: a reason to stop feeding systemd's watchdog."""
        return watchdog.overdue(child.heartbeat_age() for child in self._children.values())

    def all_in(self, *states: ChildState) -> bool:
        """Whether all are in one of these states; stopped children do not count, nor the engine standby."""
        served = (child for child in self._children.values() if child.spec.name != STANDBY)
        return all(child.state in (*states, "stopped") for child in served)

    def restart(self, name: str) -> bool:
        """Replace a child, or start it now if it is in backoff; False for an unknown name."""
        if name not in self._children:
            return False
        self._children[name].restart()
        return True

    def restart_kind(self, kind: str) -> None:
        """Replace all children of a kind."""
        for child in self._children.values():
            if child.spec.kind == kind:
                child.restart()

    async def drain(self) -> None:
        """Stop all in `stop_order`: web before the back ends, so that no running request loses its back end."""
        in_order = sorted(self._children.values(), key=lambda child: child.spec.stop_order)
        for _, together in groupby(in_order, key=lambda child: child.spec.stop_order):
            group = list(together)
            for child in group:
                child.stop()
            # one of them may have been removed meanwhile
            if tasks := {task for child in group if (task := self._tasks.get(child.spec.name)) is not None}:
                await asyncio.wait(tasks)

    def kill(self) -> None:
        """Kill all at once; `drain` then returns soon."""
        for child in self._children.values():
            child.kill()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.opt(exception=error).error("supervising {} failed", task.get_name())
            self._on_fault()
