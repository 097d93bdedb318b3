"""The table of models: leases, loads, turns, failures, orders, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from src.errors import ModelNotFound
from src.ipc.messages.control import AcquireModel
from src.supervisor.models import ModelTable
from tests.unit.supervisor import virtual
from tests.unit.supervisor.model_world import LOAD_S, MOVE_S, Asker, FakeEngines, make

Story = Callable[[ModelTable, FakeEngines], Awaitable[None]]


def told(story: Story, *names: str, **changes: Any) -> None:
    async def run() -> None:
        models, engines = make(*names, **changes)
        asyncio.get_running_loop().create_task(models.run(), name="rounds")
        try:
            await story(models, engines)
        finally:
            models.close()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for other in left:
                other.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    virtual.run(run())


def states(models: ModelTable) -> dict[str, str]:
    return {model.name: model.state for model in models.status()}


def test_the_first_request_loads_and_waits_for_it() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(LOAD_S / 2)
        assert (states(models), asker.answers) == ({"a": "loading"}, [])
        await asyncio.sleep(LOAD_S)
        assert asker.granted
        assert engines.starts == ["a"]
        asker.leave()

    told(story, "a")


def test_eager_and_pinned_models_are_loaded_at_start() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        await asyncio.sleep(2 * LOAD_S)
        assert states(models) == {"a": "gpu", "b": "gpu", "c": "unloaded"}
        models.move(None, "unloaded")
        await asyncio.sleep(1)
        assert states(models) == {"a": "unloaded", "b": "gpu", "c": "unloaded"}

    told(story, "a", "b", "c", lazy_load=False, pinned_models="b", max_concurrent_models=2)


def test_a_load_that_fails_is_everybodys_answer_and_not_tried_in_a_loop() -> None:
    """Who waits gets the reason; who comes soon after gets it at once; a later one, or an order, tries again."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        engines.broken.add("a")
        waiting = [Asker(models, AcquireModel("a")) for _ in range(3)]
        await asyncio.sleep(2 * LOAD_S)
        assert {asker.failure.code for asker in waiting if asker.failure} == {"model_load_failed"}
        assert (states(models), engines.where) == ({"a": "failed"}, {})
        again = Asker(models, AcquireModel("a"))
        await asyncio.sleep(0)
        assert again.failure is not None
        assert "broken" in again.failure.message
        assert engines.starts == ["a"]
        engines.broken.clear()
        forced = Asker(models, AcquireModel("a", retry=True))
        await asyncio.sleep(2 * LOAD_S)
        assert forced.granted

    told(story, "a", breaker_retry=300)


def test_a_failed_model_is_tried_again_after_a_while() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        engines.broken.add("b")
        Asker(models, AcquireModel("b"))
        await asyncio.sleep(400)
        assert engines.starts == ["b"]
        engines.broken.clear()
        asker = Asker(models, AcquireModel("b"))
        await asyncio.sleep(2 * LOAD_S)
        assert asker.granted

    told(story, "a", "b", breaker_retry=300)


def test_the_default_model_comes_back_by_itself_and_holds_no_room_meanwhile() -> None:
    """Loaded at start, it fails: the others serve in its place. Once it is mended, nobody need ask for it."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        await asyncio.sleep(2 * LOAD_S)
        assert (states(models), engines.where) == ({"a": "failed", "b": "unloaded"}, {})
        other = Asker(models, AcquireModel("b"))
        await asyncio.sleep(2 * LOAD_S)
        assert other.granted
        engines.broken.clear()
        await asyncio.sleep(400)
        assert states(models) == {"a": "failed", "b": "gpu"}, "nobody leaves for it"
        other.leave()
        models.move("b", "cpu")
        await asyncio.sleep(2 * LOAD_S)
        assert states(models) == {"a": "gpu", "b": "cpu"}

    told(story, "a", "b", breaker_retry=300, lazy_load=False, broken="a")


def test_a_broken_default_is_tried_at_the_breakers_pace() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        await asyncio.sleep(950)
        assert engines.starts == ["a"] * 4

    told(story, "a", breaker_retry=300, lazy_load=False, broken="a")


def test_pinned_models_that_do_not_fit_together() -> None:
    """Never more than MAX_CONCURRENT_MODELS; the one left out says why, also to who asks for it."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        await asyncio.sleep(3 * LOAD_S)
        assert (states(models), engines.starts) == ({"a": "failed", "b": "gpu", "c": "failed"}, ["b"])
        assert {model.name: "pinned models" in (model.detail or "") for model in models.status()}["c"]
        asker = Asker(models, AcquireModel("c"))
        await asyncio.sleep(0.1)
        assert asker.failure is not None
        assert "MAX_CONCURRENT_MODELS" in asker.failure.message

    told(story, "a", "b", "c", lazy_load=False, pinned_models="b,c")


