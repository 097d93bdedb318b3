"""/v1/ocr/jobs: documents nobody waits for. They live in the OCR broker; here they are started, shown and ended."""

from __future__ import annotations

import re
import time
from typing import Literal, cast, get_args

import msgspec
from flask import Blueprint, Response, request

from src.api.edge import auth
from src.api.error_handlers import envelope
from src.api.generation import streaming
from src.api.generation.streaming import admitted, collect, stream
from src.api.ocr import formats, shapes
from src.api.ocr import upload as ocr_upload
from src.api.ocr.page_parts import View
from src.api.ocr.recorder import DocumentRecorder, JobRecorder, PageEvent
from src.api.ocr.responses import OcrJobList, OcrJobOut
from src.api.ocr.schemas import Format, OcrFields
from src.api.ocr.view import accepted, open_pages
from src.api.paging import listed, paging
from src.api.service import json_response, request_id, service
from src.api.state import ocr_jobs
from src.api.state.usage import OCR
from src.errors import InternalError, InvalidRequest, NotFound, ServiceError, UnsupportedValue
from src.ipc.messages.chat import PromptProgress
from src.ipc.messages.ocr import OcrJob, OcrJobRequest, OcrPage
from src.state import progress

blueprint = Blueprint("ocr_jobs", __name__)

_ANSWER_S = 60.0
_MOST, _LISTED = 100, 20
_EVENT_ID = re.compile("[0-9]{1,15}")  # fits the wire


@blueprint.post("/v1/ocr/jobs")
def create() -> Response:
    shared = service()
    upload = ocr_upload.receive()
    if (annotation := upload.fields.annotated) is not None:
        raise UnsupportedValue(f"A job has no annotations: send {annotation!r} to /v1/ocr.", param=annotation)
    document = upload.document("always", shared.settings.ocr_max_pages, shared.settings.ocr_job_ttl, "low")
    recorder = DocumentRecorder(shared.metrics, shared.limits.spender(OCR))
    *_, job = collect(open_pages(shared, document, recorder, _ANSWER_S))
    if not isinstance(job, OcrJob):
        raise InternalError
    return accepted(job)


@blueprint.get("/v1/ocr/jobs")
def show_all() -> Response:
    """The key's jobs, an admin's all; without their pages. Read from STATE_DIR, whether the broker answers or not."""
    owner, (after, limit, order) = auth.visible_owner(), paging(_MOST, _LISTED)
    found = service().state.read(lambda db: ocr_jobs.ROWS.page(db, owner, after=after, limit=limit + 1, order=order))
    return json_response(listed(OcrJobList, [_with_eta(job) for job in found], limit))


def _with_eta(job: OcrJob) -> OcrJobOut:
    eta_s = progress.eta_s(job.created, time.time(), job.done, job.total) if job.state == "running" else None
    return shapes.job_out(msgspec.structs.replace(job, eta_s=eta_s))


@blueprint.get("/v1/ocr/jobs/<name>")
def show(name: str) -> Response:
    view = _view()
    job, pages = _ask(name, pictures=view.overlay)
    return json_response(shapes.job_out(job, pages, view))


@blueprint.get("/v1/ocr/jobs/<name>/result")
def result(name: str) -> Response:
    """The finished document, in any format; a PDF only if the job was started for one."""
    job, pages = _ask(name, pictures=True)
    if job.state != "done":
        raise InvalidRequest(f"The job is {job.state}: it has no result.", param="id")
    wanted = request.args.get("format", job.format)
    if wanted not in get_args(Format):
        raise InvalidRequest(f"Invalid value for 'format': one of {', '.join(get_args(Format))}.", param="format")
    return formats.response(job.id, pages, job.bytes, cast("Format", wanted), _view(), job.pdf)


def _view() -> View:
    """What of the pages is shown: a job's fields decide what was read, these what is seen of it."""
    shown = {name: value for name, value in request.args.to_dict().items() if name != "format"}
    return View.of(OcrFields.model_validate(shown))


@blueprint.delete("/v1/ocr/jobs/<name>")
def cancel(name: str) -> Response:
    job, _ = _ask(name, "cancel")
    return json_response(shapes.job_out(job))


def _ask(
    name: str, action: Literal["get", "cancel"] = "get", *, pictures: bool = False
) -> tuple[OcrJob, list[OcrPage]]:
    question = OcrJobRequest(request_id(), name, action, pictures=pictures, owner=auth.visible_owner())
    try:
        *pages, job = collect(open_pages(service(), question, JobRecorder(service().metrics), _ANSWER_S))
    except NotFound as error:
        raise NotFound(error.message, param=error.param, sought=name) from None
    if not isinstance(job, OcrJob):
        raise InternalError
    return job, [page for page in pages if isinstance(page, OcrPage)]


# ---- events


@blueprint.get("/v1/ocr/jobs/<name>/events")
def watch(name: str) -> Response:
    """`page` and `job` events until the job has ended. `Last-Event-ID` goes on where a connection broke."""
    shared = service()
    question = OcrJobRequest(request_id(), name, "watch", _seen(), owner=auth.visible_owner())
    settings = shared.settings
    recorder = JobRecorder(shared.metrics)
    told = open_pages(shared, question, recorder, settings.ocr_job_ttl, settings.sse_ping_seconds)
    return stream(admitted(told, once=True), _JobWriter())


def _seen() -> int:
    """The last event a client has; all are sent again where it names none that could be."""
    named = _EVENT_ID.fullmatch(request.headers.get("Last-Event-ID", ""))
    return int(named[0]) if named else 0


class _JobWriter:
    """A stream of a job's states and pages; an event's id is what `Last-Event-ID` names."""

    def begin(self, prompt_tokens: int) -> bytes:  # noqa: ARG002  # as the protocol
        return b""

    def keep_alive(self, progress: PromptProgress | None) -> bytes:  # noqa: ARG002  # of a chat's prompt
        return streaming.PING

    def progress(self, progress: PromptProgress) -> bytes:  # noqa: ARG002  # as above
        return b""

    def event(self, event: PageEvent) -> bytes:
        if isinstance(event, OcrPage):
            data = msgspec.json.encode(shapes.page_out(event))
            return b"id: %d\nevent: page\ndata: %s\n\n" % (event.sequence, data)
        if isinstance(event, OcrJob):
            return b"event: job\ndata: %s\n\n" % msgspec.json.encode(shapes.job_out(event))
        return b""

    def failed(self, error: ServiceError) -> bytes:
        return streaming.sse(envelope(error))

    def end(self) -> bytes:
        return b""
