"""Admission and pool together, with workers that are objects: order, limits, deadlines, retries."""

from __future__ import annotations

import asyncio

import pytest

from src.errors import ModelLoadFailed, Overloaded, ShuttingDown
from src.ipc.messages.base import Priority
from src.ipc.messages.ocr import OcrRequest, OcrResult
from tests.unit.ocr.conftest import Run
from tests.unit.ocr.staff import Staff, failure, result, settled, text


def test_pages_start_in_order_of_arrival(run: Run) -> None:
    """Whoever came first is read first, on whichever worker is idle next."""

    async def story() -> None:
        staff = await Staff(ocr_workers=2).open()
        pages = staff.submit(*"abcdef")
        await settled()
        assert staff.started == ["a", "b"]
        for name in "badcfe":
            await staff.answer(name)
        assert staff.started == list("abcdef")
        assert [(await text(page)) for page in pages] == list("abcdef")
        await staff.close()

    run(story())


def test_max_concurrent_bounds_the_pages_with_workers(run: Run) -> None:
    """OCR_MAX_CONCURRENT holds even when more workers are idle."""

    async def story() -> None:
        staff = await Staff(ocr_workers=3, ocr_max_concurrent=2).open()
        staff.submit(*"abc")
        await settled()
        assert (staff.started, staff.admission.busy, staff.admission.waiting) == (["a", "b"], 2, 1)
        await staff.answer("b")
        assert staff.started == ["a", "b", "c"]
        await staff.close()

    run(story())


def test_background_pages_are_counted(run: Run) -> None:
    """Where they wait as where they are read: to the supervisor they are no other load."""

    async def story() -> None:
        staff = await Staff(ocr_workers=1, ocr_max_concurrent=1).open()
        classes: tuple[Priority, ...] = ("background", "normal", "background")
        pages = [staff.admission.submit(OcrRequest(priority, b"x"), priority) for priority in classes]
        await settled()
        assert (staff.admission.busy, staff.admission.waiting, staff.admission.background) == (1, 2, 2)
        for page in pages:
            staff.admission.abandon(page)
        await staff.close()

    run(story())


def test_a_full_queue_is_an_error_at_once(run: Run) -> None:
    """Beyond OCR_QUEUE_SIZE a page gets 429 that names the limit and says when to come back."""

    async def story() -> None:
        staff = await Staff(ocr_queue_size=2).open()
        staff.submit("first")
        await settled()
        await staff.answer("first", took_s=12.0)  # the mean moves from 2 s to 4 s
        staff.submit("running", "b", "c")
        with pytest.raises(Overloaded, match=r"Too many concurrent OCR requests: .*OCR_QUEUE_SIZE") as caught:
            staff.submit("d")
        assert caught.value.retry_after_s == 8.0
        await staff.close()

    run(story())


def test_the_queue_timeout(run: Run) -> None:
    """A page that waits longer than OCR_QUEUE_TIMEOUT gets 429 then, and leaves the line."""

    async def story() -> None:
        staff = await Staff(ocr_queue_timeout=30).open()
        staff.submit("a")
        refused = await failure(staff.submit("b")[0])
        assert (refused.code, asyncio.get_running_loop().time()) == ("overloaded", 30.0)
        assert refused.message.startswith("Too many concurrent OCR requests: ")
        assert "OCR_QUEUE_TIMEOUT (30 s)" in refused.message
        assert refused.retry_after_s is not None
        assert refused.retry_after_s >= 1
        assert staff.admission.waiting == 0
        await staff.close()

    run(story())


def test_pages_wait_while_workers_load(run: Run) -> None:
    """A page that comes before the first worker is ready is read when it is."""

    async def story() -> None:
        staff = Staff()
        page = staff.submit("early")[0]
        assert staff.pool.state == "loading"
        await staff.open()
        await staff.answer("early")
        assert isinstance(await page.outcome, OcrResult)
        await staff.close()

    run(story())


