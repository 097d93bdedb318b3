"""The way of a page to a worker: one bounded line by class and arrival, and exactly one outcome for each page.

Belongs to the broker's event loop. At most OCR_MAX_CONCURRENT pages are with the workers; a page whose worker died gets
one more, before all others; nobody waits longer than OCR_QUEUE_TIMEOUT.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import msgspec
from loguru import logger

from src.errors import (
    BackendUnavailable,
    InternalError,
    ModelLoadFailed,
    OcrCrashed,
    Overloaded,
    ServiceError,
    ShuttingDown,
)
from src.ipc.messages.base import Failed, Priority
from src.ipc.messages.ocr import OcrContents, OcrInspect, OcrRequest, OcrResult
from src.ocr.pool import Pool, Slot, WorkerCrashed, WorkerGone
from src.ocr.queue import PageQueue
from src.settings import OcrSettings

_FIRST_GUESS_S = 2.0
_NEW_SHARE = 0.2  # of the newest page in the moving average
_RETRY_FAILED_S = 30.0
_STOPPING = "The service is stopping."


@dataclass(eq=False)
class QueuedPage:
    """One request on its way. Times are the event loop's. `crashed`: a worker died on it."""

    request: OcrRequest | OcrInspect
    outcome: asyncio.Future[OcrResult | OcrContents | Failed]
    arrived: float
    wait_until: float
    priority: Priority = "normal"
    expiry: asyncio.TimerHandle | None = None
    queue_s: float = 0.0
    crashed: bool = False

    def settle(self, outcome: OcrResult | OcrContents | Failed) -> None:
        """The first outcome counts; an abandoned page has none."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Admission:
    """Who is next. `pages` and `failures` count what workers could and could not read."""

    def __init__(self, settings: OcrSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._waiting: PageQueue[QueuedPage] = PageQueue()
        self._reading: dict[asyncio.Task[None], QueuedPage] = {}
        self._mean_page_s = _FIRST_GUESS_S
        self._closed = False
        self.pages = 0
        self.failures = 0
        self.fallbacks = 0

    @property
    def width(self) -> int:
        """Pages of one document that keep all workers busy, and one more at hand."""
        return min(self._settings.ocr_max_concurrent, self._pool.loaded + 1)

    @property
    def ahead(self) -> int:
        """How many more pages of a document will come to the worker that has one of them."""
        return self._settings.ocr_batch - 1 if self._pool.loaded == 1 else 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._reading)

    @property
    def background(self) -> int:
        """Of those that wait or are read."""
        return sum(page.priority == "background" for page in (*self._waiting, *self._reading.values()))

    # ---- a page's way

    def submit(
        self, request: OcrRequest | OcrInspect, priority: Priority = "normal", wait_s: float | None = None
    ) -> QueuedPage:
        """Put a page at the end of its class; its `outcome` will complete. `wait_s`: OCR_QUEUE_TIMEOUT, if not given.

        Raises:
            ServiceError: when the line is full, the recognizer cannot be loaded, or the broker is stopping.
        """
        self._check_open()
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait_until = now + (self._settings.ocr_queue_timeout if wait_s is None else wait_s)
        page = QueuedPage(request, loop.create_future(), now, wait_until, priority)
        self._waiting.add(page)
        self._limit_wait(page)
        self.pump()
        return page

    def abandon(self, page: QueuedPage) -> None:
        """Nobody wants the page any more: leave the line; a worker that reads it finishes for nothing."""
        page.outcome.cancel()
        self._leave_line(page)

    def pump(self) -> None:
        """Start what can be started. Called whenever a page came or went, or a worker did."""
        if self._pool.state == "failed":
            self._fail_all(self._load_failed())
        while self._waiting and len(self._reading) < self._settings.ocr_max_concurrent:
            slot = self._pool.take()
            if slot is None:
                break
            self._begin(self._waiting.first(), slot)

    async def close(self) -> None:
        """Give every page its outcome and take no new ones."""
        self._closed = True
        self._fail_all(ShuttingDown(_STOPPING))
        for task, page in self._reading.items():
            page.settle(Failed.of(ShuttingDown(_STOPPING)))
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    # ---- waiting

    def _check_open(self) -> None:
        if self._closed:
            raise ShuttingDown(_STOPPING)
        if self._pool.state == "failed":
            raise self._load_failed()
        if self.waiting >= self._settings.ocr_queue_size:
            raise self._overloaded(f"{self.waiting} pages are waiting (OCR_QUEUE_SIZE)")

    def _limit_wait(self, page: QueuedPage) -> None:
        page.expiry = asyncio.get_running_loop().call_at(page.wait_until, self._expire, page)

    def _leave_line(self, page: QueuedPage) -> None:
        if page.expiry is not None:
            page.expiry.cancel()
        self._waiting.remove(page)

    def _expire(self, page: QueuedPage) -> None:
        self._leave_line(page)
        page.settle(Failed.of(self._waited_too_long(page)))

    def _waited_too_long(self, page: QueuedPage) -> ServiceError:
        limit = f"OCR_QUEUE_TIMEOUT ({self._settings.ocr_queue_timeout:g} s)"
        if page.crashed:
            return OcrCrashed(f"The OCR worker died on this page, and no other was free within {limit}.")
        if not self._pool.loaded:
            text = f"No OCR worker was ready within {limit}."
            return BackendUnavailable(text, retry_after_s=self._retry_after_s())
        return self._overloaded(f"the page waited longer than {limit}")

    def _overloaded(self, why: str) -> Overloaded:
        return Overloaded(f"Too many concurrent OCR requests: {why}.", retry_after_s=self._retry_after_s())

    def _load_failed(self) -> ModelLoadFailed:
        return ModelLoadFailed(self._pool.detail or "No OCR worker starts.", retry_after_s=_RETRY_FAILED_S)

    def _retry_after_s(self) -> float:
        """How long the pages that wait will take, by the mean of those that were read."""
        return float(max(1, math.ceil(self.waiting * self._mean_page_s / max(1, self._pool.loaded))))

    def _fail_all(self, error: ServiceError) -> None:
        while self._waiting:
            page = self._waiting.first()
            self._leave_line(page)
            page.settle(Failed.of(error))

    # ---- being read

    def _begin(self, page: QueuedPage, slot: Slot) -> None:
        self._leave_line(page)
        page.queue_s = asyncio.get_running_loop().time() - page.arrived
        task = asyncio.create_task(self._read(page, slot))
        self._reading[task] = page
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._reading[task]
        self.pump()

    async def _read(self, page: QueuedPage, slot: Slot) -> None:
        try:
            self._count(await self._pool.read(slot, page.request), page)
        except WorkerCrashed:
            self._crashed(page)
        except WorkerGone as error:
            self._again(page, error)
        except ServiceError as error:
            self._fail(page, error)
        except Exception:  # noqa: BLE001  # process boundary: whatever happens to a page, it gets its outcome
            logger.exception("a page was lost")
            self._fail(page, InternalError())

    def _count(self, answer: OcrResult | OcrContents | Failed, page: QueuedPage) -> None:
        if isinstance(answer, Failed):
            self.failures += 1
            page.settle(answer)
            return
        if isinstance(answer, OcrContents):
            page.settle(answer)
            return
        self.pages += 1
        self.fallbacks += answer.fallback
        took_s = answer.timings.decode_s + answer.timings.recognize_s
        self._mean_page_s += _NEW_SHARE * (took_s - self._mean_page_s)
        timings = msgspec.structs.replace(answer.timings, queue_s=page.queue_s)
        page.settle(msgspec.structs.replace(answer, timings=timings))

    def _crashed(self, page: QueuedPage) -> None:
        """One more try; a page that kills twice fails alone."""
        if page.crashed:
            self._fail(page, OcrCrashed("The OCR worker died on this page, and another on its retry."))
            return
        page.crashed = True
        if isinstance(page.request, OcrRequest):
            page.request = msgspec.structs.replace(page.request, fallback=True)
        page.wait_until = asyncio.get_running_loop().time() + self._settings.ocr_queue_timeout
        self._again(page, "its worker died on it")

    def _again(self, page: QueuedPage, why: object) -> None:
        """Back to the head of the line, if anyone still wants it."""
        if page.outcome.done() or self._closed:
            return
        logger.warning("a page goes to another worker: {}", why)
        self._waiting.put_back(page)
        self._limit_wait(page)

    def _fail(self, page: QueuedPage, error: ServiceError) -> None:
        self.failures += 1
        page.settle(Failed.of(error))
