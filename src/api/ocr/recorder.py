"""Counts pages by their outcomes, and clients that left. Web process; told by a `Generation`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from src.api import access_facts
from src.api.state.usage import OCR, UsageCounts
from src.errors import Overloaded, ServiceError
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import OcrFinished, OcrJob, OcrPage, OcrResult
from src.metrics import Metrics

PageEvent = OcrPage | OcrResult | OcrJob | OcrFinished


class PageRecorder:
    """Of a single page. `spend` charges it to whoever asked."""

    def __init__(self, metrics: Metrics, spend: Callable[[UsageCounts], None]) -> None:
        self._metrics, self._spend = metrics, spend
        self._began, self._facts = time.monotonic(), access_facts.current()

    def events(self, events: Sequence[PageEvent]) -> None:
        if events:
            if isinstance(result := events[0], OcrResult):
                self._facts.queued(result.timings.queue_s)
            self._spend(UsageCounts(1, pages=1))
            self._end("ok")

    def failed(self, error: ServiceError) -> None:
        self._end(_kind(error))

    def left(self) -> None:
        self._metrics.disconnects.labels("ocr").inc()
        self._end("abort")

    def _end(self, outcome: str) -> None:
        self._facts.ended(OCR, outcome)
        self._metrics.ocr_pages.labels(outcome).inc()
        self._metrics.ocr_seconds.observe(time.monotonic() - self._began)


class JobRecorder:
    """Of a question about a job, whose pages are counted by nobody here: they were read for nobody who waits."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def events(self, events: Sequence[PageEvent]) -> None: ...

    def failed(self, error: ServiceError) -> None: ...

    def left(self) -> None:
        self._metrics.disconnects.labels("ocr").inc()


class DocumentRecorder(JobRecorder):
    """Of a document, page by page; one that becomes a job is a request whose pages the broker counts."""

    def __init__(self, metrics: Metrics, spend: Callable[[UsageCounts], None]) -> None:
        super().__init__(metrics)
        self._facts = access_facts.current()
        self._spend, self._requests = spend, 1  # counted with what comes first

    def events(self, events: Sequence[PageEvent]) -> None:
        for event in events:
            if isinstance(event, OcrPage):
                self._count(event.outcome)
            elif isinstance(event, OcrJob):
                self._charge(pages=0)
                self._facts.ended(OCR, "job")
            elif isinstance(event, OcrFinished):
                self._facts.ended(OCR, "ok")

    def failed(self, error: ServiceError) -> None:
        self._facts.ended(OCR, _kind(error))

    def left(self) -> None:
        super().left()
        self._facts.ended(OCR, "abort")

    def _count(self, outcome: OcrResult | Failed) -> None:
        if isinstance(outcome, Failed):
            self._metrics.ocr_pages.labels(_kind(outcome.error())).inc()
            return
        times = outcome.timings
        self._charge(pages=1)
        self._metrics.ocr_pages.labels("ok").inc()
        self._metrics.ocr_seconds.observe(times.queue_s + times.decode_s + times.recognize_s)

    def _charge(self, pages: int) -> None:
        self._spend(UsageCounts(self._requests, pages=pages))
        self._requests = 0


def _kind(error: ServiceError) -> str:
    return "overloaded" if isinstance(error, Overloaded) else "invalid" if error.status < 500 else "error"
