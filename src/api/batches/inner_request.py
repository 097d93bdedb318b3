"""A request that this process asks of itself, for a key that left work here: no socket, no client. Web process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from flask import Flask, Response, g
from flask.typing import ResponseReturnValue
from werkzeug.test import EnvironBuilder

from src import logs
from src.api.edge import auth
from src.api.edge.middleware import REQUEST_ID_KEY

# errors that say when to try again, and yet are this request's own
_FINAL = frozenset({"engine_crashed", "ocr_crashed"})


@contextmanager
def acting_for(app: Flask, owner: str, name: str, path: str, body: bytes = b"") -> Iterator[None]:
    """The context of a background request `name`, made with this owner's key."""
    logs.request_id.set(name)
    headers = [("X-Priority", "background")]
    builder = EnvironBuilder(path=path, method="POST", data=body, content_type="application/json", headers=headers)
    environ = builder.get_environ() | {"REMOTE_ADDR": "", REQUEST_ID_KEY: name}
    auth.act_for(environ, owner)
    with app.request_context(environ):
        g.request_id = name
        yield


def answer(app: Flask, view: Callable[[], ResponseReturnValue]) -> Response:
    """What the view gives, or the error that a client would be given."""
    try:
        return app.make_response(view())
    except Exception as error:  # noqa: BLE001  # as Flask does around a view: the error handlers answer it
        return app.make_response(app.handle_user_exception(error))


def retry_after_s(response: Response, data: bytes) -> float | None:
    """Seconds after which the service may be able to answer; None is an outcome."""
    after = response.headers.get("Retry-After")
    if after is None or msgspec.json.decode(data)["error"]["code"] in _FINAL:
        return None
    return float(after)
