"""POST /v1/ocr: a document in, the text of its pages out; one that is too long becomes a job, if the client likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from flask import Blueprint, Response, request

from src.api.generation.generation import EventKinds, Generation, RequestTimeouts
from src.api.generation.recorder import Recorder
from src.api.generation.streaming import collect
from src.api.ocr import formats, shapes
from src.api.ocr import upload as ocr_upload
from src.api.ocr.annotations import annotate
from src.api.ocr.page_parts import View
from src.api.ocr.recorder import DocumentRecorder, PageEvent, PageRecorder
from src.api.ocr.upload import Upload
from src.api.service import Service, json_response, request_id, service
from src.api.state.usage import OCR
from src.errors import OcrCrashed
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
ENDED = ("done", "failed", "cancelled")


@blueprint.post("/v1/ocr")
def read() -> Response:
    shared = service()
    upload = ocr_upload.receive()
    if upload.fields.annotated:
        shared.limits.check_budget("tokens")  # before its pages are read, and charged
    read = _document(shared, upload) if upload.paged else _image(shared, upload)
    if isinstance(read, OcrJob):
        response = accepted(read)
        response.headers["Preference-Applied"] = "respond-async"
        return response
    return _answer(read, upload)


def accepted(job: OcrJob) -> Response:
    """202: where the job can be asked for."""
    service().job_pages.expect()
    response = json_response(shapes.job_out(job), 202)
    response.headers["Location"] = f"/v1/ocr/jobs/{job.id}"
    return response


@dataclass(frozen=True)
class _ReadDocument:
    """Its pages, and for a searchable PDF of a PDF the document itself."""

    pages: list[OcrPage]
    pdf: bytes = b""


def _answer(read: _ReadDocument, upload: Upload) -> Response:
    """When no page could be read, the first one's error is the answer's."""
    pages = read.pages
    errors = [page.outcome for page in pages if isinstance(page.outcome, Failed)]
    if errors and len(errors) == len(pages):
        first = errors[0]
        raise first.error()
    fields = upload.fields
    view = View.of(fields)
    if fields.format == "json" and fields.annotated:
        shown = shapes.document(request_id(), pages, len(upload.data), view)
        return json_response(annotate(shown, pages, fields))
    return formats.response(request_id(), pages, len(upload.data), fields.format, view, read.pdf)


def _image(shared: Service, upload: Upload) -> _ReadDocument:
    generation = open_pages(
        shared, upload.page(), PageRecorder(shared.metrics, shared.limits.spender(OCR)), page_timeout_s(shared)
    )
    return _ReadDocument([OcrPage(0, event) for event in collect(generation) if isinstance(event, OcrResult)])


def _document(shared: Service, upload: Upload) -> _ReadDocument | OcrJob:
    settings = shared.settings
    wanted = "respond-async" in request.headers.get("Prefer", "").lower() and not upload.fields.annotated
    as_job: Presence = "beyond_limit" if wanted else "never"
    timeout_s = max(settings.request_timeout, page_timeout_s(shared))
    document = upload.document(as_job, settings.ocr_sync_pages, timeout_s, "normal")
    recorder = DocumentRecorder(shared.metrics, shared.limits.spender(OCR))
    *pages, last = collect(open_pages(shared, document, recorder, timeout_s))
    if isinstance(last, OcrJob):
        return last
    pdf = last.pdf if isinstance(last, OcrFinished) else b""
    return _ReadDocument([event for event in pages if isinstance(event, OcrPage)], pdf)


def read_pages(document: OcrDocument, timeout_s: float) -> list[OcrPage]:
    """The pages of a document that another view's request holds."""
    shared = service()
    recorder = DocumentRecorder(shared.metrics, shared.limits.spender(OCR))
    generation = open_pages(shared, document, recorder, timeout_s, timeout_s)
    return [event for event in collect(generation) if isinstance(event, OcrPage)]


def page_timeout_s(shared: Service) -> float:
    """One wait in the queue, the page, and its one retry."""
    return shared.settings.ocr_queue_timeout + 2 * shared.settings.ocr_page_timeout + _GRACE_S


def open_pages(
    shared: Service,
    question: OcrRequest | OcrDocument | OcrJobRequest,
    recorder: Recorder[PageEvent],
    timeout_s: float,
    silence_s: float = _SILENCE_S,
) -> Generation[PageEvent]:
    """A question for the broker. Raises InsufficientQuota when the key's pages of the day are used up."""
    if not isinstance(question, OcrJobRequest):
        shared.limits.check_budget("pages")
    if not isinstance(question, OcrJobRequest) and question.priority == "background":
        timeout_s += shared.settings.background_timeout  # it waits for a quiet time first
    watched = isinstance(question, OcrJobRequest) and question.action == "watch"
    crashed = OcrCrashed("The OCR service died while it worked on this page; it is restarted.", retry_after_s=3.0)
    return Generation(
        lambda: shared.backends.open_ocr(question),
        EventKinds(_is_event, _ends_watch if watched else _ends),
        RequestTimeouts(timeout_s, silence_s, crashed),
        inflight=shared.inflight,
        environ=request.environ,
        recorder=recorder,
    )


def _is_event(message: AnyMessage) -> TypeGuard[PageEvent]:
    return isinstance(message, PageEvent)


def _ends(event: PageEvent) -> bool:
    return not isinstance(event, OcrPage)


def _ends_watch(event: PageEvent) -> bool:
    return isinstance(event, OcrJob) and event.state in ENDED
