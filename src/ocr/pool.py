"""The pool of OCR workers: starts, restarts and recycles them, kills those that exceed OCR_PAGE_TIMEOUT.

Runs in the broker's event loop. `admission` decides which page is next, `sizing` how many workers there are. A worker
is anything that implements `Worker`: a process in the service, an object in tests.
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
_STABLE_S = 30.0  # a worker that ran this long, or crashed on a page, counts as started


class WorkerGone(Exception):
    """The worker exited or was killed; it had not started on the page."""


class WorkerCrashed(WorkerGone):
    """The worker crashed while reading the page."""


class Worker(Protocol):
    """A worker as the pool controls it. `gone` completes when it has exited."""

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
    """When a worker is recycled: after a number of pages, or a growth of memory since its start."""

    pages: float = inf
    growth_bytes: float = inf


@dataclass(eq=False)
class Slot:
    """One worker slot. `failures`: consecutive failed starts. `pages`: read by the current worker."""

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
    def failed_to_start(self) -> bool:
        return self.failures >= MAX_START_FAILURES


class Pool:
    """The worker slots. `on_change` is called when a worker is loaded or lost."""

    def __init__(
        self,
        size: int,
        page_timeout_s: float,
        new_worker: Callable[[], Worker],
        recycling: WorkerRecycling | None = None,
    ) -> None:
        self._page_timeout_s = page_timeout_s
        self._new_worker = new_worker
        self._recycling = recycling or WorkerRecycling()
        self._slots = [Slot() for _ in range(size)]
        self._started = False
        self._past_starts = 0  # of removed slots
        self._past_loads = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._on_change: Callable[[], None] = lambda: None
        self.engine: str | None = None
        self.detail: str | None = None
        self.recycled = 0

    # ---- state

    @property
    def state(self) -> BackendState:
        """Loading until every worker has loaded once or failed to start repeatedly."""
        if not self.loaded and all(slot.failed_to_start for slot in self._slots):
            return "failed"
        return "ready" if all(slot.loads or slot.failed_to_start for slot in self._slots) else "loading"

    @property
    def loaded(self) -> int:
        """Workers with a loaded recognizer."""
        return sum(slot.worker is not None for slot in self._slots)

    @property
    def model_loads(self) -> int:
        return self._past_loads + sum(slot.loads for slot in self._slots)

    @property
    def restarts(self) -> int:
        """Workers started after a crash of their predecessor."""
        return self._past_starts + sum(max(0, slot.starts - 1) for slot in self._slots) - self.recycled

    @property
    def size(self) -> int:
        """Number of slots, whether their workers are loaded or not."""
        return len(self._slots)

    # ---- a page

    def take(self) -> Slot | None:
        """Reserve an idle worker's slot for `read`."""
        slot = next((slot for slot in self._slots if slot.idle), None)
        if slot is not None:
            slot.reading = True
        return slot

    async def read(self, slot: Slot, request: OcrRequest | OcrInspect) -> OcrResult | OcrContents | Failed:
        """Have the worker of a reserved slot read a page.

        Raises:
            WorkerGone: the page was not started.
            WorkerCrashed: the worker crashed on it.
            DeadlineExceeded: the worker was killed because the page took longer than OCR_PAGE_TIMEOUT.
        """
        worker = slot.worker
        if worker is None:
            raise WorkerGone("the worker exited before it received the page")
        await _send_request(worker, request)
        answer = await self._answer(worker)
        if isinstance(answer, OcrGivenUp):
            worker.kill()  # it exits by itself; the slot stays reserved until the next worker is loaded
            return answer.outcome
        if slot.worker is worker:
            self._return(slot, worker)
        return answer

    def _return(self, slot: Slot, worker: Worker) -> None:
        """Make the slot idle again, or recycle its worker: then it stays reserved until the next worker is loaded."""
        slot.pages += 1
        if slot.pages < self._recycling.pages and worker.memory_bytes() - slot.new_bytes < self._recycling.growth_bytes:
            slot.reading = False
            return
        logger.info("recycling worker {} after {} pages", worker.pid, slot.pages)
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
            raise WorkerCrashed("the worker crashed on the page")
        return answer

    # ---- worker lifecycle

    def start(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._started = True
        for slot in self._slots:
            slot.task = asyncio.create_task(self._maintain(slot))

    def grow(self) -> None:
        """Add a slot."""
        slot = Slot()
        self._slots.append(slot)
        if self._started:
            slot.task = asyncio.create_task(self._maintain(slot))

    def shrink(self) -> None:
        """Remove a slot, if a worker is idle."""
        slot = next((slot for slot in reversed(self._slots) if slot.idle), None)
        if slot is None or slot.task is None:
            return
        self._slots.remove(slot)
        self._past_starts += max(0, slot.starts - 1)
        self._past_loads += slot.loads
        slot.reading = True  # not to be reserved any more
        slot.task.cancel()
        self._closing.add(slot.task)
        slot.task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Kill and reap all workers."""
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._closing, return_exceptions=True)

    async def _maintain(self, slot: Slot) -> None:
        while True:
            started_well = await self._run_worker(slot)
            slot.failures = 0 if started_well else slot.failures + 1
            self._on_change()
            if slot.failures:
                pause_s = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** (slot.failures - 1))
                logger.warning("{} consecutive worker starts failed; next start in {:.1f} s", slot.failures, pause_s)
                await asyncio.sleep(pause_s)

    async def _run_worker(self, slot: Slot) -> bool:
        """One worker from start to exit; whether it counts as started."""
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
            logger.error("a worker failed to start: {}", self.detail)
            return False
        finally:
            slot.worker = None
            await worker.end()
        return slot.reading or clock() - loaded_at >= _STABLE_S

    def _add(self, slot: Slot, worker: Worker) -> None:
        slot.worker = worker
        slot.loads += 1
        slot.pages, slot.new_bytes = 0, worker.memory_bytes()
        self.detail = None
        logger.info("worker {} is ready ({} of {})", worker.pid, self.loaded, len(self._slots))
        self._on_change()


async def _next(worker: Worker, timeout_s: float) -> AnyMessage | None:
    """A worker's next message, None once it has exited; raises TimeoutError.

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


async def _send_request(worker: Worker, request: OcrRequest | OcrInspect) -> None:
    """Send a page and wait for `Accepted`: a worker that was killed before it did not crash on the page.

    Raises:
        WorkerGone: the worker did not accept the page.
    """
    worker.send(request)
    try:
        if isinstance(await _next(worker, ACCEPT_TIMEOUT_S), Accepted):
            return
    except TimeoutError:
        logger.error("worker {} did not accept a page within {:g} s", worker.pid, ACCEPT_TIMEOUT_S)
    worker.kill()
    raise WorkerGone("the worker did not accept the page")


async def _load(worker: Worker) -> str | None:
    """Start a worker and wait for its health; returns the name of its engine.

    Raises:
        WorkerGone: it failed to load or did not report in time; the text is the reason.
    """
    await worker.start()
    try:
        report = await _next(worker, LOAD_TIMEOUT_S)
    except TimeoutError:
        raise WorkerGone(f"a worker did not load within {LOAD_TIMEOUT_S:g} s") from None
    if isinstance(report, Health):
        return report.engine
    raise WorkerGone(report.message if isinstance(report, Failed) else "a worker exited while loading")
