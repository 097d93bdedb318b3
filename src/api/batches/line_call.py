"""One line of a batch, asked of its endpoint's own view inside this process: what a live request of the same key would
be answered, as a `background` request and without a socket."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from flask import Flask, Response

from src.api.batches import inner_request
from src.api.state.batches import PendingLine, request_name


class _Spent(msgspec.Struct):
    total_tokens: int = 0


class _Answered(msgspec.Struct):
    usage: _Spent | None = None


@dataclass(frozen=True)
class LineAnswer:
    """`retry_after_s`: the service could not answer now; None is an outcome. `tokens`: what it took."""

    status: int
    body: bytes
    retry_after_s: float | None
    tokens: int = 0

    @property
    def failed(self) -> bool:
        return self.status >= 400


def ask(app: Flask, line: PendingLine, raw: bytes) -> LineAnswer:
    """The line's answer, as it stands in a batch's output."""
    name = uuid.uuid4().hex
    with inner_request.acting_for(app, line.owner, name, line.endpoint, _body(line.endpoint, raw)):
        rule, arguments = app.url_map.bind("").match(line.endpoint, "POST")
        response = inner_request.answer(app, partial(app.ensure_sync(app.view_functions[rule]), **arguments))
        data = response.get_data()
    after_s = inner_request.retry_after_s(response, data)
    return LineAnswer(response.status_code, _shown(line, name, response, data), after_s, _tokens(response, data))


def _body(endpoint: str, raw: bytes) -> bytes:
    """No line has a priority of its own."""
    body: dict[str, Any] = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))["body"]
    body.pop("priority", None)
    if endpoint == "/v1/ocr":  # its priority is a field
        body["priority"] = "background"
    return msgspec.json.encode(body)


def _tokens(response: Response, data: bytes) -> int:
    if response.mimetype != "application/json":
        return 0
    usage = msgspec.json.decode(data, type=_Answered).usage
    return usage.total_tokens if usage is not None else 0


def _shown(line: PendingLine, name: str, response: Response, data: bytes) -> bytes:
    body = msgspec.Raw(data) if response.mimetype == "application/json" else data.decode(errors="replace")
    answer = {"status_code": response.status_code, "request_id": name, "body": body}
    identity = request_name(line.batch, line.line.number)
    return msgspec.json.encode({"id": identity, "custom_id": line.line.custom_id, "response": answer, "error": None})