def test_a_load_nobody_waits_for_is_given_up_when_ordered() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(LOAD_S / 2)
        asker.leave()
        await asyncio.sleep(0.01)
        models.move("a", "unloaded")
        await asyncio.sleep(0.3)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_an_order_during_a_load_waits_for_those_who_wait_for_it() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(LOAD_S / 2)
        models.move("a", "unloaded")
        await asyncio.sleep(2 * LOAD_S)
        assert (asker.granted, engines.starts) == (True, ["a"])
        asker.leave()
        await asyncio.sleep(0.5)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_an_order_to_unload_during_an_offload_is_not_lost() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        models.move("a", "cpu")
        await asyncio.sleep(MOVE_S / 2)
        assert states(models) == {"a": "offloading"}
        models.move("a", "unloaded")
        await asyncio.sleep(1)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_a_folder_that_goes_and_comes_back() -> None:
    """Gone: what is loaded still shows and can leave, who asks anew is told. Back, and larger: its new size counts."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        gone = engines.known.pop("a")
        await asyncio.sleep(1)
        assert states(models) == {"a": "gpu", "b": "unloaded"}
        models.move("a", "unloaded")
        await asyncio.sleep(1)
        assert (states(models), engines.where) == ({"b": "unloaded"}, {})
        stranger = Asker(models, AcquireModel("a"))
        await asyncio.sleep(0.01)
        assert stranger.failure is not None
        assert stranger.failure.code == "model_not_found"
        engines.known["a"] = replace(gone, size=77)
        await asyncio.sleep(1)
        assert {model.name: model.size_bytes for model in models.status()} == {"a": 77, "b": 10}

    told(story, "a", "b")


def test_a_bug_in_a_move_ends_the_rounds() -> None:
    """Else its model would be on its way for ever. The supervisor ends with them, and comes back."""

    async def run() -> None:
        models, engines = make("a")
        rounds = asyncio.get_running_loop().create_task(models.run())
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        engines.move = None  # type: ignore[assignment, method-assign]
        asker.leave()
        await asyncio.sleep(0.1)
        models.move("a", "cpu")
        with pytest.raises(TypeError):
            await asyncio.wait_for(rounds, 5)

    virtual.run(run())


def test_nothing_is_begun_while_the_service_ends() -> None:
    """Who waits for a load under way still gets in; nobody makes a new process that nobody would end."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        early = Asker(models, AcquireModel("a"))
        await asyncio.sleep(LOAD_S / 2)
        models.close()
        late = Asker(models, AcquireModel("b"))
        await asyncio.sleep(2 * LOAD_S)
        assert (early.granted, late.answers, engines.starts) == (True, [], ["a"])

    told(story, "a", "b", max_concurrent_models=2)


def test_the_others_serve_on_when_one_cannot_be_loaded() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        engines.broken.add("b")
        first = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        first.leave()
        bad = Asker(models, AcquireModel("b"))
        await asyncio.sleep(3 * LOAD_S)
        assert bad.failure is not None
        second = Asker(models, AcquireModel("a"))
        await asyncio.sleep(LOAD_S)
        assert second.granted

    told(story, "a", "b")


def test_a_stranger_is_named_the_models_there_are() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("gpt-4"))
        await asyncio.sleep(0.01)
        assert asker.failure is not None
        assert (asker.failure.code, "a, b" in asker.failure.message) == ("model_not_found", True)
        with pytest.raises(ModelNotFound):
            models.move("../etc", "cpu")

    told(story, "a", "b")


def test_two_models_asked_for_in_turn_with_room_for_one() -> None:
    """Neither starves, nothing locks, and a swap serves all who wait for its model."""

    async def client(models: ModelTable, name: str, done: list[str]) -> None:
        for _ in range(5):
            asker = Asker(models, AcquireModel(name))
            while not asker.granted:
                await asyncio.sleep(0.05)
                assert asker.failure is None
            await asyncio.sleep(0.3)
            asker.leave()
            done.append(name)
            await asyncio.sleep(0.01)

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        done: list[str] = []
        work = [client(models, name, done) for name in ("a", "b", "c") for _ in range(4)]
        await asyncio.wait_for(asyncio.gather(*work), 600)
        assert sorted(done) == sorted(["a", "b", "c"] * 20)
        swaps = sum(before != after for before, after in pairwise(done))
        assert swaps <= 12, f"{swaps} swaps for 60 requests"

    told(story, "a", "b", "c", model_turn=5)


def test_idle_models_leave_and_come_back_without_a_new_process() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        Asker(models, AcquireModel("a")).leave()
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        await asyncio.sleep(61)
        assert (states(models), engines.where) == ({"a": "cpu"}, {"a": "cpu"})
        back = Asker(models, AcquireModel("a"))
        await asyncio.sleep(1)
        assert back.granted
        assert engines.starts == ["a"]
        back.leave()
        await asyncio.sleep(700)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a", gpu_idle_timeout=60, model_unload_timeout=600)


