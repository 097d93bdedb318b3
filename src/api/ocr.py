"""POST /v1/ocr: one image in, its text out. Nothing is decoded here but the first bytes, to tell the type."""

from __future__ import annotations

import time

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from src.api import convert
from src.api.answer import Answer, ClientGone
from src.api.schemas import OcrJsonRequest
from src.api.service import Service, json_body, json_response, request_id, service
from src.errors import InvalidImage, InvalidRequest, OcrCrashed, Overloaded, ServiceError, UnsupportedMedia
from src.ipc import images
from src.ipc.messages import OcrRequest, OcrResult

blueprint = Blueprint("ocr", __name__)

_FORMATS = "PNG, JPEG, WebP, TIFF or BMP"
_GRACE_S = 10.0


@blueprint.post("/v1/ocr")
def read() -> Response:
    shared = service()
    with shared.inflight.reading():
        page = _from_json() if request.mimetype == "application/json" else _from_form()
    began = time.monotonic()
    outcome = "error"
    try:
        result = _recognize(shared, page)
        outcome = "ok"
    except ClientGone:
        outcome = "abort"
        shared.metrics.disconnects.labels("ocr").inc()
        raise
    except ServiceError as error:
        outcome = "overloaded" if isinstance(error, Overloaded) else "invalid" if error.status < 500 else "error"
        raise
    finally:
        shared.metrics.ocr_jobs.labels(outcome).inc()
        shared.metrics.ocr_seconds.observe(time.monotonic() - began)
    return json_response(convert.ocr_page(result, request_id()))


def _recognize(shared: Service, page: OcrRequest) -> OcrResult:
    settings = shared.settings
    answer = Answer(
        lambda: shared.backends.open_ocr(page),
        inflight=shared.inflight,
        environ=request.environ,
        crashed=OcrCrashed("The OCR service died while it worked on this page; it is restarted.", retry_after_s=3.0),
        # one wait in the queue, the page, and its one retry
        timeout_s=settings.ocr_queue_timeout + 2 * settings.ocr_page_timeout + _GRACE_S,
    )
    try:
        return _outcome(answer)
    finally:
        answer.close()


def _outcome(answer: Answer) -> OcrResult:
    while True:
        for event in answer.next_batch(60.0) or ():
            if isinstance(event, OcrResult):
                return event


def _from_json() -> OcrRequest:
    body = OcrJsonRequest.model_validate(json_body())
    text = body.image.encode("ascii", "replace")
    if images.kind(images.base64_head(text)) is None:
        raise InvalidImage(f"image must be the base64 text or data URL of a {_FORMATS} file.", param="image")
    return OcrRequest(request_id(), text, base64=True)


def _from_form() -> OcrRequest:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMedia("Send multipart/form-data with a file, or application/json with a base64 image.")
    file: FileStorage | None = request.files.get("file") or request.files.get("image_file")
    if file is None:
        raise InvalidRequest("Missing required parameter: 'file'.", param="file")
    data = file.read()
    if images.kind(data[: images.HEAD_BYTES]) is None:
        raise InvalidImage(f"The file is not a {_FORMATS} image.", param="file")
    return OcrRequest(request_id(), data)
