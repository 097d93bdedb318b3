"""The model manager: every order of what can happen to a model, and what many threads may do at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from src.gpu import ModelBusy, ModelManager, get_global_manager
from src.gpu.lifecycle import Location
from tests.unit.clock import Clock

NAMES = ("a", "b", "c")
FIXED = "c"  # a model that can only be kept or released


class Broken(Exception):
    """What a library raises when a move fails."""


class Weights:
    """A model that knows where it is, and refuses to be moved twice, or while it is used."""

    def __init__(self) -> None:
        self.on_device = True
        self.in_use = 0
        self.fails = False

    def to_host(self) -> None:
        self._move(False)

    def to_device(self) -> None:
        self._move(True)

    def _move(self, on_device: bool) -> None:
        assert self.on_device is not on_device
        assert not self.in_use
        if self.fails:
            raise Broken
        self.on_device = on_device


class Fixed:
    """A model of a framework nobody knows."""

    on_device = True
    in_use = 0
    fails = False


class Lives(RuleBasedStateMachine):
    """The manager beside a table that says where each model must be."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.manager = ModelManager(600, 3600, clock=self.clock)
        self.timeout = 600.0
        self.where: dict[str, Location] = dict.fromkeys(NAMES, "unloaded")
        self.used_at = dict.fromkeys(NAMES, 0.0)
        self.models: dict[str, Weights | Fixed] = {}
        self.open: list[tuple[str, ExitStack]] = []
        for name in NAMES:
            self.manager.register_model(name, pinned=name == "b")

    def load(self, name: str) -> Weights | Fixed:
        assert self.where[name] == "unloaded"
        self.models[name] = Fixed() if name == FIXED else Weights()
        return self.models[name]

    def users(self, name: str) -> int:
        return sum(1 for used, _ in self.open if used == name)

    def arrived(self, name: str) -> None:
        self.where[name], self.used_at[name] = "gpu", self.clock()

    @rule(name=st.sampled_from(NAMES))
    def get(self, name: str) -> None:
        model = self.manager.get_model(partial(self.load, name), name)
        assert model is self.models[name]
        assert model.on_device
        self.arrived(name)

    @rule(name=st.sampled_from(NAMES))
    def begin(self, name: str) -> None:
        stack = ExitStack()
        model = stack.enter_context(self.manager.use(partial(self.load, name), name))
        assert model is self.models[name]
        assert model.on_device
        model.in_use += 1
        self.open.append((name, stack))
        self.arrived(name)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name, stack = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.models[name].in_use -= 1
        stack.close()
        self.used_at[name] = self.clock()

    @rule(name=st.sampled_from([None, *NAMES]), to=st.sampled_from(["cpu", "unloaded"]))
    def send_away(self, name: str | None, to: Location) -> None:
        names = NAMES if name is None else (name,)
        due = [n for n in names if not self.users(n) and self.goes(n, to)]
        act = self.manager.force_offload if to == "cpu" else self.manager.force_release
        if any(self.users(n) for n in names):
            with pytest.raises(ModelBusy):
                act(name, wait_s=0)
        else:
            assert act(name, wait_s=0) == due
        self.where |= dict.fromkeys(due, to)

    def goes(self, name: str, to: Location) -> bool:
        return self.where[name] not in ("unloaded", to) and not (to == "cpu" and name == FIXED)

    @rule(seconds=st.sampled_from([1.0, 300.0, 601.0, 3601.0]))
    def idle(self, seconds: float) -> None:
        self.clock.now += seconds
        expected = []
        for name in NAMES:
            idle = self.clock() - self.used_at[name]
            if name == "b" or self.users(name):
                continue
            to: Location = "unloaded" if idle >= 3600 else "cpu" if self.timeout and idle >= self.timeout else "gpu"
            if to != "gpu" and self.goes(name, to):
                expected.append(name)
                self.where[name] = to
        assert self.manager.move_idle() == expected

    @rule(seconds=st.sampled_from([0.0, 100.0, 600.0]))
    def set_timeout(self, seconds: float) -> None:
        self.manager.update_all_timeout(seconds)
        self.timeout = seconds

    @rule(name=st.sampled_from(NAMES))
    def fail_to_load(self, name: str) -> None:
        if self.where[name] != "unloaded":
            return
        with pytest.raises(Broken), self.manager.use(self.broken_load, name):
            pytest.fail("nothing was loaded")

    def broken_load(self) -> Weights:
        raise Broken

    @rule(name=st.sampled_from(["a", "b"]))
    def fail_to_move(self, name: str) -> None:
        """A model that cannot move is not trusted any more, whichever way it was going."""
        if self.where[name] == "unloaded" or self.users(name):
            return
        self.models[name].fails = True
        leave: Callable[[], object] = partial(self.manager.force_offload, name, wait_s=0)
        back: Callable[[], object] = partial(self.manager.get_model, self.broken_load, name)
        with pytest.raises(Broken):
            (leave if self.where[name] == "gpu" else back)()
        self.where[name] = "unloaded"

    @invariant()
    def everything_is_where_it_should_be(self) -> None:
        for name, status in self.manager.get_all_status().items():
            assert status["location"] == self.where[name]
            assert status["idle_timeout_seconds"] == self.timeout
            if self.where[name] != "unloaded":
                assert self.models[name].on_device is (self.where[name] == "gpu")
            if self.users(name):
                assert (status["location"], status["idle_time_seconds"]) == ("gpu", 0)

    def teardown(self) -> None:
        for _, stack in self.open:
            stack.close()


