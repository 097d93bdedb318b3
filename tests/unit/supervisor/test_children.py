"""The table of children: removing and adding again."""

from __future__ import annotations

import asyncio

from src.settings import SupervisorSettings
from src.supervisor.children import Children
from tests.unit.supervisor import virtual
from tests.unit.supervisor.fakes import SPEC, FakeProcess, World, health


def test_restart_counters_survive_the_removal_of_a_child() -> None:
    """A model that is unloaded and loaded again keeps its counters: they are monotonic."""

    async def scenario() -> None:
        world = World(lambda pid: FakeProcess(pid, health()))
        table = Children(world, SupervisorSettings(), on_change=lambda _: None, on_fault=lambda: None)
        for crashes in (1, 2):
            table.add(SPEC)
            await asyncio.sleep(5)
            world.processes[-1].exit(1)
            await asyncio.sleep(5)
            assert table.in_state(SPEC.name, "ready")
            assert table.restarts() == {SPEC.name: {"exit": crashes}}
            await table.remove(SPEC.name)
            assert table.status() == ()
            assert table.restarts() == {SPEC.name: {"exit": crashes}}

    virtual.run(scenario())
