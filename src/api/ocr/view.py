"""POST /v1/ocr: a document in, the text of its pages out; one that is too long becomes a job, if the client likes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from flask import Blueprint, Response, request

from src.api.generation.answer import Answer, ClientGone
from src.api.ocr import formats, shapes
from src.api.ocr import upload as ocr_upload
from src.api.ocr.upload import Upload
from src.api.service import Service, json_response, request_id, service
from src.errors import InternalError, OcrCrashed, Overloaded, ServiceError
from src.ipc.messages.base import Failed
from src.ipc.messages.ocr import (
    OcrDocument,
    OcrFinished,
    OcrJob,
    OcrJobRequest,
    OcrPage,
    OcrRequest,
    OcrResult,
    Presence,
)
from src.ipc.messages.wire import AnyMessage

blueprint = Blueprint("ocr", __name__)

_GRACE_S = 10.0
_SILENCE_S = 60.0


@blueprint.post("/v1/ocr")
def read() -> Response:
    shared = service()
    upload = ocr_upload.receive()
    pages = _document(shared, upload) if upload.paged else _image(shared, upload)
    if isinstance(pages, OcrJob):
        response = accepted(pages)
        response.headers["Preference-Applied"] = "respond-async"
        return response
    return _answer(pages, upload)


def accepted(job: OcrJob) -> Response:
    """202: where the job can be asked for."""
    response = json_response(shapes.job_out(job), 202)
    response.headers["Location"] = f"/v1/ocr/jobs/{job.id}"
    return response


def _answer(pages: list[OcrPage], upload: Upload) -> Response:
    """When no page could be read, the first one's error is the answer's."""
    errors = [page.outcome for page in pages if isinstance(page.outcome, Failed)]
    if errors and len(errors) == len(pages):
        first = errors[0]
        raise first.error()
    return formats.response(request_id(), pages, len(upload.data), upload.fields.format)


def _image(shared: Service, upload: Upload) -> list[OcrPage]:
    page = upload.page()
    with _counted(shared):
        for event in events(shared, page, page_timeout_s(shared)):
            if isinstance(event, OcrResult):
                return [OcrPage(0, event)]
    raise InternalError


def _document(shared: Service, upload: Upload) -> list[OcrPage] | OcrJob:
    settings = shared.settings
    as_job: Presence = "beyond_limit" if "respond-async" in request.headers.get("Prefer", "").lower() else "never"
    timeout_s = max(settings.request_timeout, page_timeout_s(shared))
    document = upload.document(as_job, settings.ocr_sync_pages, timeout_s, "normal")
    pages: dict[int, OcrPage] = {}  # a broker that died under it begins again
    for event in events(shared, document, timeout_s):
        if isinstance(event, OcrPage):
            if event.number not in pages:
                count(shared, event)
            pages[event.number] = event
        elif isinstance(event, OcrJob):
            return event
        elif isinstance(event, OcrFinished):
            break
    return list(pages.values())


def page_timeout_s(shared: Service) -> float:
    """One wait in the queue, the page, and its one retry."""
    return shared.settings.ocr_queue_timeout + 2 * shared.settings.ocr_page_timeout + _GRACE_S


def events(
    shared: Service, question: OcrRequest | OcrDocument | OcrJobRequest, timeout_s: float, silence_s: float = _SILENCE_S
) -> Generator[AnyMessage, None, None]:
    """What the broker says to a question, until the caller has its outcome and stops; raises as `Answer`."""
    told = batches(shared, question, timeout_s, silence_s)
    try:
        for batch in told:
            yield from batch
    finally:
        told.close()


def batches(
    shared: Service, question: OcrRequest | OcrDocument | OcrJobRequest, timeout_s: float, silence_s: float
) -> Generator[list[AnyMessage], None, None]:
    """As `events`, what came together; nothing, after a silence."""
    if not isinstance(question, OcrJobRequest) and question.priority == "background":
        timeout_s += shared.settings.background_timeout  # it waits for a quiet time first
    answer = Answer(
        lambda: shared.backends.open_ocr(question),
        inflight=shared.inflight,
        environ=request.environ,
        crashed=OcrCrashed("The OCR service died while it worked on this page; it is restarted.", retry_after_s=3.0),
        timeout_s=timeout_s,
    )
    try:
        while True:
            yield answer.next_batch(silence_s) or []
    except ClientGone:
        shared.metrics.disconnects.labels("ocr").inc()
        raise
    finally:
        answer.close()


# ---- metrics


@contextmanager
def _counted(shared: Service) -> Iterator[None]:
    """Count a single page by its outcome."""
    began = time.monotonic()
    outcome = "error"
    try:
        yield
        outcome = "ok"
    except ClientGone:
        outcome = "abort"
        raise
    except ServiceError as error:
        outcome = _kind(error)
        raise
    finally:
        shared.metrics.ocr_jobs.labels(outcome).inc()
        shared.metrics.ocr_seconds.observe(time.monotonic() - began)


def count(shared: Service, page: OcrPage) -> None:
    """Count a page of a document."""
    if isinstance(page.outcome, Failed):
        error = page.outcome.error()
        shared.metrics.ocr_jobs.labels(_kind(error)).inc()
        return
    times = page.outcome.timings
    shared.metrics.ocr_jobs.labels("ok").inc()
    shared.metrics.ocr_seconds.observe(times.queue_s + times.decode_s + times.recognize_s)


def _kind(error: ServiceError) -> str:
    return "overloaded" if isinstance(error, Overloaded) else "invalid" if error.status < 500 else "error"
