"""/v1/files: what clients leave for batches and OCR, and what batches answer. A key sees its own files alone."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator

import gevent
from flask import Blueprint, Response, request

from src.api.batches.validation import check_upload
from src.api.edge import auth
from src.api.files.schemas import FileDeleted, FileList, FileUrl, file_out
from src.api.files.stored import find, pieces
from src.api.files.upload import FileUpload, Receiver
from src.api.paging import listed, paging
from src.api.service import json_response, service
from src.api.state import files
from src.api.state.database import Database
from src.api.state.files import FileBounds, StoredFile
from src.settings import Settings
from src.state import ids

blueprint = Blueprint("files", __name__)

_ROWS = 64
_MOST = 10_000


@blueprint.post("/v1/files")
def create() -> Response:
    shared = service()
    owner, bounds = auth.owner(), _bounds(shared.settings)
    announced = request.content_length or 0
    shared.state.run(lambda db: files.check_room(db, owner, announced, bounds))
    receiver = Receiver(shared.state.blobs, shared.settings.file_max_mb << 20)
    try:
        upload = receiver.receive()
        _check_lines(upload, shared.settings.batch_line_kb << 10)
        file = _described(upload, owner, int(time.time()), shared.settings)
        shared.state.run(lambda db: _keep(db, upload, file, bounds, shared.state))
    finally:
        receiver.close()
    return json_response(file_out(file))


def _check_lines(upload: FileUpload, longest: int) -> None:
    """A batch's input, before it is kept. Other requests have their turn between some lines and the next."""
    if upload.purpose == "batch":
        with upload.writer.path.open("rb") as blob:
            for _ in check_upload(blob, longest):
                gevent.sleep(0)


def _described(upload: FileUpload, owner: str, now: int, settings: Settings) -> StoredFile:
    after_s = upload.expires_after_s or int(settings.file_ttl)
    expires = now + after_s if after_s else None
    name = ids.new_id("file-", ids.mark_of(settings.state_path))
    return StoredFile(name, owner, upload.purpose, upload.name, upload.writer.size, now, expires)


def _keep(db: sqlite3.Connection, upload: FileUpload, file: StoredFile, bounds: FileBounds, state: Database) -> None:
    """The blob first: without its row it is swept up, a row without its blob would be a lie."""
    files.check_room(db, file.owner, file.bytes, bounds)
    with upload.writer.path.open("rb") as blob:
        os.fsync(blob.fileno())
    upload.writer.path.rename(state.blob(file.id))
    files.insert(db, file)


def _bounds(settings: Settings) -> FileBounds:
    return FileBounds(settings.files_per_key_mb << 20, settings.files_mb << 20, settings.files_per_key)


@blueprint.get("/v1/files")
def show_all() -> Response:
    owner, (after, limit, order) = auth.visible_owner(), paging(_MOST)
    purpose = request.args.get("purpose")
    found = service().state.read(
        lambda db: files.ROWS.page(db, owner, after=after, limit=limit + 1, order=order, purpose=purpose)
    )
    return json_response(listed(FileList, [file_out(file) for file in found], limit))


@blueprint.get("/v1/files/<file_id>")
def show(file_id: str) -> Response:
    return json_response(file_out(find(file_id)))


@blueprint.delete("/v1/files/<file_id>")
def delete(file_id: str) -> Response:
    owner, state = auth.visible_owner(), service().state

    def remove(db: sqlite3.Connection) -> None:
        file = files.ROWS.get(db, owner, file_id)
        files.delete(db, file)

    state.run(remove)
    state.blob(file_id).unlink(missing_ok=True)
    return json_response(FileDeleted(file_id))


@blueprint.get("/v1/files/<file_id>/url")
def address(file_id: str) -> Response:
    """Mistral's signed URL: here it needs the key, as the content does. OCR reads it without fetching anything."""
    return json_response(FileUrl(f"{request.host_url}v1/files/{find(file_id).id}/content"))


@blueprint.get("/v1/files/<file_id>/content")
def content(file_id: str) -> Response:
    file, state = find(file_id), service().state
    body = pieces(state, file) if file.batch is None else _outcomes(state, file)
    response = Response(body, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if file.batch is None:
        response.content_length = file.bytes
    return response


def _outcomes(state: Database, file: StoredFile) -> Iterator[bytes]:
    """What a batch has answered so far, in the order of its input."""
    after = 0
    while rows := state.read(lambda db: files.outcomes(db, file, after, _ROWS)):  # noqa: B023  # it runs at once
        yield b"".join(body + b"\n" for _, body in rows)
        after = rows[-1][0]
