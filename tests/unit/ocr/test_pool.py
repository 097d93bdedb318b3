"""The pool alone: states, replacement and back-off, with workers that are objects."""

from __future__ import annotations

import asyncio

from src.ipc.messages.base import Failed
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import READY, Staff, settled

CANNOT_LOAD = Failed("model_load_failed", "The recognizer 'rapidocr' cannot be loaded (ImportError).")


def test_ready_means_every_worker_has_loaded_once(run: Run) -> None:
    """Loading until the last worker reported; after that a replacement does not take readiness away."""

    async def story() -> None:
        staff = Staff(ocr_workers=2)
        assert staff.pool.state == "loading"
        await staff.open()
        assert (staff.pool.state, staff.pool.loaded, staff.pool.model_loads) == ("ready", 2, 2)
        assert staff.pool.engine == "fake"
        staff.first_words = None
        staff.workers[0].die()
        await settled()
        assert (staff.pool.state, staff.pool.loaded) == ("ready", 1)
        await staff.close()

    run(story())


def test_an_idle_worker_that_dies_is_replaced(run: Run) -> None:
    """The place of a dead worker is filled without a page asking for it."""

    async def story() -> None:
        staff = await Staff().open()
        staff.workers[0].die()
        await asyncio.sleep(1)
        assert (staff.pool.loaded, staff.pool.restarts, staff.workers[0].ended) == (1, 1, True)
        await staff.close()

    run(story())


def test_failed_starts_back_off(run: Run) -> None:
    """Starts that fail come at ever longer intervals, up to a ceiling; the state is failed, with the reason."""

    async def story() -> None:
        staff = Staff()
        staff.first_words = CANNOT_LOAD
        await staff.open()
        await asyncio.sleep(600)
        assert (staff.pool.state, staff.pool.detail) == ("failed", CANNOT_LOAD.message)
        assert 20 <= len(staff.workers) <= 30
        assert all(worker.ended for worker in staff.workers[:-1])
        await staff.close()

    run(story())


def test_a_failed_pool_retries(run: Run) -> None:
    """It goes on trying, and is ready again when a worker loads."""

    async def story() -> None:
        staff = Staff()
        staff.first_words = CANNOT_LOAD
        await staff.open()
        await asyncio.sleep(60)
        staff.first_words = READY
        await asyncio.sleep(60)
        assert (staff.pool.state, staff.pool.detail, staff.pool.loaded) == ("ready", None, 1)
        await staff.close()

    run(story())


def test_one_failing_slot_does_not_block_the_others(run: Run) -> None:
    """When one worker loads and another never does, the pool serves, and says what is wrong."""

    async def story() -> None:
        staff = await Staff(ocr_workers=2).open()
        staff.first_words = CANNOT_LOAD
        staff.workers[0].die()
        await asyncio.sleep(60)
        assert (staff.pool.state, staff.pool.loaded, staff.pool.detail) == ("ready", 1, CANNOT_LOAD.message)
        await staff.close()

    run(story())


def test_a_silent_worker_is_killed(run: Run) -> None:
    """Loading has a deadline too."""

    async def story() -> None:
        staff = Staff()
        staff.mute = True
        await staff.open()
        await asyncio.sleep(125)
        assert len(staff.workers) == 2
        assert staff.workers[0].ended
        await staff.close()

    run(story())


def test_workers_that_crash_on_pages_restart_without_backoff(run: Run) -> None:
    """Back-off is for bad starts; a page that kills must not slow down the others."""

    async def story() -> None:
        staff = await Staff().open()
        for name in "abcdef":
            staff.submit(name)
            await settled()
            staff.worker_of(name).die()
            await settled()
            await staff.answer(name)
        assert asyncio.get_running_loop().time() == 0.0
        await staff.close()

    run(story())
