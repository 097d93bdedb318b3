"""Keeps workers alive: starts them, replaces the dead and the worn, ends those that take too long over a page.

Belongs to the broker's event loop. It knows pages one at a time; who is next is `admission`'s to say, how many workers
there are `sizing`'s. A worker is anything that fits `Worker`: a process in the service, an object in the tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from loguru import logger

from src.errors import DeadlineExceeded
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.ocr import OcrContents, OcrGivenUp, OcrInspect, OcrRequest, OcrResult
from src.ipc.messages.status import BackendState, Health
from src.ipc.messages.wire import AnyMessage

LOAD_TIMEOUT_S = 120.0
ACCEPT_TIMEOUT_S = 10.0
MAX_START_FAILURES = 3
_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 30.0
_STEADY_S = 30.0  # who lived this long, or died on a page, had started well


class WorkerGone(Exception):
    """The worker died, or had to be killed; if it had a page, it had not begun it."""


class WorkerCrashed(WorkerGone):
    """The worker died on the page it was reading."""


class Worker(Protocol):
    """A worker as the pool drives it. `gone` completes when it has died."""

    gone: asyncio.Future[None]

    @property
    def pid(self) -> int | None: ...
    @property
    def alive(self) -> bool: ...
    def memory_bytes(self) -> int: ...
    async def start(self) -> None: ...
    def send(self, message: AnyMessage, /) -> None: ...
    async def receive(self) -> AnyMessage | None: ...
    def kill(self) -> None: ...
    async def end(self) -> None: ...


@dataclass(frozen=True)
class WorkerRecycling:
    """When a worker is replaced: after so many pages, or when it holds so much more than when it was new."""

    pages: float = inf
    growth_bytes: float = inf


@dataclass(eq=False)
class Slot:
    """The place of one worker. `failures`: starts in a row that led to nothing. `pages`: read by this worker."""

    worker: Worker | None = None
    task: asyncio.Task[None] | None = None
    pages: int = 0
    new_bytes: int = 0
    reading: bool = False
    starts: int = 0
    loads: int = 0
    failures: int = 0

    @property
    def idle(self) -> bool:
        return self.worker is not None and not self.reading and self.worker.alive

    @property
    def given_up(self) -> bool:
        return self.failures >= MAX_START_FAILURES


class Pool:
    """The workers and their places. `on_change` is called when a worker is loaded or lost."""

    def __init__(
        self, size: int, page_timeout_s: float, new_worker: Callable[[], Worker], wear: WorkerRecycling | None = None
    ) -> None:
        self._page_timeout_s = page_timeout_s
        self._new_worker = new_worker
        self._wear = wear or WorkerRecycling()
        self._slots = [Slot() for _ in range(size)]
        self._started = False
        self._past_starts = 0  # of places that are no more
        self._past_loads = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._on_change: Callable[[], None] = lambda: None
        self.engine: str | None = None
        self.detail: str | None = None
        self.recycled = 0

    # ---- what it is like

    @property
    def state(self) -> BackendState:
        """Loading until every worker has loaded once; one that cannot start does not hold up the others for ever."""
        if not self.loaded and all(slot.given_up for slot in self._slots):
            return "failed"
        return "ready" if all(slot.loads or slot.given_up for slot in self._slots) else "loading"

    @property
    def loaded(self) -> int:
        """Workers with a loaded recognizer."""
        return sum(slot.worker is not None for slot in self._slots)

    @property
    def model_loads(self) -> int:
        return self._past_loads + sum(slot.loads for slot in self._slots)

    @property
    def restarts(self) -> int:
        """Workers that were started because another had died."""
        return self._past_starts + sum(max(0, slot.starts - 1) for slot in self._slots) - self.recycled

    @property
    def size(self) -> int:
        """Places, whether their workers are loaded or not."""
        return len(self._slots)

    # ---- a page

    def take(self) -> Slot | None:
        """An idle worker's place, to be given to `read` at once."""
        slot = next((slot for slot in self._slots if slot.idle), None)
        if slot is not None:
            slot.reading = True
        return slot

    async def read(self, slot: Slot, request: OcrRequest | OcrInspect) -> OcrResult | OcrContents | Failed:
        """Have the worker of a taken place read a page.

        Raises:
            WorkerGone: the page was not begun.
            WorkerCrashed: the worker died on it.
            DeadlineExceeded: the worker was killed because the page took longer than OCR_PAGE_TIMEOUT.
        """
        worker = slot.worker
        if worker is None:
            raise WorkerGone("it died before it was given the page")
        await _hand_over(worker, request)
        answer = await self._answer(worker)
        if isinstance(answer, OcrGivenUp):
            worker.kill()  # it ends by itself; its place stays taken until the next one is there
            return answer.outcome
        if slot.worker is worker:
            self._put_back(slot, worker)
        return answer

    def _put_back(self, slot: Slot, worker: Worker) -> None:
        """Idle again, or replaced: then its place stays taken until the next worker is there."""
        slot.pages += 1
        if slot.pages < self._wear.pages and worker.memory_bytes() - slot.new_bytes < self._wear.growth_bytes:
            slot.reading = False
            return
        logger.info("worker {} is replaced after {} pages", worker.pid, slot.pages)
        self.recycled += 1
        worker.kill()

    async def _answer(self, worker: Worker) -> OcrResult | OcrContents | OcrGivenUp | Failed:
        try:
            answer = await _next(worker, self._page_timeout_s)
        except TimeoutError:
            worker.kill()
            text = f"The page took longer than OCR_PAGE_TIMEOUT ({self._page_timeout_s:g} s)."
            raise DeadlineExceeded(text) from None
        if not isinstance(answer, OcrResult | OcrContents | OcrGivenUp | Failed):
            worker.kill()
            raise WorkerCrashed("it died on the page")
        return answer

    # ---- a worker's life

    def start(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._started = True
        for slot in self._slots:
            slot.task = asyncio.create_task(self._keep(slot))

    def grow(self) -> None:
        """One more place."""
        slot = Slot()
        self._slots.append(slot)
        if self._started:
            slot.task = asyncio.create_task(self._keep(slot))

    def shrink(self) -> None:
        """One place less, if a worker is idle."""
        slot = next((slot for slot in reversed(self._slots) if slot.idle), None)
        if slot is None or slot.task is None:
            return
        self._slots.remove(slot)
        self._past_starts += max(0, slot.starts - 1)
        self._past_loads += slot.loads
        slot.reading = True  # nobody may take it any more
        slot.task.cancel()
        self._closing.add(slot.task)
        slot.task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Kill all workers and wait until they are reaped."""
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._closing, return_exceptions=True)

    async def _keep(self, slot: Slot) -> None:
        while True:
            started_well = await self._live(slot)
            slot.failures = 0 if started_well else slot.failures + 1
            self._on_change()
            if slot.failures:
                pause_s = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** (slot.failures - 1))
                logger.warning("worker start {} in a row failed; the next is in {:.1f} s", slot.failures, pause_s)
                await asyncio.sleep(pause_s)

    async def _live(self, slot: Slot) -> bool:
        """One worker from start to end; whether it had started well."""
        clock = asyncio.get_running_loop().time
        worker = self._new_worker()
        slot.starts += 1
        slot.reading = False
        try:
            self.engine = await _load(worker)
            loaded_at = clock()
            self._add(slot, worker)
            await worker.gone
        except (OSError, RuntimeError, WorkerGone) as error:
            self.detail = str(error)
            logger.error("a worker did not start: {}", self.detail)
            return False
        finally:
            slot.worker = None
            await worker.end()
        return slot.reading or clock() - loaded_at >= _STEADY_S

    def _add(self, slot: Slot, worker: Worker) -> None:
        slot.worker = worker
        slot.loads += 1
        slot.pages, slot.new_bytes = 0, worker.memory_bytes()
        self.detail = None
        logger.info("worker {} is ready ({} of {})", worker.pid, self.loaded, len(self._slots))
        self._on_change()


async def _next(worker: Worker, timeout_s: float) -> AnyMessage | None:
    """A worker's next message, None once it is gone; raises TimeoutError.

    Not `wait_for`: before Python 3.12 it may swallow a cancellation, and `close` would wait for ever.
    """
    receiving = asyncio.ensure_future(worker.receive())
    try:
        done, _ = await asyncio.wait({receiving}, timeout=timeout_s)
        if not done:
            raise TimeoutError
        return receiving.result()
    finally:
        receiving.cancel()


async def _hand_over(worker: Worker, request: OcrRequest | OcrInspect) -> None:
    """Give a worker a page and see that it has it: one that was stopped or killed meanwhile did not fail on the page.

    Raises:
        WorkerGone: when it does not take the page.
    """
    worker.send(request)
    try:
        if isinstance(await _next(worker, ACCEPT_TIMEOUT_S), Accepted):
            return
    except TimeoutError:
        logger.error("worker {} does not respond", worker.pid)
    worker.kill()
    raise WorkerGone("it did not take the page")


async def _load(worker: Worker) -> str | None:
    """Start a worker and wait for its report; the name of its engine.

    Raises:
        WorkerGone: with the reason, when it cannot load or does not report in time.
    """
    await worker.start()
    try:
        report = await _next(worker, LOAD_TIMEOUT_S)
    except TimeoutError:
        raise WorkerGone(f"a worker did not load within {LOAD_TIMEOUT_S:g} s") from None
    if isinstance(report, Health):
        return report.engine
    raise WorkerGone(report.message if isinstance(report, Failed) else "a worker ended while it was loading")
