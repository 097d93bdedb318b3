"""What a client sent to be read: a form with a file, or JSON with base64. Its type is told by its first bytes alone.

Nothing is decoded, and nothing is ever fetched: a URL that is no `data:` URL is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec
from flask import request
from werkzeug.datastructures import FileStorage

from src.api.edge import auth
from src.api.files import stored
from src.api.ocr.schemas import ANNOTATIONS, OcrFields, OcrJsonRequest
from src.api.openai import disclosure
from src.api.service import json_body, request_id, service
from src.documents import kinds, pages
from src.errors import InvalidDocument, InvalidImage, InvalidRequest, UnsupportedMedia
from src.ipc.messages.base import Priority
from src.ipc.messages.ocr import OcrDocument, OcrRequest, Presence

_URL = re.compile(r"\s*(?!data:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HEAD = 64
_LONGEST_URL = 1024
_MISTRAL_CLIENT = "mistral-client"


@dataclass(frozen=True)
class Upload:
    """A file, and what is wanted of it."""

    data: bytes
    base64: bool
    kind: kinds.DocumentKind
    fields: OcrFields

    @property
    def paged(self) -> bool:
        return self.kind in kinds.PAGED

    def page(self) -> OcrRequest:
        """A file that is one image, as one page."""
        pages.select(self.fields.ranges(), 1)
        options, priority = self.fields.options(), self.fields.priority or "normal"
        return OcrRequest(request_id(), self.data, self.base64, options=options, priority=priority, owner=auth.owner())

    def document(self, as_job: Presence, max_pages: int, timeout_s: float, priority: Priority) -> OcrDocument:
        fields = self.fields
        return OcrDocument(
            request_id(),
            self.data,
            self.base64,
            fields.ranges(),
            fields.options(),
            fields.priority or priority,
            as_job,
            max_pages,
            timeout_s,
            fields.format,
            auth.owner(),
        )


def receive() -> Upload:
    """The request's file and fields.

    Raises:
        InvalidRequest: for fields that are wrong, or data that is nothing we read.
        UnsupportedMedia: for another content type.
    """
    upload = _from_json() if request.mimetype == "application/json" else _from_form()
    disclosure.note(*upload.fields.ignored)
    upload.fields.ranges()  # so that a bad selection is refused before anything is sent on
    return upload


def _from_json() -> Upload:
    body = _with_pages(OcrJsonRequest.model_validate(json_body()))
    if body.document is not None and body.document.file is not None:
        return _from_file(body, body.document.file, "document.file_id")
    text, param = body.text()
    if _URL.match(text[:_HEAD]):
        file = stored.id_in_url(text[:_LONGEST_URL])
        if file is not None:
            return _from_file(body, file, param)
        raise InvalidRequest(
            "Only data: URLs, base64 and files kept under /v1/files are read; nothing is fetched.", param=param
        )
    data = text.encode("ascii", "replace")
    kind = kinds.kind(kinds.base64_head(data))
    if kind is None:
        text = f"{param} must hold the base64 text or data URL of a {kinds.FORMATS} file."
        raise InvalidImage(text, param=param) if param == "image" else InvalidDocument(text, param=param)
    return Upload(data, base64=True, kind=kind, fields=body)


def _from_file(body: OcrJsonRequest, file_id: str, param: str) -> Upload:
    """One that the caller left under /v1/files."""
    data = stored.whole(file_id, service().settings.max_body_mb, param)
    kind = kinds.kind(data[: kinds.HEAD_BYTES])
    if kind is None:
        raise InvalidDocument(f"{file_id} is not a {kinds.FORMATS} file.", param=param)
    return Upload(data, base64=False, kind=kind, fields=body)


def _with_pages(body: OcrJsonRequest) -> OcrJsonRequest:
    """Mistral's client counts the pages of a string from 0, and so does whoever names page 0."""
    text = body.pages
    if not isinstance(text, str):
        return body
    if request.headers.get("User-Agent", "").startswith(_MISTRAL_CLIENT) or pages.names_page_zero(text):
        return body.model_copy(update={"pages": pages.from_zero(text)})
    return body


def _from_form() -> Upload:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMedia("Send multipart/form-data with a file, or application/json with a base64 document.")
    file: FileStorage | None = request.files.get("file") or request.files.get("image_file")
    if file is None:
        raise InvalidRequest("Missing required parameter: 'file'.", param="file")
    fields = OcrFields.model_validate(_parsed({**request.args.to_dict(), **request.form.to_dict()}))
    data = file.read()
    kind = kinds.kind(data[: kinds.HEAD_BYTES])
    if kind is None:
        what = "is empty (0 bytes)" if not data else f"is not a {kinds.FORMATS} file"
        raise InvalidImage(f"The file {what}.", param="file")
    return Upload(data, base64=False, kind=kind, fields=fields)


def _parsed(fields: dict[str, str]) -> dict[str, object]:
    """A form's values; those that are objects are JSON."""
    made: dict[str, object] = dict(fields)
    for name in ANNOTATIONS[:2]:
        if name in fields:
            try:
                made[name] = msgspec.json.decode(fields[name])
            except msgspec.DecodeError:
                raise InvalidRequest(f"{name!r} must be a JSON object.", param=name) from None
    return made
