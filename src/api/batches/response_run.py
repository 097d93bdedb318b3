"""One background response at its engine: from where its stored stream ends to its outcome. Web process, the feeder's.

Nothing is shown before it is on disk: what a client has read of the stream is never made again another way.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

import msgspec
from flask import Flask, Response
from msgspec.structs import replace

from src.api.batches import inner_request
from src.api.generation.streaming import Event, admitted
from src.api.openai import background, translation
from src.api.openai.response_builder import ResponseBuilder, ResponseWriter
from src.api.openai.response_input import items_of
from src.api.openai.schemas_responses import ResponseOut
from src.api.service import Service
from src.api.state import conversations, responses
from src.api.state.database import Database
from src.api.state.responses import PendingResponse, ResponseWork, StoredEvents
from src.errors import ServiceError, from_code
from src.ipc.messages.chat import Delta, Finished, GenerateRequest

_PATH = "/v1/responses"
_FLUSH_S = 0.2  # the stream's grain: a transaction at most so often


class ResponseRun:
    """`attempt` until it says that there is an outcome. `tokens`: what that took."""

    def __init__(self, app: Flask, service: Service, pending: PendingResponse) -> None:
        self._app, self._state, self._pending = app, service.state, pending
        self._most_items = service.settings.conversation_items
        self.tokens = 0

    def attempt(self) -> float | None:
        """Seconds until it is worth trying again; None when it has an outcome, or is gone."""
        name = self._pending.id.removeprefix("resp_")
        with inner_request.acting_for(self._app, self._pending.owner, name, _PATH):
            answer = inner_request.answer(self._app, self._generate)
            data = answer.get_data()
        after_s = inner_request.retry_after_s(answer, data)
        if answer.status_code >= 400 and after_s is None:
            error = msgspec.json.decode(data)["error"]
            self._fail(from_code(error["code"], error["message"]))
        return after_s

    def _generate(self) -> Response:
        work = self._state.read(lambda db: responses.work_of(db, self._pending.id))
        if work is not None:
            self._run(_StoredStream(self._state, self._pending, work, self._most_items))
        return Response(status=204)

    def _run(self, stream: _StoredStream) -> None:
        generation = translation.open_generation(stream.request)
        try:
            admitted(generation)
            for events in generation.batches() if stream.begin() else ():
                if not stream.take(events):
                    break
            self.tokens = stream.tokens
        finally:
            generation.close()

    def _fail(self, error: ServiceError) -> None:
        work = self._state.read(lambda db: responses.work_of(db, self._pending.id))
        if work is not None:
            _StoredStream(self._state, self._pending, work, self._most_items).fail(error)


class _StoredStream:
    """What is stored of a response's stream, brought to life, and the one way to more of it.

    `request`: what its engine is asked, behind the tokens that are there. `tokens`: what its answer took.
    """

    def __init__(
        self,
        state: Database,
        pending: PendingResponse,
        work: ResponseWork,
        most_items: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state, self._pending, self._clock = state, pending, clock
        stored = state.read(lambda db: responses.ROWS.get(db, None, pending.id))
        self._added = msgspec.json.decode(stored.items)[-work.added :] if work.added else []
        self._most_items = most_items
        self._queued, self.tokens = stored.status == "queued", 0
        self._first = replace(msgspec.json.decode(stored.response, type=ResponseOut), status="in_progress")
        self._form = ResponseBuilder(self._first, background.offered(work), lambda _: None)
        self._writer = ResponseWriter(self._form, background.RUN_EVENT)
        self._begun = self._writer.status("in_progress", self._first)
        self.request = self._replayed(work.generate)
        self._start_chunk()

    def begin(self) -> bool:
        """It runs now. False when it has an outcome already, as for the others."""
        return not self._queued or self._write(self._first, StoredEvents(background.RUN_EVENT, [self._begun]))

    def take(self, events: list[Event]) -> bool:
        self._events += [made for event in events for made in self._writer.events(event)]
        self._deltas += [event for event in events if isinstance(event, Delta)]
        if events and isinstance(events[-1], Finished):
            usage = events[-1].usage
            self.tokens = usage.prompt_tokens + usage.completion_tokens
            self._flush(self._form.finished(events[-1]))
            return False
        if not self._events or self._clock() - self._flushed < _FLUSH_S:
            return True
        return self._flush(self._first)

    def fail(self, error: ServiceError) -> None:
        self._events.append(self._writer.failed(error))
        self._flush(self._form.failed(error))

    def _replayed(self, request: GenerateRequest) -> GenerateRequest:
        name = self._pending.id
        deltas = self._state.read(lambda db: responses.deltas(db, name))
        if any(delta.unreported_tokens for delta in deltas):  # nobody can go on behind these
            deltas = []
            self._state.run(lambda db: responses.restart(db, name, self._writer.number))
        for delta in deltas:
            self._writer.event(delta)
        return replace(request, prefix=tuple(token for delta in deltas for token in delta.tokens))

    def _flush(self, response: ResponseOut) -> bool:
        kept = self._write(response, StoredEvents(self._number, self._events, self._deltas))
        self._start_chunk()
        return kept

    def _start_chunk(self) -> None:
        self._number, self._flushed = self._writer.number, self._clock()
        self._events: list[bytes] = []
        self._deltas: list[Delta] = []

    def _write(self, response: ResponseOut, chunk: StoredEvents) -> bool:
        stored = background.stored(response, self._pending.owner, int(time.time()))
        return self._state.run(lambda db: responses.extend(db, stored, chunk) and self._tell(db, response))

    def _tell(self, db: sqlite3.Connection, response: ResponseOut) -> bool:
        """Its conversation, in the same transaction."""
        if response.conversation is not None and response.status in ("completed", "incomplete"):
            made = items_of(response, self._added)
            conversations.append(db, response.conversation.id, made, self._most_items, int(time.time()))
        return True
