"""/v1/batches: many requests in a file, answered when the machine is otherwise idle. A key sees its own alone."""

from __future__ import annotations

import sqlite3
import time

import msgspec
from flask import Blueprint, Response

from src.api.batches.schemas import BatchList, BatchRequest, batch_out, seconds_of
from src.api.edge import auth
from src.api.paging import listed, paging
from src.api.service import CONTROL_BYTES, json_body, json_response, service
from src.api.state import batches, files
from src.api.state.batches import StoredBatch
from src.errors import InvalidRequest
from src.settings import Settings
from src.state import ids

blueprint = Blueprint("batches", __name__)

_MOST, _PAGE = 100, 20


@blueprint.post("/v1/batches")
def create() -> Response:
    shared = service()
    body = BatchRequest.model_validate(json_body(limit=CONTROL_BYTES))
    owner, seen_by = auth.owner(), auth.visible_owner()
    batch = _new(body, owner, int(time.time()), shared.settings)

    def write(db: sqlite3.Connection) -> None:
        file = files.ROWS.get(db, seen_by, body.input_file_id)
        if file.purpose != "batch":
            text = f"The file's purpose is {file.purpose!r}: upload it with the purpose 'batch'."
            raise InvalidRequest(text, param="input_file_id")
        batches.insert(db, batch, shared.settings.batches_per_key)

    shared.state.run(write)
    shared.state.changed.set()
    return json_response(batch_out(batch))


def _new(body: BatchRequest, owner: str, now: int, settings: Settings) -> StoredBatch:
    return StoredBatch(
        id=ids.new_id("batch_", ids.mark_of(settings.state_path)),
        owner=owner,
        status="validating",
        endpoint=body.endpoint,
        input=body.input_file_id,
        completion_window=body.completion_window,
        metadata=None if body.metadata is None else msgspec.json.encode(body.metadata),
        model=None,
        errors=None,
        created=now,
        expires=now + seconds_of(body.completion_window),
        output_ttl=body.output_expires_after.seconds
        if body.output_expires_after is not None
        else int(settings.file_ttl),
    )


@blueprint.get("/v1/batches")
def show_all() -> Response:
    owner, (after, limit, order) = auth.visible_owner(), paging(_MOST, _PAGE)
    found = service().state.read(lambda db: batches.ROWS.page(db, owner, after=after, limit=limit + 1, order=order))
    return json_response(listed(BatchList, [batch_out(batch) for batch in found], limit))


@blueprint.get("/v1/batches/<batch_id>")
def show(batch_id: str) -> Response:
    owner = auth.visible_owner()
    return json_response(batch_out(service().state.read(lambda db: batches.ROWS.get(db, owner, batch_id))))


@blueprint.post("/v1/batches/<batch_id>/cancel")
def cancel(batch_id: str) -> Response:
    owner, now = auth.visible_owner(), int(time.time())
    batch = service().state.run(lambda db: batches.cancel(db, owner, batch_id, now))
    service().state.changed.set()
    return json_response(batch_out(batch))
