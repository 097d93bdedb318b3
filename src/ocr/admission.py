"""Admission of pages to workers: one bounded priority queue, and exactly one outcome per page.

Runs in the broker's event loop. At most OCR_MAX_CONCURRENT pages are being read; a page whose worker crashed is retried
once, before all others; no page waits longer than OCR_QUEUE_TIMEOUT.
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
from src.fairness import share
from src.ipc.messages.base import Failed, Priority
from src.ipc.messages.ocr import OcrContents, OcrInspect, OcrRequest, OcrResult
from src.ocr.pool import Pool, Slot, WorkerCrashed, WorkerGone
from src.ocr.queue import PageQueue
from src.settings import OcrSettings

_FIRST_GUESS_S = 2.0
_NEW_SHARE = 0.2  # weight of the newest page in the moving average
_RETRY_FAILED_S = 30.0
_STOPPING = "The service is stopping."


@dataclass(eq=False)
class QueuedPage:
    """One queued request. Times are the event loop's. `crashed`: a worker crashed while reading it."""

    request: OcrRequest | OcrInspect
    outcome: asyncio.Future[OcrResult | OcrContents | Failed]
    arrived: float
    wait_until: float
    priority: Priority = "normal"
    owner: str = ""
    expiry: asyncio.TimerHandle | None = None
    queue_s: float = 0.0
    crashed: bool = False

    def settle(self, outcome: OcrResult | OcrContents | Failed) -> None:
        """Set the outcome, unless there is one or the page was abandoned."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Admission:
    """Decides which page is read next. `pages` and `failures` count pages read and failed."""

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
        """How many pages of one document keep all workers busy, plus one queued."""
        return min(self._settings.ocr_max_concurrent, self._pool.loaded + 1)

    @property
    def read_ahead(self) -> int:
        """How many of the next pages a worker may read in the same batch."""
        return self._settings.ocr_batch - 1 if self._pool.loaded == 1 else 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._reading)

    @property
    def background(self) -> int:
        """Background pages, waiting or being read."""
        return sum(page.priority == "background" for page in (*self._waiting, *self._reading.values()))

    # ---- submitting

    def submit(
        self,
        request: OcrRequest | OcrInspect,
        priority: Priority = "normal",
        wait_s: float | None = None,
        owner: str = "",
    ) -> QueuedPage:
        """Enqueue a page in its priority class; its `outcome` will complete. `wait_s`: default OCR_QUEUE_TIMEOUT.
        `owner`: the key it is read for; keys take turns.

        Raises:
            ServiceError: the queue is full, the recognizer failed to load, or the broker is stopping.
        """
        self._check_open(owner)
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait_until = now + (self._settings.ocr_queue_timeout if wait_s is None else wait_s)
        page = QueuedPage(request, loop.create_future(), now, wait_until, priority, owner)
        self._waiting.add(page)
        self._limit_wait(page)
        self.pump()
        return page

    def abandon(self, page: QueuedPage) -> None:
        """The client is gone: dequeue the page; a worker that is reading it finishes, its result is dropped."""
        page.outcome.cancel()
        self._dequeue(page)

    def pump(self) -> None:
        """Hand waiting pages to idle workers. Called whenever a page or a worker comes or goes."""
        if self._pool.state == "failed":
            self._fail_all(self._load_failed())
        while self._waiting and len(self._reading) < self._settings.ocr_max_concurrent:
            slot = self._pool.take()
            if slot is None:
                break
            self._start(self._waiting.pop(), slot)

    async def close(self) -> None:
        """Fail every page and accept no new ones."""
        self._closed = True
        self._fail_all(ShuttingDown(_STOPPING))
        for task, page in self._reading.items():
            page.settle(Failed.of(ShuttingDown(_STOPPING)))
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    # ---- waiting

    def _check_open(self, owner: str) -> None:
        if self._closed:
            raise ShuttingDown(_STOPPING)
        if self._pool.state == "failed":
            raise self._load_failed()
        if self.waiting >= self._settings.ocr_queue_size:
            raise self._overloaded(f"{self.waiting} pages are waiting (OCR_QUEUE_SIZE)")
        own = self._waiting.held(owner)
        if own >= share(self._settings.ocr_queue_size, owner):
            raise self._overloaded(f"{own} pages of this key are waiting; the rest of OCR_QUEUE_SIZE is for others")

    def _limit_wait(self, page: QueuedPage) -> None:
        page.expiry = asyncio.get_running_loop().call_at(page.wait_until, self._expire, page)

    def _dequeue(self, page: QueuedPage) -> None:
        if page.expiry is not None:
            page.expiry.cancel()
        self._waiting.remove(page)

    def _expire(self, page: QueuedPage) -> None:
        self._dequeue(page)
        page.settle(Failed.of(self._queue_timeout_error(page)))

    def _queue_timeout_error(self, page: QueuedPage) -> ServiceError:
        limit = f"OCR_QUEUE_TIMEOUT ({self._settings.ocr_queue_timeout:g} s)"
        if page.crashed:
            return OcrCrashed(f"The OCR worker crashed on this page, and no other worker was free within {limit}.")
        if not self._pool.loaded:
            text = f"No OCR worker was ready within {limit}."
            return BackendUnavailable(text, retry_after_s=self._retry_after_s())
        return self._overloaded(f"the page waited longer than {limit}")

    def _overloaded(self, why: str) -> Overloaded:
        return Overloaded(f"Too many concurrent OCR requests: {why}.", retry_after_s=self._retry_after_s())

    def _load_failed(self) -> ModelLoadFailed:
        return ModelLoadFailed(self._pool.detail or "No OCR worker could start.", retry_after_s=_RETRY_FAILED_S)

    def _retry_after_s(self) -> float:
        """Estimated time to read all waiting pages, from the mean page time."""
        return float(max(1, math.ceil(self.waiting * self._mean_page_s / max(1, self._pool.loaded))))

    def _fail_all(self, error: ServiceError) -> None:
        while self._waiting:
            page = self._waiting.pop()
            self._dequeue(page)
            page.settle(Failed.of(error))

    # ---- reading

    def _start(self, page: QueuedPage, slot: Slot) -> None:
        self._dequeue(page)
        page.queue_s = asyncio.get_running_loop().time() - page.arrived
        task = asyncio.create_task(self._read(page, slot))
        self._reading[task] = page
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        del self._reading[task]
        self.pump()

    async def _read(self, page: QueuedPage, slot: Slot) -> None:
        try:
            self._count(await self._pool.read(slot, page.request), page)
        except WorkerCrashed:
            self._crashed(page)
        except WorkerGone as error:
            self._retry(page, error)
        except ServiceError as error:
            self._fail(page, error)
        except Exception:  # noqa: BLE001  # process boundary: every page gets an outcome
            logger.exception("reading a page failed unexpectedly")
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
        """Retry once on another worker; after a second crash the page fails."""
        if page.crashed:
            self._fail(page, OcrCrashed("The OCR worker crashed on this page, and another one on its retry."))
            return
        page.crashed = True
        if isinstance(page.request, OcrRequest):
            page.request = msgspec.structs.replace(page.request, fallback=True)
        page.wait_until = asyncio.get_running_loop().time() + self._settings.ocr_queue_timeout
        self._retry(page, "its worker crashed")

    def _retry(self, page: QueuedPage, why: object) -> None:
        """Requeue at the head, unless the page was abandoned."""
        if page.outcome.done() or self._closed:
            return
        logger.warning("retrying a page on another worker: {}", why)
        self._waiting.requeue(page)
        self._limit_wait(page)

    def _fail(self, page: QueuedPage, error: ServiceError) -> None:
        self.failures += 1
        page.settle(Failed.of(error))
