"""Asynchronous OCR jobs: stored in the job store, resumed after a crash.

Runs in the broker's event loop, the job store on its own thread. A job ends as done, failed (the document cannot be
opened) or cancelled; a failed page is an outcome of that page. Of the brokers that share a STATE_DIR one reads the jobs
(`claim`), whichever they were left with; the others store, show and cancel them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from loguru import logger

from src.errors import InternalError, NotFound, Overloaded, ServiceError, ShuttingDown
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrDocument, OcrJob, OcrPage, OcrPageCounts, OcrResult
from src.ocr.admission import Admission
from src.ocr.document_run import DocumentRun, Source
from src.ocr.job_store import ENDED, JobStore, StoreUnavailable
from src.ocr.spool import Spool
from src.settings import OcrSettings

T = TypeVar("T")

_CONCURRENT_JOBS = 2  # so that a short job does not wait for a long one
_SWEEP_S = 60.0
_LOOK_S = 1.0  # for jobs that another broker was sent, and for its end
_PAGES_AT_ONCE = 16
_RETRY_S = 30.0
_COUNTS_S = 40 * 86_400.0  # the web process has stored them elsewhere long before


@dataclass
class _RunningJob:
    """A job in progress. `started_at` and `done` count this run only, for its ETA."""

    task: asyncio.Task[None]
    path: Path
    started_at: float | None = None
    done: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Jobs:
    """All jobs. `clock` gives Unix time: jobs outlive the process."""

    def __init__(
        self,
        settings: OcrSettings,
        admission: Admission,
        store: JobStore,
        spool: Spool,
        clock: Callable[[], float] = time.time,
        thread: Executor | None = None,
        claim: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._store = store
        self._spool = spool
        self._clock = clock
        self._thread = thread or ThreadPoolExecutor(1, "ocr-job-store")
        self._slots = asyncio.Semaphore(_CONCURRENT_JOBS)
        # from the count of unfinished jobs to the new one; no holder waits longer than the store does for its file
        self._creating = asyncio.Lock()
        self._running: dict[str, _RunningJob] = {}
        self._claim = claim
        self._looker: asyncio.Task[None] | None = None
        self._swept = float("-inf")

    @property
    def unfinished(self) -> int:
        """Of those that this broker reads."""
        return len(self._running)

    # ---- start and stop

    async def start(self) -> None:
        """Resume the unfinished jobs of an earlier broker, retrying until the store can be read."""
        looked = await self._try(self._look())
        self._looker = asyncio.create_task(self._look_on(_LOOK_S if looked else _RETRY_S))

    async def _look_on(self, wait_s: float) -> None:
        while True:
            await asyncio.sleep(wait_s)
            wait_s = _LOOK_S if await self._try(self._look()) else _RETRY_S

    async def _look(self) -> None:
        """Begin what is unfinished and end what was cancelled, whichever broker was told; now and then sweep."""
        if not self._claim():
            return
        stored = await self._in_store(self._store.unfinished)
        found = {name: replace(one, path=str(self._spool.path(Path(one.path).name))) for name, one in stored.items()}
        if new := [name for name, source in found.items() if self._launch(name, source)]:
            logger.info("{} OCR jobs that another broker was sent are read here", len(new))
        for name in await self._in_store(self._store.cancelled, tuple(self._running)):
            self._cancel(name)
        now = asyncio.get_running_loop().time()
        if now - self._swept >= min(_SWEEP_S, self._settings.ocr_job_ttl):
            self._swept = now
            self._spool.sweep({Path(source.path) for source in found.values()})
            await self._delete_expired()

    async def close(self) -> None:
        """Stop; the next broker resumes unfinished jobs."""
        tasks = [running.task for running in self._running.values()]
        if self._looker is not None:
            tasks.append(self._looker)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._in_store(self._store.close)
        self._thread.shutdown()

    # ---- requests

    async def create(self, document: OcrDocument, path: Path) -> OcrJob:
        """Create a job for a document in the spool.

        Raises:
            Overloaded: OCR_MAX_JOBS are unfinished, or half of them belong to this key.
            StoreUnavailable: the job cannot be stored.
        """
        now, name = self._clock(), self._store.new_id()
        source = Source.of(document, path)
        job = OcrJob(name, "queued", document.format, now, now + self._settings.ocr_job_ttl, len(document.data))
        job = msgspec.structs.replace(job, owner=document.owner)
        async with self._creating:
            await self._check_room(document.owner)
            await self._in_store(self._store.add, job, source)
            if self._claim():
                self._launch(name, source)
        return job

    async def _check_room(self, owner: str) -> None:
        limit = self._settings.ocr_max_jobs
        if (count := await self._in_store(self._store.count_unfinished)) >= limit:
            text = f"Too many OCR jobs: {count} are unfinished (OCR_MAX_JOBS)."
            raise Overloaded(text, retry_after_s=_RETRY_S)
        share = (limit + 1) // 2 if owner else limit
        own = await self._in_store(self._store.count_unfinished, owner)
        if own >= share:
            text = (
                f"Too many OCR jobs of this key: {own} are unfinished, and {share} is one key's share (OCR_MAX_JOBS)."
            )
            raise Overloaded(text, retry_after_s=_RETRY_S)

    async def get(self, name: str, owner: str | None = None) -> OcrJob:
        """Raises NotFound for a job that is unknown, has expired, or has another owner (None: any owner)."""
        job = await self._in_store(self._store.get, name)
        if job is None or owner not in (None, job.owner):
            raise NotFound(
                "There is no such OCR job; ended ones are kept for OCR_JOB_TTL, within OCR_JOB_STORE_MB.", param="id"
            )
        return msgspec.structs.replace(job, eta_s=self._eta_s(job))

    async def pages(self, name: str, after: int, count: int) -> list[OcrPage]:
        return await self._in_store(self._store.pages, name, after, count)

    async def pdf(self, job: OcrJob) -> bytes:
        """The searchable PDF of a job that is done; empty if it was not started for one, or is none of a PDF."""
        return await self._in_store(self._store.pdf, job.id) if job.state == "done" else b""

    async def page_counts(self, since: str) -> OcrPageCounts:
        """What was read for each key. Raises BackendUnavailable: the job store cannot be read."""
        totals = await self._in_store(self._store.page_counts, since)
        return OcrPageCounts(tuple(totals), await self._in_store(self._store.count_unfinished))

    async def cancel(self, name: str, owner: str | None = None) -> OcrJob:
        """Cancel an unfinished job, delete a finished one; returns its last state. Raises as `get`."""
        job = await self.get(name, owner)
        if job.state in ENDED:
            await self._in_store(self._store.delete, name)
            return job
        await self._end(name, "cancelled")
        self._cancel(name)
        return await self.get(name)

    def changed(self, name: str) -> asyncio.Event | None:
        """Set at the next change of the job; None when it is not in progress."""
        running = self._running.get(name)
        return running.changed if running else None

    # ---- running

    def _launch(self, name: str, source: Source) -> bool:
        """False when it runs already."""
        if name in self._running:
            return False
        task = asyncio.create_task(self._run(name, source))
        self._running[name] = _RunningJob(task, Path(source.path))
        task.add_done_callback(lambda _: self._finished(name))
        return True

    def _finished(self, name: str) -> None:
        running = self._running.pop(name)
        running.changed.set()
        if not running.task.cancelled() and running.task.exception() is None:
            self._spool.remove(running.path)

    async def _run(self, name: str, source: Source) -> None:
        async with self._slots:
            while True:
                if await self._try(self._work(name, source)):
                    return
                await asyncio.sleep(_RETRY_S)  # finished pages are kept and not read again

    async def _work(self, name: str, source: Source) -> None:
        try:
            await self._read(name, source)
            await self._end(name, "done")
        except (ShuttingDown, StoreUnavailable):
            raise  # resumed by the next broker, or once the store can be written
        except ServiceError as error:
            await self._end(name, "failed", Failed.of(error))
        except Exception:  # noqa: BLE001  # process boundary: every job ends
            logger.exception("an OCR job failed")
            await self._end(name, "failed", Failed.of(InternalError()))

    async def _try(self, work: Coroutine[Any, Any, None]) -> bool:
        """False when the job store is unavailable; then retry."""
        try:
            await work
        except StoreUnavailable:  # it is in the log
            return False
        except sqlite3.OperationalError as error:
            StoreUnavailable.because(error)  # logs it
            return False
        return True

    async def _read(self, name: str, source: Source) -> None:
        wait_s = self._settings.ocr_job_ttl
        run = DocumentRun(self._admission, source, wait_s=wait_s, patient=True)
        contents, numbers = await run.open(self._settings.ocr_max_pages)
        done = await self._in_store(self._store.numbers, name)
        await self._in_store(self._store.begin, name, len(numbers))
        running = self._running[name]
        running.started_at = time.monotonic()
        self._notify(name)

        async def on_page(number: int, outcome: OcrResult | Failed) -> None:
            await self._in_store(self._store.add_page, name, number, outcome, self._clock())
            running.done += 1
            self._notify(name)

        await run.read([number for number in numbers if number not in done], on_page)
        if source.options.searchable and contents.kind == "pdf":
            pdf = await run.searchable([page async for page in self._all_pages(name)])
            await self._in_store(self._store.add_pdf, name, pdf)

    async def _all_pages(self, name: str) -> AsyncIterator[OcrPage]:
        seen = 0
        while pages := await self.pages(name, seen, _PAGES_AT_ONCE):
            for page in pages:
                yield page
            seen = pages[-1].sequence

    def _cancel(self, name: str) -> None:
        running = self._running.get(name)
        if running is not None:
            running.task.cancel()
            self._spool.remove(running.path)

    async def _end(self, name: str, state: str, error: Failed | None = None) -> None:
        expires = self._clock() + self._settings.ocr_job_ttl
        if await self._in_store(self._store.end, name, state, expires, error):
            logger.info("OCR job {} is {}", name, state)
        self._notify(name)
        await self._try(self._evict())

    async def _evict(self) -> None:
        """Keep what ended jobs store within OCR_JOB_STORE_MB."""
        most_mb = self._settings.ocr_job_store_mb
        for name in await self._in_store(self._store.evict, most_mb << 20):
            logger.warning("ended OCR job {} was evicted: all together exceed {} MiB (OCR_JOB_STORE_MB)", name, most_mb)

    def _notify(self, name: str) -> None:
        """Wake all watchers; later ones get a new event."""
        running = self._running.get(name)
        if running is not None:
            running.changed.set()
            running.changed = asyncio.Event()

    def _eta_s(self, job: OcrJob) -> float | None:
        running = self._running.get(job.id)
        if running is None or running.started_at is None or not running.done or job.total is None:
            return None
        return round((time.monotonic() - running.started_at) / running.done * (job.total - job.done), 1)

    async def _delete_expired(self) -> None:
        await self._in_store(self._store.forget_counts, self._clock() - _COUNTS_S)
        for name in await self._in_store(self._store.expired, self._clock()):
            if name in self._running:
                await self._end(name, "failed", Failed("deadline_exceeded", "The job took longer than OCR_JOB_TTL."))
                self._cancel(name)
            else:
                await self._in_store(self._store.delete, name)
        await self._evict()  # the bound may be lower than the last broker's

    async def _in_store(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