def test_the_queue_timeout_without_a_worker(run: Run) -> None:
    """When no worker becomes ready in time, the page fails with 503, not with a hang."""

    async def story() -> None:
        refused = await failure(Staff(ocr_queue_timeout=5).submit("early")[0])
        assert refused.code == "backend_unavailable"

    run(story())


def test_a_crash_costs_one_retry_before_all_others(run: Run) -> None:
    """A page whose worker died goes to the head of the line and is answered by the next worker."""

    async def story() -> None:
        staff = await Staff().open()
        pages = staff.submit("a", "b")
        await settled()
        staff.worker_of("a").die()
        await settled()
        assert staff.started == ["a", "a"]
        await staff.answer("a")
        await staff.answer("b")
        assert [type(await page.outcome) for page in pages] == [OcrResult, OcrResult]
        assert (staff.pool.restarts, staff.pool.model_loads, staff.admission.failures) == (1, 2, 0)
        await staff.close()

    run(story())


def test_a_page_that_crashes_two_workers_fails(run: Run) -> None:
    """The second death on a page is its outcome; the pages behind it are read."""

    async def story() -> None:
        staff = await Staff().open()
        poison, good = staff.submit("poison", "good")
        for _ in range(2):
            await settled()
            staff.worker_of("poison").die()
        assert (await failure(poison)).code == "ocr_crashed"
        await settled()
        await staff.answer("good")
        assert isinstance(await good.outcome, OcrResult)
        assert (staff.admission.pages, staff.admission.failures) == (1, 1)
        await staff.close()

    run(story())


def test_an_idle_worker_that_exited_costs_no_retry(run: Run) -> None:
    """A worker that never took the page (stopped, or just killed) is replaced, and the page keeps its retry."""

    async def story() -> None:
        staff = await Staff().open()
        staff.accepting = False
        page = staff.submit("a")[0]
        await settled()
        staff.accepting = True
        await asyncio.sleep(11)
        assert staff.worker_of("a") is not staff.workers[0]
        assert staff.workers[0].killed
        assert not page.crashed
        await staff.answer("a")
        assert isinstance(await page.outcome, OcrResult)
        await staff.close()

    run(story())


def test_a_page_that_no_worker_accepts_fails(run: Run) -> None:
    """Going from one deaf worker to the next does not outlast OCR_QUEUE_TIMEOUT by much."""

    async def story() -> None:
        staff = await Staff(ocr_queue_timeout=30).open()
        staff.accepting = False
        assert (await failure(staff.submit("a")[0])).code in ("backend_unavailable", "overloaded")
        assert asyncio.get_running_loop().time() <= 41
        await staff.close()

    run(story())


def test_a_page_past_its_timeout_kills_the_worker(run: Run) -> None:
    """OCR_PAGE_TIMEOUT counts from the page's start in a worker; past it the worker is killed, with no retry."""

    async def story() -> None:
        staff = await Staff(ocr_page_timeout=160, ocr_queue_timeout=1000).open()
        slow, waiting = staff.submit("slow", "waiting")
        refused = await failure(slow)
        assert (refused.code, asyncio.get_running_loop().time()) == ("deadline_exceeded", 160.0)
        assert "OCR_PAGE_TIMEOUT (160 s)" in refused.message
        assert staff.workers[0].killed
        await settled()
        assert staff.started == ["slow", "waiting"]
        await staff.answer("waiting")
        assert isinstance(await waiting.outcome, OcrResult)
        await staff.close()

    run(story())


def test_an_abandoned_page_is_dequeued(run: Run) -> None:
    """A client that leaves while it waits costs no worker anything."""

    async def story() -> None:
        staff = await Staff().open()
        _, gone, _ = staff.submit("a", "gone", "b")
        staff.admission.abandon(gone)
        assert staff.admission.waiting == 1
        await settled()
        await staff.answer("a")
        assert staff.started == ["a", "b"]
        await staff.close()

    run(story())


