"""The OCR process's request handler: health, a page, a document, or a job per connection.

Runs in the broker's event loop; pages go through `admission` to the `pool`. The broker never decodes images.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import psutil
from loguru import logger

from src import logs
from src.errors import InvalidRequest, PayloadTooLarge, ServiceError
from src.ipc.messages.base import Failed
from src.ipc.messages.control import Ping
from src.ipc.messages.ocr import (
    OcrDocument,
    OcrFinished,
    OcrJob,
    OcrJobRequest,
    OcrPage,
    OcrPageCountsRequest,
    OcrRequest,
    OcrResult,
    OcrTaken,
)
from src.ipc.messages.status import Health, MemoryReading, OcrLoad
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer
from src.ocr.admission import Admission
from src.ocr.document_run import DocumentRun, Source
from src.ocr.job_store import ENDED, StoreUnavailable
from src.ocr.jobs import Jobs
from src.ocr.pool import Pool
from src.ocr.spool import Spool
from src.settings import OcrSettings

_LAST_REPLIES_S = 1.0
_CLIENT_READ_S = 60.0  # a client that reads nothing for this long is disconnected
_WATCH_S = 10.0  # a watched job's state is sent at least this often
_POLL_S = 0.5  # of a job that another broker reads
_PAGES_AT_ONCE = 16


class Broker:
    """Serves the connections of `ipc.server`."""

    def __init__(self, settings: OcrSettings, pool: Pool, admission: Admission, jobs: Jobs, spool: Spool) -> None:
        self._settings = settings
        self._pool = pool
        self._admission = admission
        self._jobs = jobs
        self._spool = spool
        self._open_requests: set[asyncio.Future[None]] = set()
        self._self = psutil.Process()

    async def start(self) -> None:
        self._pool.start(self._admission.pump)
        await self._jobs.start()

    async def close(self) -> None:
        """Give every page an outcome, then stop the workers."""
        await self._jobs.close()
        await self._admission.close()
        if self._open_requests:
            await asyncio.wait(self._open_requests, timeout=_LAST_REPLIES_S)
        await self._pool.close()

    async def serve(self, peer: Peer) -> None:
        """Serve one connection until its request is answered or the peer closes."""
        while (message := await peer.receive()) is not None:
            if not isinstance(message, Ping):
                return await self._serve(peer, message)
            peer.send(self.health())
        return None

    async def _serve(self, peer: Peer, message: AnyMessage) -> None:
        if isinstance(message, OcrRequest):
            await self._answer(peer, message.id, self._page(peer, message))
        elif isinstance(message, OcrDocument):
            await self._answer(peer, message.id, self._document(peer, message))
        elif isinstance(message, OcrJobRequest):
            await self._answer(peer, message.id, self._job(peer, message))
        elif isinstance(message, OcrPageCountsRequest):
            await self._answer(peer, "", self._page_counts(peer, message.since))
        else:
            peer.send(Failed.of(InvalidRequest("The OCR process handles pages, documents, jobs and Ping.")))

    def health(self) -> Health:
        pool, admission = self._pool, self._admission
        load = OcrLoad(
            workers=pool.loaded,
            busy=admission.busy,
            waiting=admission.waiting,
            model_loads=pool.model_loads,
            pages=admission.pages,
            failures=admission.failures,
            worker_restarts=pool.restarts,
            jobs=self._jobs.unfinished,
            recycled=pool.recycled,
            fallbacks=admission.fallbacks,
            background=admission.background,
        )
        memory = MemoryReading(self._self.memory_info().rss)
        return Health(pool.state, os.getpid(), memory, pool.detail, pool.engine, ocr=load)

    async def _answer(self, peer: Peer, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, cancelled when the peer closes. A `ServiceError` is sent as its outcome."""
        logs.request_id.set(name)  # this task serves one connection, so the context is its own
        task = asyncio.create_task(work)
        closed = asyncio.get_running_loop().create_future()
        self._open_requests.add(closed)
        try:
            ends: set[asyncio.Future[Any]] = {task, peer.gone}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            return logger.info("a client cancelled its request")
        except ServiceError as error:
            return _send(peer, Failed.of(error))
        except StoreUnavailable as error:
            return _send(peer, error.failure())
        finally:
            task.cancel()
            await asyncio.wait({task})
            self._open_requests.discard(closed)
            closed.set_result(None)

    # ---- a page

    async def _page(self, peer: Peer, request: OcrRequest) -> None:
        page = self._admission.submit(request, request.priority, owner=request.owner)
        try:
            outcome = await page.outcome
        finally:
            self._admission.abandon(page)
        _send(peer, outcome)

    # ---- a document

    async def _document(self, peer: Peer, document: OcrDocument) -> None:
        """Read it now, or create a job."""
        path = await self._spool.put(document.data)
        end: OcrJob | OcrFinished | None = None
        try:
            if document.as_job == "always":
                end = await self._jobs.create(document, path)
            else:
                end = await self._read(peer, document, path)
            peer.send(end)
        finally:
            if not isinstance(end, OcrJob):
                self._spool.remove(path)

    async def _read(self, peer: Peer, document: OcrDocument, path: Path) -> OcrJob | OcrFinished:
        source = Source.of(document, path)
        run = DocumentRun(self._admission, source, wait_s=document.timeout_s, patient=False)
        contents, numbers = await run.open(self._settings.ocr_max_pages)
        if len(numbers) > document.max_pages:
            if document.as_job == "beyond_limit":
                return await self._jobs.create(document, path)
            raise PayloadTooLarge(_too_many_pages(len(numbers), document.max_pages), param="pages")
        peer.send(OcrTaken(contents.kind, numbers))
        read: list[OcrPage] = []
        is_kept = document.options.searchable and contents.kind == "pdf"

        async def on_page(number: int, outcome: OcrResult | Failed) -> None:
            _log(outcome)
            peer.send(OcrPage(number, outcome))
            read.extend([OcrPage(number, outcome)] if is_kept else [])
            await peer.drained(_CLIENT_READ_S)

        await run.read(numbers, on_page)
        return OcrFinished(await run.searchable(read) if is_kept else b"")

    # ---- a job

    async def _job(self, peer: Peer, request: OcrJobRequest) -> None:
        if request.action == "cancel":
            return peer.send(await self._jobs.cancel(request.job, request.owner))
        await self._jobs.get(request.job, request.owner)
        return await self._stream_job(peer, request)

    async def _page_counts(self, peer: Peer, since: str) -> None:
        peer.send(await self._jobs.page_counts(since))

    async def _stream_job(self, peer: Peer, request: OcrJobRequest) -> None:
        """Send its pages so far and its state; repeat until it has ended if it is watched."""
        seen = request.after
        shown: OcrJob | None = None
        while True:
            changed = self._jobs.changed(request.job)
            job = await self._jobs.get(request.job, request.owner)
            while pages := await self._jobs.pages(request.job, seen, _PAGES_AT_ONCE):
                for page in pages:
                    peer.send(page if request.pictures else _without_picture(page))
                    await peer.drained(_CLIENT_READ_S)
                seen = pages[-1].sequence
            if changed is not None or job != shown:
                peer.send(msgspec.structs.replace(job, pdf=await self._jobs.pdf(job)) if request.pictures else job)
                shown = job
            if request.action == "get" or job.state in ENDED:
                return
            await _changed_or_waited(changed)


