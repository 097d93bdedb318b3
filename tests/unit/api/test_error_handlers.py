"""How an error becomes HTTP: one envelope for all of them."""

from __future__ import annotations

import msgspec
import pytest
from flask import Flask
from werkzeug.exceptions import BadGateway, Forbidden, ImATeapot

from src import logs
from src.api import error_handlers
from src.api.generation.inflight import ClientGone
from src.errors import InternalError, Overloaded, ServiceError, UnsupportedValue
from tests.unit.test_errors import KINDS


@pytest.fixture
def app() -> Flask:
    """Routes that fail in every way."""
    app = Flask(__name__)
    error_handlers.register(app)
    failures: dict[str, Exception] = {
        "bug": ValueError("secret detail"),
        "gone": ClientGone(),
        "teapot": ImATeapot(),
        "forbidden": Forbidden(),
        "gateway": BadGateway("secret detail"),
        "unsupported": UnsupportedValue("'seed' is not supported.", param="seed"),
    }

    @app.get("/<name>")
    def fail(name: str) -> str:
        raise failures[name]

    return app


@pytest.mark.parametrize("kind", KINDS)
def test_the_envelope_of_every_error(kind: type[ServiceError]) -> None:
    """OpenAI's four fields, always all of them, and the request id beside them."""
    token = logs.request_id.set("req-1")
    error = InternalError() if kind is InternalError else kind("what happened")
    body = msgspec.to_builtins(error_handlers.envelope(error))
    logs.request_id.reset(token)
    assert body == {
        "error": {"message": error.message, "type": kind.type, "param": None, "code": kind.code},
        "request_id": "req-1",
    }


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0.2, "1"), (1.0, "1"), (1.1, "2"), (30, "30")])
def test_retry_after(seconds: float | None, header: str | None, app: Flask) -> None:
    """Retry-After is whole seconds, at least one, and only there when we know."""
    with app.test_request_context("/"):  # the envelope's shape depends on the route
        response = error_handlers.respond(Overloaded("full", retry_after_s=seconds))
    assert response.status_code == 429
    assert response.headers.get("Retry-After") == header


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/unsupported", 400, "unsupported_value"),
        ("/a/b", 404, "not_found"),
        ("/bug", 500, "internal_error"),
        ("/gateway", 500, "internal_error"),
        ("/teapot", 400, "invalid_value"),
        ("/forbidden", 400, "invalid_value"),
    ],
)
def test_a_failure_in_a_view(path: str, status: int, code: str, app: Flask) -> None:
    """Ours, werkzeug's and everybody else's errors come out in the same shape; a bug's text does not come out."""
    response = app.test_client().get(path)
    assert response.status_code == status
    assert response.mimetype == "application/json"
    assert set(response.get_json()["error"]) == {"message", "type", "param", "code"}
    assert response.get_json()["error"]["code"] == code
    assert b"secret" not in response.data


def test_a_wrong_method_says_which_are_right(app: Flask) -> None:
    """405 comes with Allow."""
    response = app.test_client().delete("/bug")
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


def test_nobody_reads_the_answer_to_a_client_that_left(app: Flask) -> None:
    """A client that is gone is noted as nginx does, without a body."""
    response = app.test_client().get("/gone")
    assert (response.status_code, response.data) == (499, b"")
