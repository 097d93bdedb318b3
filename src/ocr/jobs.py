"""Long documents that nobody waits for on a connection: kept in the ledger, resumed after a crash.

Belongs to the broker's event loop; the ledger to a thread of its own. A job ends as done, failed (it cannot be
opened) or cancelled; a page that cannot be read is an outcome of that page.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from loguru import logger

from src.errors import BackendUnavailable, InternalError, NotFound, Overloaded, ServiceError, ShuttingDown
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrDocument, OcrJob, OcrPage, OcrResult
from src.ocr.admission import Admission
from src.ocr.document_run import Assignment, Source
from src.ocr.job_store import ENDED, Ledger, Unstored
from src.ocr.spool import Spool
from src.settings import OcrSettings

T = TypeVar("T")

_AT_ONCE = 2  # so that a short job is not stuck behind a long one
_SWEEP_S = 60.0
_RETRY_S = 30.0


@dataclass
class _RunningJob:
    """A job under way. `began` and `done` count this run only: what its ETA is made of."""

    task: asyncio.Task[None]
    path: Path
    began: float | None = None
    done: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Jobs:
    """`clock` gives Unix time: jobs outlive the process."""

    def __init__(
        self,
        settings: OcrSettings,
        admission: Admission,
        ledger: Ledger,
        spool: Spool,
        clock: Callable[[], float] = time.time,
        thread: Executor | None = None,
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._thread = thread or ThreadPoolExecutor(1, "ocr-ledger")
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[str, _RunningJob] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._taken_up = False

    @property
    def unfinished(self) -> int:
        return len(self._running)

    # ---- the life of the broker

    async def start(self) -> None:
        """Go on with what an earlier broker left, now or when the disk lets us read it."""
        self._sweeper = asyncio.create_task(self._sweep())
        await self._survive(self._take_up())

    async def _take_up(self) -> None:
        left = await self._do(self._ledger.unfinished)
        sources = [await self._do(self._ledger.source, job) for job in left]
        self._spool.start({Path(source.path) for source in sources})
        for job, source in zip(left, sources, strict=True):
            self._launch(job, source)
        if left:
            logger.info("{} OCR jobs go on", len(left))
        self._taken_up = True

    async def close(self) -> None:
        """Stop; unfinished jobs go on with the next broker."""
        tasks = [running.task for running in self._running.values()]
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._do(self._ledger.close)
        self._thread.shutdown()

    # ---- what is asked of it

    async def create(self, document: OcrDocument, path: Path) -> OcrJob:
        """Take over a document in the spool.

        Raises:
            Overloaded: when OCR_MAX_JOBS are unfinished, or half of them are this key's.
            BackendUnavailable: when the disk does not take it.
        """
        now, name = self._clock(), f"ocr-{uuid.uuid4().hex}"
        source = Source(document.id, str(path), document.base64, document.pages, document.options, document.priority)
        job = OcrJob(name, "queued", document.format, now, now + self._settings.ocr_job_ttl, len(document.data))
        job = msgspec.structs.replace(job, owner=document.owner)
        try:
            await self._check_room(document.owner)
            await self._do(self._ledger.add, job, source)
        except Unstored as error:
            logger.error("an OCR job cannot be stored: {}", error)
            text = "The job cannot be stored at the moment; the disk may be full."
            raise BackendUnavailable(text, retry_after_s=_RETRY_S) from None
        self._launch(name, source)
        return job

    async def _check_room(self, owner: str) -> None:
        limit = self._settings.ocr_max_jobs
        if self.unfinished >= limit:
            text = f"Too many OCR jobs: {self.unfinished} are unfinished (OCR_MAX_JOBS)."
            raise Overloaded(text, retry_after_s=_RETRY_S)
        share = (limit + 1) // 2 if owner else limit
        own = await self._do(self._ledger.count_unfinished, owner)
        if own >= share:
            text = (
                f"Too many OCR jobs of this key: {own} are unfinished, and {share} is one key's share (OCR_MAX_JOBS)."
            )
            raise Overloaded(text, retry_after_s=_RETRY_S)

    async def get(self, name: str, owner: str | None = None) -> OcrJob:
        """Raises NotFound for a job that never was, has expired, or is not this owner's (None: anybody's)."""
        job = await self._do(self._ledger.get, name)
        if job is None or owner not in (None, job.owner):
            raise NotFound("There is no such OCR job; finished ones are kept for OCR_JOB_TTL.", param="id")
        return msgspec.structs.replace(job, eta_s=self._eta_s(job))

    async def pages(self, name: str, after: int, count: int) -> list[OcrPage]:
        return await self._do(self._ledger.pages, name, after, count)

    async def cancel(self, name: str, owner: str | None = None) -> OcrJob:
        """End an unfinished job; forget a finished one. Its last state. Raises as `get`."""
        job = await self.get(name, owner)
        if job.state in ENDED:
            await self._do(self._ledger.delete, name)
            return job
        await self._end(name, "cancelled")
        self._give_up(name)
        return await self.get(name)

    def changed(self, name: str) -> asyncio.Event | None:
        """Set when the job has changed since this was called; None when it is not under way."""
        running = self._running.get(name)
        return running.changed if running else None

    # ---- a job's way

    def _launch(self, name: str, source: Source) -> None:
        task = asyncio.create_task(self._run(name, source))
        self._running[name] = _RunningJob(task, Path(source.path))
        task.add_done_callback(lambda _: self._finished(name))

    def _finished(self, name: str) -> None:
        running = self._running.pop(name)
        running.changed.set()
        if not running.task.cancelled() and running.task.exception() is None:
            self._spool.remove(running.path)

    async def _run(self, name: str, source: Source) -> None:
        async with self._turns:
            while not await self._survive(self._work(name, source)):  # noqa: ASYNC110  # no event tells of room
                await asyncio.sleep(_RETRY_S)  # what is done is kept, and not done again

    async def _work(self, name: str, source: Source) -> None:
        try:
            await self._read(name, source)
            await self._end(name, "done")
        except (ShuttingDown, Unstored):
            raise  # it goes on with the next broker, or when there is room
        except ServiceError as error:
            await self._end(name, "failed", Failed.of(error))
        except Exception:  # noqa: BLE001  # process boundary: whatever happens to a job, it ends
            logger.exception("an OCR job failed")
            await self._end(name, "failed", Failed.of(InternalError()))

    async def _survive(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the disk let it be done; else it is to be tried again."""
        try:
            await work
        except Unstored as error:
            logger.error("OCR jobs wait for the disk: {}", error)
            return False
        return True

    async def _read(self, name: str, source: Source) -> None:
        wait_s = self._settings.ocr_job_ttl
        assignment = Assignment(self._admission, source, wait_s=wait_s, patient=True)
        _, numbers = await assignment.open(self._settings.ocr_max_pages)
        done = await self._do(self._ledger.numbers, name)
        await self._do(self._ledger.begin, name, len(numbers))
        running = self._running[name]
        running.began = time.monotonic()
        self._tell(name)

        async def on_page(number: int, outcome: OcrResult | Failed) -> None:
            await self._do(self._ledger.add_page, name, number, outcome)
            running.done += 1
            self._tell(name)

        await assignment.read([number for number in numbers if number not in done], on_page)

    def _give_up(self, name: str) -> None:
        running = self._running.get(name)
        if running is not None:
            running.task.cancel()
            self._spool.remove(running.path)

    async def _end(self, name: str, state: str, error: Failed | None = None) -> None:
        expires = self._clock() + self._settings.ocr_job_ttl
        if await self._do(self._ledger.end, name, state, expires, error):
            logger.info("OCR job {} is {}", name, state)
        self._tell(name)

    def _tell(self, name: str) -> None:
        """Wake who watches; the next one to ask gets a new event."""
        running = self._running.get(name)
        if running is not None:
            running.changed.set()
            running.changed = asyncio.Event()

    def _eta_s(self, job: OcrJob) -> float | None:
        running = self._running.get(job.id)
        if running is None or running.began is None or not running.done or job.total is None:
            return None
        return round((time.monotonic() - running.began) / running.done * (job.total - job.done), 1)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP_S, self._settings.ocr_job_ttl))
            await self._survive(self._forget_expired() if self._taken_up else self._take_up())

    async def _forget_expired(self) -> None:
        for name in await self._do(self._ledger.expired, self._clock()):
            if name in self._running:
                await self._end(name, "failed", Failed("deadline_exceeded", "The job took longer than OCR_JOB_TTL."))
                self._give_up(name)
            else:
                await self._do(self._ledger.delete, name)

    async def _do(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
