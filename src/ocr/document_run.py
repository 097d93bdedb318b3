"""One document being read: its pages are submitted to `admission` a few at a time and complete in any order.

Runs in the broker's event loop. One `DocumentRun` is one `read`; cancelling its task abandons the pages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from src.documents import pages
from src.documents.pages import Ranges
from src.errors import BackendUnavailable, InternalError, Overloaded, PayloadTooLarge, ServiceError
from src.ipc.messages.base import Failed, Priority
from src.ipc.messages.ocr import OcrContents, OcrDocument, OcrInspect, OcrOptions, OcrPage, OcrRequest, OcrResult
from src.ocr.admission import Admission, QueuedPage

OnPage = Callable[[int, "OcrResult | Failed"], Awaitable[None]]

_PAUSE_S = 1.0
# transient errors: a job retries after them
_TRANSIENT = frozenset({"overloaded", "backend_unavailable", "model_load_failed"})
SHUTDOWN = "server_shutdown"


@dataclass(frozen=True)
class Source:
    """A document in the spool, with the requested pages and options."""

    id: str
    path: str
    base64: bool
    ranges: Ranges
    options: OcrOptions
    priority: Priority
    owner: str = ""

    @classmethod
    def of(cls, document: OcrDocument, path: Path) -> Source:
        """A document that came, spooled at `path`."""
        wanted = document.pages, document.options, document.priority, document.owner
        return cls(document.id, str(path), document.base64, *wanted)


class DocumentRun:
    """`patient`: retry while the queue is full or workers are missing; for jobs, which hold no connection."""

    def __init__(self, admission: Admission, source: Source, *, wait_s: float, patient: bool) -> None:
        self._admission = admission
        self._source = source
        self._wait_s = wait_s
        self._patient = patient

    async def open(self, max_pages: int) -> tuple[OcrContents, tuple[int, ...]]:
        """Its kind and page count, and the selected page numbers.

        Raises:
            ServiceError: it cannot be opened, has no such pages, or more than `max_pages` are selected.
        """
        source = self._source
        inspect = OcrInspect(source.id, source.path, source.base64, source.options)
        contents = await self._contents(inspect)
        numbers = pages.select(source.ranges, contents.pages, more=contents.more)
        if len(numbers) > max_pages:
            text = f"The document has too many pages: the limit is {max_pages} (OCR_MAX_PAGES); select some in 'pages'."
            raise PayloadTooLarge(text, param="pages")
        return contents, numbers

    async def searchable(self, pages: Sequence[OcrPage]) -> bytes:
        """The document, which is a PDF, with the text of its pages. Raises as `open`."""
        source = self._source
        inspect = OcrInspect(source.id, source.path, source.base64, source.options, tuple(map(_bare, pages)))
        return (await self._contents(inspect)).pdf

    async def _contents(self, inspect: OcrInspect) -> OcrContents:
        while True:
            outcome = await self._one(inspect)
            if isinstance(outcome, OcrContents):
                return outcome
            if not isinstance(outcome, Failed):
                raise InternalError
            if not (self._patient and outcome.code in _TRANSIENT):
                raise outcome.error()
            await asyncio.sleep(_PAUSE_S)

    async def _one(self, inspect: OcrInspect) -> OcrContents | OcrResult | Failed:
        try:
            page = self._admission.submit(inspect, self._source.priority, owner=self._source.owner)
        except ServiceError as error:
            return Failed.of(error)
        try:
            return await page.outcome
        finally:
            self._admission.abandon(page)

    async def read(self, numbers: Iterable[int], on_page: OnPage) -> None:
        """Read all pages; `on_page` is awaited with the outcome of each.

        Raises:
            ServiceError: no page can be submitted, or the service is stopping.
        """
        todo, running = (
            deque(numbers),
            dict[asyncio.Future["OcrResult | OcrContents | Failed"], tuple[int, QueuedPage]](),
        )
        try:
            while todo or running:
                await self._submit(todo, running)
                await asyncio.wait(running, timeout=_PAUSE_S, return_when=asyncio.FIRST_COMPLETED)
                for outcome in [future for future in running if future.done()]:
                    number, _ = running.pop(outcome)
                    await self._done(number, outcome.result(), todo, on_page)
        finally:
            for _, page in running.values():
                self._admission.abandon(page)

    async def _submit(
        self, todo: deque[int], running: dict[asyncio.Future[OcrResult | OcrContents | Failed], tuple[int, QueuedPage]]
    ) -> None:
        """Submit as many pages as keep the workers busy; the rest stays out of the queue."""
        try:
            while todo and len(running) < self._admission.width:
                page = self._admission.submit(
                    self._request(todo), self._source.priority, self._wait_s, self._source.owner
                )
                running[page.outcome] = todo.popleft(), page
        except (Overloaded, BackendUnavailable) as error:
            if not running and not (self._patient and error.code in _TRANSIENT):
                raise
        if not running:
            await asyncio.sleep(_PAUSE_S)

    def _request(self, todo: deque[int]) -> OcrRequest:
        source = self._source
        number, *read_ahead = islice(todo, 1 + self._admission.read_ahead)
        return OcrRequest(
            source.id, b"", source.base64, source.path, number, source.options, read_ahead=tuple(read_ahead)
        )

    async def _done(
        self, number: int, outcome: OcrResult | OcrContents | Failed, todo: deque[int], on_page: OnPage
    ) -> None:
        if isinstance(outcome, OcrContents):
            raise InternalError
        if isinstance(outcome, Failed) and outcome.code == SHUTDOWN:
            raise outcome.error()
        if isinstance(outcome, Failed) and self._patient and outcome.code in _TRANSIENT:
            todo.appendleft(number)
            return
        await on_page(number, outcome)


def _bare(page: OcrPage) -> OcrPage:
    """With what is written into a PDF alone."""
    if isinstance(page.outcome, Failed):
        return page
    return OcrPage(page.number, msgspec.structs.replace(page.outcome, text="", markdown=None, blocks=(), figures=()))