async def _changed_or_waited(changed: asyncio.Event | None) -> None:
    """A job's next change; None: another broker reads it."""
    if changed is None:
        return await asyncio.sleep(_POLL_S)
    waiting = asyncio.ensure_future(changed.wait())
    await asyncio.wait({waiting}, timeout=_WATCH_S)
    waiting.cancel()
    return None


def _without_picture(page: OcrPage) -> OcrPage:
    if isinstance(page.outcome, Failed) or not page.outcome.picture:
        return page
    return OcrPage(page.number, msgspec.structs.replace(page.outcome, picture=b""), page.sequence)


def _too_many_pages(count: int, limit: int) -> str:
    return (
        f"The document has {count} pages; one request may read {limit} (OCR_SYNC_PAGES). Select fewer in 'pages', "
        "send 'Prefer: respond-async', or post the document to /v1/ocr/jobs."
    )


def _send(peer: Peer, outcome: AnyMessage) -> None:
    peer.send(outcome)
    if isinstance(outcome, OcrResult | Failed):
        _log(outcome)


def _log(outcome: OcrResult | Failed) -> None:
    if isinstance(outcome, Failed):
        return logger.warning("a page failed: {} ({})", outcome.code, outcome.message)
    times = outcome.timings
    return logger.info(
        "read a page of {} × {} pixels: {} lines; queued {:.3f} s, decoded in {:.3f} s, recognized in {:.3f} s",
        outcome.width,
        outcome.height,
        len(outcome.lines),
        times.queue_s,
        times.decode_s,
        times.recognize_s,
    )
