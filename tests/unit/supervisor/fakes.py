"""Fake processes: the calls of a child are recorded, exits and probe replies are scripted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from src.ipc.messages.status import EngineLoad, Health, MemoryReading
from src.supervisor.launcher import Activity, Probe, ProbeError
from src.supervisor.specs import ChildSpec

_TICK_S = 0.1

SPEC = ChildSpec("engine", ("engine",), Path("/nowhere/engine.sock"), stop_order=0, stop_grace_s=5.0)


def health(state: str = "ready", detail: str | None = None, load: EngineLoad | None = None) -> Health:
    return Health(state, pid=1, memory=MemoryReading(1), detail=detail, load=load)  # type: ignore[arg-type]


def busy(step_age_s: float, expected_s: float | None = None) -> Health:
    load = EngineLoad(1, 0, step_age_s, steps=1, tokens=1, expected_s=expected_s, in_step=True)
    return health(load=load)


class FakeProcess:
    """Runs until it exits or is killed. `said`: its reply to a probe; None never replies, an error fails the probe."""

    def __init__(
        self, pid: int, said: Health | None | ProbeError, *, deaf: bool = False, undying: bool = False
    ) -> None:
        self.pid = pid
        self.said = said
        self.exit_on_probe: int | None = None  # the status it ends with while it answers
        self.hangs = False
        self.barren = False
        self.signals: list[tuple[float, str]] = []
        self.written: list[bytes] | None = []  # what it was sent; None: its standard input is closed
        self.active: Activity | None = None
        self._deaf = deaf
        self._undying = undying
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def activity(self) -> Activity | None:
        return self.active

    def exit(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(status)

    def signal(self, number: int) -> None:
        self._note(signal.Signals(number).name)
        if not self._deaf and number in (signal.SIGTERM, signal.SIGABRT):
            self.exit(0 if number == signal.SIGTERM else -number)

    def write(self, data: bytes) -> None:
        if self.written is None:
            raise BrokenPipeError
        self.written.append(data)

    def kill_group(self) -> None:
        self._note("SIGKILL group")
        if not self._undying:
            self.exit(-signal.SIGKILL)

    def _note(self, what: str) -> None:
        self.signals.append((asyncio.get_running_loop().time(), what))


class FakeProbe:
    def __init__(self, process: FakeProcess) -> None:
        self._process = process
        self.recycling = 0
        self.exercised = 0
        self.closed = False

    async def probe_generation(self, timeout_s: float) -> None:
        self.exercised += 1
        if self._process.barren:
            raise ProbeError("no token")

    async def ask(self, timeout_s: float) -> Health | None:
        self.recycling += 1
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._process.hangs:
            await asyncio.sleep(min(_TICK_S, timeout_s))
            if asyncio.get_running_loop().time() >= deadline:
                raise ProbeError("no reply")
        if self._process.exit_on_probe is not None:
            self._process.exit(self._process.exit_on_probe)
            await asyncio.sleep(0.1)
        if isinstance(self._process.said, ProbeError):
            raise self._process.said
        return self._process.said

    def close(self) -> None:
        self.closed = True


class World:
    """A `ProcessLauncher`: `make` creates the nth process; started processes and their start times are recorded."""

    def __init__(self, make: Callable[[int], FakeProcess]) -> None:
        self._make = make
        self.processes: list[FakeProcess] = []
        self.probes: list[FakeProbe] = []
        self.started_at: list[float] = []
        self.specs: list[ChildSpec] = []
        self.taken_over = 0
        self.free = 1 << 40

    def spawn(self, spec: ChildSpec) -> FakeProcess:
        self.started_at.append(asyncio.get_running_loop().time())
        self.specs.append(spec)
        process = self._make(len(self.started_at))
        self.processes.append(process)
        return process

    def probe(self, spec: ChildSpec, pid: int) -> Probe:
        probe = FakeProbe(next(process for process in self.processes if process.pid == pid))
        self.probes.append(probe)
        return probe

    def take_over(self, spec: ChildSpec) -> None:
        self.taken_over += 1

    def free_bytes(self) -> int:
        return self.free
