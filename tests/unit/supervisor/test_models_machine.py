"""The life cycle under every order of load, use, offload, restore, unload, time-out and crash (hypothesis).

Whatever happens: the device never holds more than its share, who was let in has its model there, nobody waits for ever,
and every request gets exactly one answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from src.ipc.messages.control import AcquireModel
from tests.unit.supervisor.model_world import LOAD_S, Asker, make
from tests.unit.supervisor.virtual import VirtualLoop

NAMES = ("a", "b", "c")
QUEUE_S = 60.0
names = st.sampled_from(NAMES)


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.askers: list[Asker] = []
        self._do(self._build)

    def _build(self) -> None:
        self.models, self.engines = make(
            *NAMES,
            max_concurrent_models=2,
            max_warm_models=1,
            queue_timeout=QUEUE_S,
            gpu_idle_timeout=30,
            model_unload_timeout=90,
            breaker_retry=20,
            model_turn=2,
        )
        self.run = self.loop.create_task(self.models.run())

    def _do(self, act: Any) -> None:
        async def now() -> None:
            act()

        self.loop.run_until_complete(now())

    def _pass(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(name=names, background=st.booleans(), retry=st.booleans())
    def ask(self, name: str, background: bool, retry: bool) -> None:
        self._do(lambda: self.askers.append(Asker(self.models, AcquireModel(name, background=background, retry=retry))))

    @precondition(lambda self: self.askers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self._do(data.draw(st.sampled_from(self.askers)).leave)

    @rule(name=st.one_of(st.none(), names), to=st.sampled_from(["cpu", "unloaded"]))
    def order(self, name: str | None, to: Literal["cpu", "unloaded"]) -> None:
        self._do(lambda: self.models.move(name, to))

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 40.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self._pass(seconds)

    @precondition(lambda self: any(where in ("gpu", "cpu") for where in self.engines.where.values()))
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        alive = sorted(name for name, where in self.engines.where.items() if where in ("gpu", "cpu"))
        name = data.draw(st.sampled_from(alive))
        self._do(lambda: self.engines.crash(name))

    @rule(name=names)
    def break_or_mend(self, name: str) -> None:
        """Mending comes first: an engine that is up is not broken."""
        broken = self.engines.broken
        if name in broken:
            broken.discard(name)
        elif name not in self.engines.where:
            broken.add(name)

    @rule(high=st.booleans())
    def press(self, high: bool) -> None:
        self.engines.memory_level = "high" if high else "normal"

    @invariant()
    def the_device_holds_its_share(self) -> None:
        held = [name for name, where in self.engines.where.items() if where in ("gpu", "loading")]
        assert len(held) <= 2, held

    @invariant()
    def who_is_in_has_its_model(self) -> None:
        for asker in self.askers:
            if asker.granted:
                assert self.engines.where.get(str(asker.request.model)) in ("gpu", "loading")

    @invariant()
    def answers_are_one_each(self) -> None:
        assert all(len(asker.answers) <= 1 for asker in self.askers)

    def _all_leave(self) -> None:
        for asker in self.askers:
            asker.leave()

    def teardown(self) -> None:
        """Who was let in leaves; then everybody has been answered, and idle times empty the table."""
        self._do(lambda: setattr(self.engines, "memory_level", "normal"))
        self.engines.broken.clear()  # else the default would be tried again and again
        for _ in range(200):
            for asker in self.askers:
                if asker.granted:
                    self._do(asker.leave)
            self._pass(LOAD_S)
            if all(asker.task.done() for asker in self.askers if not asker.request.background):
                break
        waiting = [asker for asker in self.askers if not asker.task.done() and not asker.request.background]
        assert waiting == []
        self._do(self._all_leave)
        self._pass(500)
        assert all(asker.task.done() for asker in self.askers)
        assert self.engines.where == {}
        self._do(self.models.close)
        self.run.cancel()
        self.loop.run_until_complete(asyncio.gather(self.run, return_exceptions=True))
        self.loop.close()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
