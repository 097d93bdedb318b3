"""One line of a batch, asked of its endpoint's own view inside this process: what a live request of the same key would
be answered, as a `background` request and without a socket."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Flask, Response, g
from werkzeug.test import EnvironBuilder

from src import logs
from src.api.edge import auth
from src.api.edge.middleware import REQUEST_ID_KEY
from src.api.state.batches import PendingLine, request_name

# errors that say when to try again, and yet are this request's own
_FINAL = frozenset({"engine_crashed", "ocr_crashed"})


@dataclass(frozen=True)
class LineAnswer:
    """`retry_after_s`: the service could not answer now; None is an outcome."""

    status: int
    body: bytes
    retry_after_s: float | None

    @property
    def failed(self) -> bool:
        return self.status >= 400


def ask(app: Flask, line: PendingLine, raw: bytes) -> LineAnswer:
    """The line's answer, as it stands in a batch's output."""
    name = uuid.uuid4().hex
    logs.request_id.set(name)
    builder = EnvironBuilder(
        path=line.endpoint,
        method="POST",
        data=_body(line.endpoint, raw),
        content_type="application/json",
        headers=[("X-Priority", "background")],
    )
    environ = builder.get_environ() | {"REMOTE_ADDR": "", REQUEST_ID_KEY: name}
    auth.act_for(environ, line.owner)
    with app.request_context(environ):
        g.request_id = name
        response = _respond(app, line.endpoint)
        data = response.get_data()
    return LineAnswer(response.status_code, _shown(line, name, response, data), _retry_after(response, data))


def _body(endpoint: str, raw: bytes) -> bytes:
    """No line has a priority of its own."""
    body: dict[str, Any] = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))["body"]
    body.pop("priority", None)
    if endpoint == "/v1/ocr":  # its priority is a field
        body["priority"] = "background"
    return msgspec.json.encode(body)


def _respond(app: Flask, endpoint: str) -> Response:
    rule, arguments = app.url_map.bind("").match(endpoint, "POST")
    try:
        return app.make_response(app.ensure_sync(app.view_functions[rule])(**arguments))
    except Exception as error:  # noqa: BLE001  # as Flask does around a view: the error handlers answer it
        return app.make_response(app.handle_user_exception(error))


def _shown(line: PendingLine, name: str, response: Response, data: bytes) -> bytes:
    body = msgspec.Raw(data) if response.mimetype == "application/json" else data.decode(errors="replace")
    answer = {"status_code": response.status_code, "request_id": name, "body": body}
    identity = request_name(line.batch, line.line.number)
    return msgspec.json.encode({"id": identity, "custom_id": line.line.custom_id, "response": answer, "error": None})


def _retry_after(response: Response, data: bytes) -> float | None:
    after = response.headers.get("Retry-After")
    if after is None or msgspec.json.decode(data)["error"]["code"] in _FINAL:
        return None
    return float(after)
