"""The engine standby: who gets it, when the next one is made, and when there is none. Fake processes, virtual time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from src.ipc.framing import encode
from src.ipc.messages.control import ServeModel
from src.settings import Settings
from src.supervisor import specs
from src.supervisor.children import Children
from src.supervisor.engine_standby import StandbyKeeper, StandbyLauncher
from src.supervisor.launcher import Activity
from src.supervisor.specs import STANDBY, ChildSpec
from tests.unit.supervisor import virtual
from tests.unit.supervisor.fakes import FakeProcess, World, health

DIRECTORY = Path("/nowhere")
PLENTY = 1 << 40


class Service:
    """Children whose engines may start in a standby; `check` runs every half second, as in the supervisor."""

    def __init__(self, **changes: object) -> None:
        self.settings = Settings.model_validate({"engine_standby": "true"} | changes)
        self.world = World(lambda pid: FakeProcess(pid, health()))
        launcher = StandbyLauncher(self.world)
        self.children = Children(launcher, self.settings, on_change=lambda _: None, on_fault=lambda: None)
        clock = asyncio.get_running_loop().time
        keeper = StandbyKeeper(self.children, self.settings, DIRECTORY, self.world.free_bytes, clock)
        launcher.take = keeper.take
        self._checks = asyncio.get_running_loop().create_task(self._check(keeper))

    async def _check(self, keeper: StandbyKeeper) -> None:
        while True:
            keeper.check()
            await asyncio.sleep(0.5)

    def start(self, model: str) -> None:
        self.children.add(specs.engine(self.settings, DIRECTORY, model))

    def pid(self, name: str) -> int | None:
        status = self.children.status_of(name)
        return status.pid if status is not None else None

    def process(self, name: str) -> FakeProcess:
        return next(process for process in self.world.processes if process.pid == self.pid(name))

    async def end(self) -> None:
        self._checks.cancel()
        await self.children.drain()


def in_virtual_time(scenario: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        virtual.run(scenario())

    test.__doc__, test.__name__ = scenario.__doc__, scenario.__name__
    return test


@in_virtual_time
async def test_a_crashed_engine_goes_on_in_the_standby() -> None:
    """Its process is told the model's name and arguments; nothing is started, and nothing is killed of it."""
    service = Service()
    service.start("demo")
    await asyncio.sleep(10)
    standby, started = service.process(STANDBY), len(service.world.processes)
    service.process("engine:demo").exit(-signal.SIGKILL)
    await asyncio.sleep(0.3)
    assert service.pid("engine:demo") == standby.pid
    assert standby.written == [encode(ServeModel(("--model", "demo")))]
    assert standby.signals == []
    assert len(service.world.processes) == started
    assert service.children.restarts()["engine:demo"] == {"signal": 1}
    await service.end()


@in_virtual_time
async def test_there_is_one_standby_again_after_it_was_used() -> None:
    """Not before the engine has had the machine for a moment."""
    service = Service()
    await asyncio.sleep(5)
    first = service.pid(STANDBY)
    service.start("demo")
    await asyncio.sleep(1)
    assert service.pid("engine:demo") == first
    assert service.pid(STANDBY) is None
    await asyncio.sleep(3)
    assert service.pid(STANDBY) not in (None, first)
    assert service.children.in_state(STANDBY, "ready")
    await service.end()


@in_virtual_time
async def test_a_standby_that_still_imports_is_not_used() -> None:
    """An engine never waits for one: it is started as without."""
    service = Service()
    service.world._make = lambda pid: FakeProcess(pid, health("loading" if pid == 1 else "ready"))
    await asyncio.sleep(1)
    service.start("demo")
    await asyncio.sleep(1)
    assert service.world.processes[0].written == []
    assert service.pid("engine:demo") == 2
    await service.end()


@pytest.mark.parametrize("why", ["exited", "stopped"])
def test_a_standby_that_cannot_take_over_is_replaced_by_a_start(why: str) -> None:
    """Its standard input is closed before its exit is seen; or it was stopped since its last heartbeat."""

    async def scenario() -> None:
        service = Service()
        await asyncio.sleep(5)
        standby = service.process(STANDBY)
        if why == "exited":
            standby.written = None
        else:
            standby.active = Activity(1.0, stopped=True)
        service.start("demo")
        await asyncio.sleep(1)
        assert service.pid("engine:demo") not in (None, standby.pid)
        assert standby.exited.done()
        await service.end()

    virtual.run(scenario())


@in_virtual_time
async def test_only_the_engines_own_command_goes_to_the_standby() -> None:
    """Other programs, and engines behind a launcher, are started."""
    service = Service()
    await asyncio.sleep(5)
    standby = service.pid(STANDBY)
    launched = ("mlx.launch", *specs.engine(service.settings, DIRECTORY, "demo").argv)
    service.children.add(ChildSpec("engine:demo", launched, DIRECTORY / "engine-demo.sock", 2, 5, model="demo"))
    service.children.add(ChildSpec("ocr", ("python", "-m", "src.ocr.main"), DIRECTORY / "ocr.sock", 1, 5))
    await asyncio.sleep(1)
    assert service.pid(STANDBY) == standby
    await service.end()


@in_virtual_time
async def test_a_standby_that_crashes_is_restarted_with_back_off() -> None:
    """As any child: a standby that cannot start does not load the machine."""
    service = Service()
    service.world._make = lambda pid: FakeProcess(pid, health("loading"))
    for _ in range(600):
        await asyncio.sleep(0.1)
        if (pid := service.pid(STANDBY)) is not None:
            service.world.processes[pid - 1].exit(1)
    assert 4 <= len(service.world.processes) <= 20
    await service.end()


@in_virtual_time
async def test_auto_has_a_standby_only_while_memory_allows() -> None:
    """It ends when memory is short, and comes back when there is more."""
    service = Service(engine_standby="auto", inference_engine="mlx")
    await asyncio.sleep(5)
    assert service.pid(STANDBY) is not None
    service.world.free = 900 << 20
    await asyncio.sleep(5)
    assert service.pid(STANDBY) is None
    service.world.free = 1500 << 20
    await asyncio.sleep(5)
    assert service.pid(STANDBY) is None
    service.world.free = PLENTY
    await asyncio.sleep(5)
    assert service.pid(STANDBY) is not None
    await service.end()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"engine_standby": "auto", "inference_engine": "fake"}, False),
        ({"engine_standby": "auto", "inference_engine": "llama.cpp"}, False),
        ({"engine_standby": "false", "inference_engine": "mlx"}, False),
        ({"engine_standby": "true", "inference_engine": "fake"}, True),
    ],
)
def test_auto_is_for_engines_that_import_much(changes: dict[str, object], *, expected: bool) -> None:
    """The fake engine and upstream servers gain nothing by it; `true` and `false` are obeyed."""

    async def scenario() -> None:
        service = Service(**changes)
        await asyncio.sleep(5)
        assert (service.pid(STANDBY) is not None) is expected
        await service.end()

    virtual.run(scenario())


@in_virtual_time
async def test_the_standby_does_not_count_as_service() -> None:
    """Neither readiness nor the model table waits for it."""
    service = Service()
    service.world._make = lambda pid: FakeProcess(pid, health("loading"))
    await asyncio.sleep(5)
    assert service.pid(STANDBY) is not None
    assert service.children.all_in("ready")
    assert not service.children.kind_in_state("engine", "starting")
    await service.end()