Lives.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLives = Lives.TestCase


# ---- threads


def together(*functions: Callable[[], object]) -> list[object]:
    """Run functions at once; what each returned or raised, in order."""
    with ThreadPoolExecutor(len(functions)) as pool:
        begun = [pool.submit(function) for function in functions]
        return [one.exception(20) or one.result() for one in begun]


def test_a_model_is_loaded_once_for_all_who_ask() -> None:
    """Ten requests that load the model ten times: never here."""
    manager, loads, started = ModelManager(), [], threading.Barrier(8)

    def load() -> Weights:
        loads.append(1)
        threading.Event().wait(0.05)
        return Weights()

    def get() -> object:
        started.wait(10)
        return manager.get_model(load, "m")

    models = together(*[get] * 8)
    assert len(loads) == 1
    assert len(set(map(id, models))) == 1


def test_who_waited_for_a_load_that_failed_gets_its_reason() -> None:
    """And does not try the same again, one after the other."""
    manager, loads = ModelManager(), []
    loading, asked = threading.Event(), threading.Event()

    def load() -> Weights:
        loads.append(1)
        loading.set()
        assert asked.wait(10)
        threading.Event().wait(0.1)  # the others reach the manager
        raise Broken("no such file")

    def late() -> object:
        assert loading.wait(10)
        asked.set()
        return manager.get_model(load, "m")

    results = together(lambda: manager.get_model(load, "m"), late, late)
    assert [str(result) for result in results] == ["no such file"] * 3
    assert len(loads) == 1
    assert isinstance(manager.get_model(Weights, "m"), Weights)  # who comes later tries anew


def test_a_model_in_use_is_waited_for() -> None:
    """Leaving the device waits for running requests."""
    manager, using = ModelManager(), threading.Event()
    order: list[str] = []

    def use() -> None:
        with manager.use(Weights, "m") as model:
            model.in_use += 1
            using.set()
            threading.Event().wait(0.1)
            model.in_use -= 1
            order.append("used")

    def offload() -> list[str]:
        assert using.wait(10)
        moved = manager.force_offload("m")
        order.append("moved")
        return moved

    assert together(use, offload) == [None, ["m"]]
    assert order == ["used", "moved"]


def test_users_and_movers_in_a_crowd() -> None:
    """The model itself refuses to move while it is used: no order of events makes it complain."""
    manager = ModelManager()
    lock = threading.Lock()

    def use() -> None:
        for _ in range(100):
            with manager.use(Weights, "m") as model:
                with lock:
                    model.in_use += 1
                assert model.on_device
                with lock:
                    model.in_use -= 1

    def move() -> None:
        for _ in range(50):
            manager.force_offload("m")
            manager.force_release("m")

    manager.register_model("m")
    assert together(use, move, use, use, move) == [None] * 5


def test_another_model_does_not_wait() -> None:
    """The lock is not held while weights move."""
    manager, loading = ModelManager(), threading.Event()
    other = threading.Event()

    def slow() -> Weights:
        loading.set()
        assert other.wait(10)
        return Weights()

    def quick() -> str:
        assert loading.wait(10)
        manager.get_model(Weights, "quick")
        location = manager.get_all_status()["slow"]["location"]
        other.set()
        return location

    assert together(lambda: manager.get_model(slow, "slow"), quick)[1] == "unloaded"


def test_the_monitor_moves_what_is_idle_and_survives_a_failure() -> None:
    """It is a thread like any other, and off until it is asked for."""
    manager, gone = ModelManager(idle_timeout=0.01), threading.Event()

    class Stubborn(Weights):
        def to_host(self) -> None:
            raise Broken

    class Willing(Weights):
        def to_host(self) -> None:
            gone.set()

    manager.get_model(Stubborn, "stubborn")
    manager.get_model(Willing, "willing")
    assert not manager.get_all_status()["willing"]["monitor_running"]
    manager.start_monitor(0.01)
    manager.start_monitor(0.01)
    try:
        assert manager.get_all_status()["willing"]["monitor_running"]
        assert gone.wait(10)
    finally:
        manager.stop_monitor()
    status = manager.get_all_status()
    assert (status["stubborn"]["location"], status["willing"]["location"]) == ("unloaded", "cpu")
    assert not [thread for thread in threading.enumerate() if thread.name == "model-monitor"]


def test_strangers_and_nonsense() -> None:
    """A name nobody registered is an error, and so is a time that is none."""
    manager = ModelManager()
    with pytest.raises(KeyError):
        manager.force_offload("never-heard-of")
    for seconds in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="0 or more"):
            manager.update_all_timeout(seconds)
    assert manager.get_all_status() == {}


def test_a_model_has_idle_times_of_its_own() -> None:
    """What is said at registration holds until all are told another time."""
    manager = ModelManager(idle_timeout=600)
    manager.register_model("m", idle_timeout=5, unload_timeout=50)
    assert manager.get_all_status()["m"]["idle_timeout_seconds"] == 5
    manager.update_all_timeout(300)
    assert manager.get_all_status()["m"]["idle_timeout_seconds"] == 300


def test_there_is_one_manager_for_all() -> None:
    assert get_global_manager() is get_global_manager()
