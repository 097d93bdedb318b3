"""Interfaces for starting and probing processes, used by `child.py` and `standby.py`; implemented in `processes.py`."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from src.ipc.messages.status import Health
from src.supervisor.specs import ChildSpec


class ProbeError(Exception):
    """The probe failed; the text says why."""


class Activity(NamedTuple):
    """What a process has done so far, and does now."""

    cpu_s: float
    stopped: bool = False  # by a signal or a debugger
    waits_for_disk: bool = False


class Process(Protocol):
    """A started process. `exited` completes with its exit status once it is reaped."""

    pid: int
    exited: asyncio.Future[int]

    def signal(self, number: int) -> None: ...
    def write(self, data: bytes) -> None:
        """To its standard input. Raises OSError."""

    def kill_group(self) -> None: ...
    def activity(self) -> Activity | None:
        """None when it cannot be read."""


class Probe(Protocol):
    """Health checks of one process over one persistent connection."""

    async def ask(self, timeout_s: float) -> Health | None:
        """Its health; None when it is healthy and reports no details. Raises ProbeError."""

    async def probe_generation(self, timeout_s: float) -> None:
        """Generate one token. Raises ProbeError when that fails."""

    def close(self) -> None: ...


class ProcessLauncher(Protocol):
    def spawn(self, spec: ChildSpec) -> Process:
        """Start it as the leader of its own process group. Raises OSError."""

    def probe(self, spec: ChildSpec, pid: int) -> Probe: ...

    def take_over(self, spec: ChildSpec) -> None:
        """New connections reach the standby from now on. Raises OSError when it is not listening."""

    def free_bytes(self) -> int:
        """Available memory of the machine."""
