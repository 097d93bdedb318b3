"""The table of supervised processes: name → `Child`, each with its task. `main.py` owns it; engines join and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from loguru import logger

from src.ipc.messages.status import ChildState, ChildStatus, Health
from src.settings import SupervisorSettings
from src.supervisor import watchdog
from src.supervisor.child import Child
from src.supervisor.launcher import ProcessLauncher
from src.supervisor.specs import ChildSpec


class Children:
    """All children. `on_change` hears of every new state, `on_fault` of a bug in a child's own task."""

    def __init__(
        self,
        effects: ProcessLauncher,
        settings: SupervisorSettings,
        *,
        on_change: Callable[[Child], None],
        on_fault: Callable[[], None],
    ) -> None:
        self._effects = effects
        self._settings = settings
        self._on_change = on_change
        self._on_fault = on_fault
        self._children: dict[str, Child] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._past: dict[str, dict[str, int]] = {}

    def add(self, spec: ChildSpec) -> None:
        past = self._past.pop(spec.name, None)
        child = Child(spec, self._effects, self._settings, on_change=self._on_change, restarts=past)
        self._children[spec.name] = child
        task = asyncio.get_running_loop().create_task(child.run(), name=spec.name)
        self._tasks[spec.name] = task
        task.add_done_callback(self._ended)

    async def remove(self, name: str) -> None:
        """Stop a child and forget it, but for its restarts; harmless when there is none."""
        if name not in self._children:
            return
        self._children[name].stop()
        await asyncio.wait({self._tasks[name]})
        if child := self._children.pop(name, None):
            self._past[name] = child.status().restarts
        self._tasks.pop(name, None)

    def in_state(self, name: str, state: ChildState) -> bool:
        return name in self._children and self._children[name].state == state

    def signal(self, name: str, number: int) -> None:
        self._children[name].signal(number)

    def status(self) -> tuple[ChildStatus, ...]:
        return tuple(child.status() for child in self._children.values())

    def restarts(self) -> dict[str, dict[str, int]]:
        """By child and reason, also of those that have left: counters never go back."""
        return self._past | {name: child.status().restarts for name, child in self._children.items()}

    def status_of(self, name: str) -> ChildStatus | None:
        return self._children[name].status() if name in self._children else None

    def renewing(self, name: str) -> bool:
        """Whether a child's successor is on its way."""
        return name in self._children and self._children[name].renewing

    def heard(self, name: str, health: Health) -> None:
        """What a child has just said of itself, outside of its heartbeats."""
        if name in self._children:
            self._children[name].heard(health)

    def sockets(self) -> list[tuple[str, Path]]:
        """Of those that are ready, and answer on one."""
        ready = [child.spec for child in self._children.values() if child.state == "ready"]
        return [(spec.name, spec.address) for spec in ready if isinstance(spec.address, Path)]

    def overdue(self) -> list[str]:
        """Those whose silence nobody has acted on: a reason to let systemd's watchdog bite."""
        return watchdog.overdue(child.silence() for child in self._children.values())

    def all_in(self, *states: ChildState) -> bool:
        """Whether all are in one of these states; one that has just been stopped does not count any more."""
        return all(child.state in (*states, "stopped") for child in self._children.values())

    def restart(self, name: str) -> bool:
        """Replace a child, or start it now if it waits; False when there is none of that name."""
        if name not in self._children:
            return False
        self._children[name].restart()
        return True

    def restart_kind(self, kind: str) -> None:
        """Replace all children of a kind: what stands before the colon of an engine's name."""
        for name, child in self._children.items():
            if name.partition(":")[0] == kind:
                child.restart()

    async def drain(self) -> None:
        """Stop all, in order: who sends work before who does it, so that no running request loses its back end."""
        in_order = sorted(self._children.values(), key=lambda child: child.spec.stop_order)
        for _, together in groupby(in_order, key=lambda child: child.spec.stop_order):
            group = list(together)
            for child in group:
                child.stop()
            await asyncio.wait({self._tasks[child.spec.name] for child in group})

    def kill(self) -> None:
        """End all at once; `drain` then returns soon."""
        for child in self._children.values():
            child.kill()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.opt(exception=error).error("the task that watches {} failed", task.get_name())
            self._on_fault()