def test_an_abandoned_page_holds_its_worker_until_it_is_read(run: Run) -> None:
    """A worker cannot be interrupted without killing it: its place is free when it has finished, for nothing."""

    async def story() -> None:
        staff = await Staff().open()
        gone, _ = staff.submit("gone", "b")
        await settled()
        staff.admission.abandon(gone)
        await settled()
        assert staff.started == ["gone"]
        await staff.answer("gone")
        assert staff.started == ["gone", "b"]
        await staff.close()

    run(story())


def test_an_abandoned_page_is_not_retried(run: Run) -> None:
    """Nobody wants it, so a crash on it costs no second worker."""

    async def story() -> None:
        staff = await Staff().open()
        gone = staff.submit("gone")[0]
        await settled()
        staff.admission.abandon(gone)
        staff.worker_of("gone").die()
        await settled()
        assert staff.started == ["gone"]
        await staff.close()

    run(story())


def test_the_queue_time_is_in_the_result(run: Run) -> None:
    """`queue_s` is measured where the page waited: in the broker."""

    async def story() -> None:
        staff = await Staff().open()
        _, second = staff.submit("a", "b")
        await asyncio.sleep(3)
        await staff.answer("a")
        await staff.answer("b")
        outcome = second.outcome.result()
        assert isinstance(outcome, OcrResult)
        assert outcome.timings.queue_s == 3.0
        await staff.close()

    run(story())


def test_close_gives_every_page_an_outcome(run: Run) -> None:
    """Pages that wait and pages that are being read end with `server_shutdown`; new ones are refused."""

    async def story() -> None:
        staff = await Staff().open()
        pages = staff.submit("reading", "waiting")
        await settled()
        await staff.close()
        assert [(await failure(page)).code for page in pages] == ["server_shutdown", "server_shutdown"]
        assert all(worker.ended for worker in staff.workers)
        with pytest.raises(ShuttingDown):
            staff.submit("late")

    run(story())


def test_a_recognizer_that_cannot_load_fails_the_pages(run: Run) -> None:
    """Waiting pages get the reason as soon as the pool has given up, later ones at once."""

    async def story() -> None:
        staff = Staff()
        staff.first_words = None
        page = staff.submit("early")[0]
        await staff.open()
        assert (await failure(page)).code == "model_load_failed"
        assert asyncio.get_running_loop().time() < 5
        with pytest.raises(ModelLoadFailed):
            staff.submit("late")
        await staff.close()

    run(story())


def test_an_unexpected_reply_counts_as_a_crash(run: Run) -> None:
    """A worker that talks nonsense is killed, and the page read again."""

    async def story() -> None:
        staff = await Staff().open()
        page = staff.submit("a")[0]
        await settled()
        staff.worker_of("a").say(OcrRequest("what?", b""))
        await settled()
        assert staff.workers[0].killed
        staff.worker_of("a").say(result("a"))
        assert isinstance(await page.outcome, OcrResult)
        await staff.close()

    run(story())


def test_the_retry_after_a_crash_uses_the_fallback(run: Run) -> None:
    """What a model died on is not given to it again."""

    async def story() -> None:
        staff = await Staff().open()
        staff.submit("a")
        await settled()
        staff.worker_of("a").die()
        await settled()
        asked = [message.fallback for message in staff.messages if isinstance(message, OcrRequest)]
        assert asked == [False, True]
        await staff.close()

    run(story())


def test_priority_decides_the_order(run: Run) -> None:
    """A high page goes before a normal one that came a moment earlier, and both before a low one."""

    async def story() -> None:
        staff = await Staff().open()
        staff.submit("reading")
        await settled()
        classes: tuple[Priority, ...] = ("low", "normal", "high")
        for priority in classes:
            staff.admission.submit(OcrRequest(priority, b"image"), priority)
        for name in ("reading", "high", "normal", "low"):
            await staff.answer(name)
        assert staff.started == ["reading", "high", "normal", "low"]
        await staff.close()

    run(story())