def test_an_offloaded_engine_that_dies_is_let_go() -> None:
    """Its child would bring the model back to the device, where nobody asked for it."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        models.move("a", "cpu")
        await asyncio.sleep(1)
        engines.crash("a")
        await asyncio.sleep(2 * LOAD_S)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_an_engine_that_does_not_move_is_ended() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        engines.stuck.add("a")
        models.move("a", "cpu")
        await asyncio.sleep(1)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_a_worn_engine_is_not_kept_warm() -> None:
    """It is to be replaced anyway: its next process is a fresh one, without a second one beside it on the device."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        engines.old.add("a")
        models.move("a", "cpu")
        await asyncio.sleep(1)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_who_waits_too_long_for_room_is_told_so() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        holder = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker = Asker(models, AcquireModel("b"))
        await asyncio.sleep(31)
        assert holder.granted
        assert asker.failure is not None
        assert (asker.failure.code, "QUEUE_TIMEOUT" in asker.failure.message) == ("backend_unavailable", True)

    told(story, "a", "b", queue_timeout=30)


def test_a_background_request_waits_for_a_quiet_time() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        early = [Asker(models, AcquireModel("a", background=True)) for _ in range(2)]
        other = Asker(models, AcquireModel("a"))
        await asyncio.sleep(50)
        other.leave()
        await asyncio.sleep(99)
        assert [asker.answers for asker in early] == [[], []]
        await asyncio.sleep(3)
        assert [asker.granted for asker in early] == [True, False]
        early[0].leave()
        await asyncio.sleep(8)
        assert not early[1].granted
        models.pause_background(paused=True)
        await asyncio.sleep(100)
        assert not early[1].granted
        models.pause_background(paused=False)
        await asyncio.sleep(1)
        assert early[1].granted

    told(story, "a", background_idle_seconds=100, background_pause_seconds=10)


def test_background_requests_do_not_try_a_broken_model_one_after_another() -> None:
    """What the first found out is the others' answer, when their time comes."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        askers = [Asker(models, AcquireModel("b", background=True)) for _ in range(4)]
        await asyncio.sleep(60)
        assert {asker.failure.code for asker in askers if asker.failure} == {"model_load_failed"}
        assert all(asker.task.done() for asker in askers)
        assert engines.starts == ["b"]

    told(story, "a", "b", background_idle_seconds=10, background_pause_seconds=1, broken="b")


def test_a_model_is_known_as_soon_as_its_folder_is_there() -> None:
    """Web has seen it already."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        models.status()
        engines.known["c"] = engines.known["a"]
        asker = Asker(models, AcquireModel("c"))
        await asyncio.sleep(0.01)
        assert asker.failure is None

    told(story, "a")


def test_a_try_that_is_given_up_does_not_hide_the_last_failure() -> None:
    """Somebody orders a load and leaves: the default is still tried by itself."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        await asyncio.sleep(2 * LOAD_S)
        Asker(models, AcquireModel("a", retry=True)).leave()
        await asyncio.sleep(1)
        models.move("a", "unloaded")
        await asyncio.sleep(1)
        assert states(models) == {"a": "failed"}
        engines.broken.clear()
        await asyncio.sleep(400)
        assert states(models) == {"a": "gpu"}

    told(story, "a", breaker_retry=300, lazy_load=False, broken="a", gpu_idle_timeout=0)


def test_ocrs_background_work_needs_no_model() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel(None, background=True))
        await asyncio.sleep(11)
        assert asker.granted
        assert engines.starts == []

    told(story, "a", background_idle_seconds=10)


def test_a_reload_that_fails_is_a_failed_model() -> None:
    """It served, its process died and does not come back: the state says so, and all who ask or wait hear why."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        running = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        engines.crash("a")
        await asyncio.sleep(LOAD_S / 2)
        assert states(models) == {"a": "loading", "b": "unloaded"}
        engines.give_up("a")
        await asyncio.sleep(1)
        assert (states(models), engines.where) == ({"a": "failed", "b": "unloaded"}, {})
        assert models.status()[0].detail == "the weights are gone"
        assert running.failure is not None
        assert (running.failure.code, running.failure.message) == ("model_load_failed", "the weights are gone")
        late = Asker(models, AcquireModel("a"))
        await asyncio.sleep(0)
        assert late.failure is not None
        assert late.failure.message == "the weights are gone"
        other = Asker(models, AcquireModel("b"))
        await asyncio.sleep(2 * LOAD_S)
        assert other.granted, "a failed model holds no room"

    told(story, "a", "b", breaker_retry=300)


@pytest.mark.parametrize("mended", [True, False])
def test_an_order_to_load_is_done_when_the_process_is_there(*, mended: bool) -> None:
    """While a crashed process waits for its next try, an order starts it now, and is answered by how that ends."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        engines.back_off("a")
        assert states(models) == {"a": "loading"}
        order = Asker(models, AcquireModel("a", retry=True))
        await asyncio.sleep(LOAD_S / 2)
        assert (order.answers, engines.restarted) == ([], ["a"])
        if not mended:
            engines.broken.add("a")
        await asyncio.sleep(LOAD_S)
        assert order.granted == mended
        assert (order.failure is None) == mended
        assert states(models) == {"a": "gpu" if mended else "failed"}

    told(story, "a", breaker_retry=300)
