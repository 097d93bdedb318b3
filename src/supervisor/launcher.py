"""What a child does to the world, as `child.py` and `relief.py` see it; `processes.py` does it, tests play it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from src.ipc.messages.status import Health
from src.supervisor.specs import ChildSpec


class ProbeError(Exception):
    """No good answer; the text says why."""


class Process(Protocol):
    """A process that was started. `exited` completes with its exit status, once it is reaped."""

    pid: int
    exited: asyncio.Future[int]

    def signal(self, number: int) -> None: ...
    def kill_group(self) -> None: ...


class Probe(Protocol):
    """Asks one process how it is, over one connection that is kept."""

    async def ask(self, timeout_s: float) -> Health | None:
        """Its health; None when it is well and says no more. Raises ProbeError."""

    async def exercise(self, timeout_s: float) -> None:
        """Let it do its work once, in the smallest way. Raises ProbeError when it does not."""

    def close(self) -> None: ...


class ProcessLauncher(Protocol):
    def spawn(self, spec: ChildSpec) -> Process:
        """Start it, leading a process group of its own. Raises OSError."""

    def probe(self, spec: ChildSpec, pid: int) -> Probe: ...

    def take_over(self, spec: ChildSpec) -> None:
        """Whoever connects from now on reaches the process beside it. Raises OSError when there is none."""

    def free_bytes(self) -> int:
        """The machine's memory that could be had."""
