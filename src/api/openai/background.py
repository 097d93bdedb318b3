"""Background responses, as clients see them: written down first, answered by the feeder, read whole or as a stream.

The stream is read from disk, from any event on, by as many as like; that a reader leaves ends nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import gevent
import msgspec
from flask import Response
from msgspec.structs import replace
from pydantic import TypeAdapter

from src.api.edge import auth
from src.api.generation import streaming
from src.api.generation.inflight import InFlightRequest
from src.api.openai import response_tools
from src.api.openai import schemas_responses as shapes
from src.api.openai.response_builder import ResponseBuilder, ResponseWriter
from src.api.openai.response_store import Stored
from src.api.openai.response_tools import Offered
from src.api.openai.schemas_responses import ResponseOut, ResponsesRequest
from src.api.service import json_response, service, watch_client
from src.api.state import responses
from src.api.state.database import Database
from src.api.state.responses import RUNS, ResponseStatus, ResponseWork, StoredEvents, StoredResponse
from src.errors import InvalidRequest, ServiceError

RUN_EVENT = 2  # the first that a run gives, behind `created` and `queued`
_TOOLS = TypeAdapter(list[shapes.ResponseTool])
_POLL_S = 0.1
_DECODE = msgspec.json.Decoder(ResponseOut).decode
_ENCODE = msgspec.json.Encoder().encode


def check(own: ResponsesRequest) -> None:
    """Raises InvalidRequest for what cannot go together."""
    if own.background and own.store is False:
        raise InvalidRequest("A background response is kept until it is read: store cannot be false.", param="store")


def begin(first: ResponseOut, work: ResponseWork, items: list[dict[str, Any]], *, stream: bool) -> Response:
    """Write a response down; it is queued."""
    shared, owner = service(), auth.owner()
    queued = replace(first, status="queued")
    writer = ResponseWriter(ResponseBuilder(queued, {}, lambda _: None))
    events = StoredEvents(0, [writer.status("created", queued), writer.status("queued", queued)])
    row = replace(stored(queued, owner, first.created_at), items=_ENCODE(items))
    most = shared.settings.background_responses_per_key
    shared.state.run(lambda db: responses.insert(db, row, work, events, most))
    shared.state.changed.set()
    return read_stream(first.id, -1) if stream else json_response(queued)


def stored(response: ResponseOut, owner: str, now: int) -> StoredResponse:
    """As it is kept, but for its items."""
    status: ResponseStatus = response.status  # type: ignore[assignment]  # these are all there are
    ended = None if status in RUNS else now
    return StoredResponse(response.id, owner, status, response.created_at, _ENCODE(response), b"[]", ended)


def offered(work: ResponseWork) -> dict[str, Offered]:
    """Its tools, by the names the model knows."""
    return response_tools.offered(_TOOLS.validate_python(work.tools))


# ---- one that is there


def find(owner: str | None, name: str) -> Stored | None:
    """`owner` None is anybody's."""
    row = service().state.read(lambda db: responses.ROWS.find(db, owner, name))
    return None if row is None else Stored(_DECODE(row.response), msgspec.json.decode(row.items))


def cancel(owner: str | None, name: str) -> ResponseOut:
    """End it, if it has not ended. Raises NotFound."""
    state, now = service().state, int(time.time())
    ended = state.run(lambda db: end(db, name, now, owner))
    state.changed.set()
    return ended


def end(db: sqlite3.Connection, name: str, now: int, owner: str | None = None) -> ResponseOut:
    """`cancel` in one transaction."""
    row = responses.ROWS.get(db, owner, name)
    shown = replace(_DECODE(row.response), status="cancelled")
    responses.cancel(db, replace(row, response=_ENCODE(shown)), now)
    return _DECODE(responses.ROWS.get(db, owner, name).response)


def delete(owner: str | None, name: str) -> None:
    """Also one that runs: its run ends without a trace. Raises NotFound."""
    state = service().state

    def remove(db: sqlite3.Connection) -> None:
        responses.delete(db, [responses.ROWS.get(db, owner, name).id])

    state.run(remove)
    state.changed.set()


# ---- its stream


def read_stream(name: str, after: int) -> Response:
    """The events behind number `after`, to the last one there will be."""
    shared, client = service(), watch_client()
    reader = _Reader(shared.state, name, after + 1, shared.settings.sse_ping_seconds)
    return streaming.respond(reader.read(client), reader.broken, client.close)


class _Reader:
    """Reads one stream for one client; `number` is the next event's."""

    def __init__(self, state: Database, name: str, number: int, ping_s: float) -> None:
        self._state, self._name, self._number, self._ping_s = state, name, number, ping_s

    def read(self, client: InFlightRequest) -> Iterator[bytes]:
        said = time.monotonic()
        while True:
            client.check()
            chunks, running = self._state.read(self._look)
            if chunks:
                yield b"".join(event for chunk in chunks for event in self._new(chunk))
            elif not running:
                return
            elif time.monotonic() - said < self._ping_s:
                gevent.sleep(_POLL_S)
                continue
            else:
                yield streaming.PING
            said = time.monotonic()

    def broken(self, error: ServiceError) -> bytes:
        return streaming.named_sse("error", shapes.StreamBroken(error.code, error.message, self._number))

    def _look(self, db: sqlite3.Connection) -> tuple[list[StoredEvents], bool]:
        running = responses.is_running(db, self._name)  # first: the events of what ended before are all seen
        return responses.events(db, self._name, self._number), running

    def _new(self, chunk: StoredEvents) -> list[bytes]:
        new = chunk.events[max(0, self._number - chunk.number) :]
        self._number = chunk.number + len(chunk.events)
        return new
