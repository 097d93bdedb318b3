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


def test_the_first_request_loads_the_model() -> None:
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


def test_a_failed_load_fails_all_waiting_requests_and_is_not_retried_in_a_loop() -> None:
    """Waiting requests get the reason, soon after at once; a later request, or an explicit load, retries."""

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


def test_a_failed_model_is_retried_after_breaker_retry() -> None:
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


def test_the_default_model_is_reloaded_and_occupies_no_slot_meanwhile() -> None:
    """Its load at start fails: other models serve. Once its files are repaired, it is loaded without a request."""

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


def test_a_broken_default_model_is_retried_every_breaker_retry() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        await asyncio.sleep(950)
        assert engines.starts == ["a"] * 4

    told(story, "a", breaker_retry=300, lazy_load=False, broken="a")


def test_pinned_models_that_do_not_fit_together() -> None:
    """Never more than MAX_CONCURRENT_MODELS; the one that does not fit reports why, also to its requests."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        await asyncio.sleep(3 * LOAD_S)
        assert (states(models), engines.starts) == ({"a": "failed", "b": "gpu", "c": "failed"}, ["b"])
        assert {model.name: "pinned models" in (model.detail or "") for model in models.status()}["c"]
        asker = Asker(models, AcquireModel("c"))
        await asyncio.sleep(0.1)
        assert asker.failure is not None
        assert "MAX_CONCURRENT_MODELS" in asker.failure.message

    told(story, "a", "b", "c", lazy_load=False, pinned_models="b,c")


def test_an_unload_cancels_a_load_without_waiting_requests() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(LOAD_S / 2)
        asker.leave()
        await asyncio.sleep(0.01)
        models.move("a", "unloaded")
        await asyncio.sleep(0.3)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_an_unload_during_a_load_runs_after_the_waiting_requests() -> None:
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


def test_an_unload_during_an_offload_is_not_lost() -> None:
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


def test_a_removed_and_restored_folder() -> None:
    """Removed: a loaded model is still listed, new requests fail. Restored and larger: its new size counts."""

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


def test_an_unexpected_error_in_a_move_stops_the_reconciler() -> None:
    """Its model would stay in transit for ever. The supervisor exits and is restarted."""

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


def test_no_load_starts_during_shutdown() -> None:
    """Requests waiting for a load in progress are admitted; no new process is started."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        early = Asker(models, AcquireModel("a"))
        await asyncio.sleep(LOAD_S / 2)
        models.close()
        late = Asker(models, AcquireModel("b"))
        await asyncio.sleep(2 * LOAD_S)
        assert (early.granted, late.answers, engines.starts) == (True, [], ["a"])

    told(story, "a", "b", max_concurrent_models=2)


def test_other_models_keep_serving_when_one_fails_to_load() -> None:
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


def test_an_unknown_model_lists_the_available_ones() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("gpt-4"))
        await asyncio.sleep(0.01)
        assert asker.failure is not None
        assert (asker.failure.code, "a, b" in asker.failure.message) == ("model_not_found", True)
        with pytest.raises(ModelNotFound):
            models.move("../etc", "cpu")

    told(story, "a", "b")


def test_two_models_take_turns_on_one_slot() -> None:
    """Neither starves, nothing deadlocks, and a swap admits all requests waiting for its model."""

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


def test_idle_models_are_offloaded_and_restored_without_a_new_process() -> None:
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


def test_a_crashed_offloaded_engine_is_unloaded() -> None:
    """A restart would load it on the device without a request."""

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


def test_an_engine_that_fails_to_move_is_stopped() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        engines.immovable.add("a")
        models.move("a", "cpu")
        await asyncio.sleep(1)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_an_engine_being_recycled_is_unloaded_instead_of_offloaded() -> None:
    """Its next process is a fresh one, without a standby beside it on the device."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker.leave()
        engines.recycling.add("a")
        models.move("a", "cpu")
        await asyncio.sleep(1)
        assert (states(models), engines.where) == ({"a": "unloaded"}, {})

    told(story, "a")


def test_a_lease_times_out() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        holder = Asker(models, AcquireModel("a"))
        await asyncio.sleep(2 * LOAD_S)
        asker = Asker(models, AcquireModel("b"))
        await asyncio.sleep(31)
        assert holder.granted
        assert asker.failure is not None
        assert (asker.failure.code, "QUEUE_TIMEOUT" in asker.failure.message) == ("backend_unavailable", True)

    told(story, "a", "b", queue_timeout=30)


def test_a_background_request_waits_until_the_server_is_idle() -> None:
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

    told(story, "a", background_idle_seconds=100, background_pause_seconds=10, background_max_seqs=1)


def test_background_requests_share_a_load_failure() -> None:
    """The failure of the first one is the answer to the next ones."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        askers = [Asker(models, AcquireModel("b", background=True)) for _ in range(4)]
        await asyncio.sleep(60)
        assert {asker.failure.code for asker in askers if asker.failure} == {"model_load_failed"}
        assert all(asker.task.done() for asker in askers)
        assert engines.starts == ["b"]

    told(story, "a", "b", background_idle_seconds=10, background_pause_seconds=1, broken="b")


def test_a_new_folder_is_found_at_once() -> None:
    """Web has seen it already."""

    async def story(models: ModelTable, engines: FakeEngines) -> None:
        models.status()
        engines.known["c"] = engines.known["a"]
        asker = Asker(models, AcquireModel("c"))
        await asyncio.sleep(0.01)
        assert asker.failure is None

    told(story, "a")


def test_a_cancelled_load_keeps_the_last_failure() -> None:
    """A client requests a load and disconnects: the default model is still retried."""

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


def test_an_ocr_background_lease_needs_no_model() -> None:
    async def story(models: ModelTable, engines: FakeEngines) -> None:
        asker = Asker(models, AcquireModel(None, background=True))
        await asyncio.sleep(11)
        assert asker.granted
        assert engines.starts == []

    told(story, "a", background_idle_seconds=10)


def test_a_reload_that_fails_is_a_failed_model() -> None:
    """A model whose process crashed and does not restart: the state and all its requests report why."""

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
def test_a_load_request_completes_when_the_process_is_ready(*, mended: bool) -> None:
    """While a crashed process is in backoff, a load request starts it now and returns its result."""

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
