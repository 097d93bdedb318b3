"""The one place an error becomes HTTP: the OpenAI envelope, its status, its headers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import msgspec
from flask import Flask, Response, request
from loguru import logger
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from src import logs
from src.api import anthropic_errors, paths
from src.api.generation.inflight import ClientGone
from src.api.wire import ErrorBody, ErrorEnvelope, PlainError, Wire
from src.errors import (
    InsufficientQuota,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMedia,
)

# what nginx logs for a client that left; nobody reads it
_CLIENT_CLOSED = 499
_WHO_MAY = (401, 403)
# Ollama's routes, also asked with a wrong method, and those that are not served here
_OLLAMA = re.compile(
    r"/api/(chat|generate|embed|embeddings|tags|show|ps|version|pull|delete|create|copy|push|blobs/[^/]*)/?"
)
# how pydantic names our classes
_OURS = re.compile(r"[A-Z]\w*[a-z]\w*")
_CLASS = re.compile(r" or instance of \w+")


def register(app: Flask, keeper_of: Callable[[str], str | None] = lambda _: None) -> None:
    """`keeper_of`: what the other instance is called that made an id, if one did."""
    app.register_error_handler(ServiceError, respond)
    app.register_error_handler(NotFound, lambda error: respond(_with_keeper(error, keeper_of)))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ValidationError, lambda error: respond(from_validation(error)))
    app.register_error_handler(ClientGone, lambda _: Response(status=_CLIENT_CLOSED))
    app.register_error_handler(Exception, _unexpected)


def envelope(error: ServiceError) -> ErrorEnvelope:
    """The body of an error, in a response or as an SSE event."""
    shown_id = logs.client_request_id.get() or logs.request_id.get()
    return ErrorEnvelope(ErrorBody(error.message, error.type, error.param, error.code), shown_id)


def speaks_anthropic() -> bool:
    """Whether this request is one of Anthropic's API: by its route, or on a shared one by its header."""
    path = request.url_rule.rule if request.url_rule is not None else request.path  # also by another spelling (`paths`)
    return path.startswith("/v1/messages") or (path.startswith("/v1/models") and "anthropic-version" in request.headers)


def _speaks_ollama() -> bool:
    return (request.blueprint or "").startswith("ollama") or _OLLAMA.fullmatch(request.path) is not None


def _shown(error: ServiceError) -> Wire:
    """As its wire has it. Ollama's clients read a text; who may ask is answered there as everywhere."""
    shown = envelope(error)
    if speaks_anthropic():
        return anthropic_errors.envelope(error, shown.request_id)
    if error.status in _WHO_MAY or not _speaks_ollama():
        return shown
    named = error.param is None or error.param in error.message
    return PlainError(error.message if named else f"{error.param}: {error.message}")


def respond(error: ServiceError) -> Response:
    response = Response(msgspec.json.encode(_shown(error)), error.status, mimetype="application/json")
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, InsufficientQuota):
        response.headers["x-should-retry"] = "false"  # OpenAI's and Anthropic's SDKs would ask again at once
    return response


def _with_keeper(error: NotFound, keeper_of: Callable[[str], str | None]) -> NotFound:
    if error.sought is None or (keeper := keeper_of(error.sought)) is None:
        return error
    text = f"{error.message} Its id is one of {keeper}'s, which keeps what it took: send all of a key to one instance."
    return NotFound(text, param=error.param)


def from_validation(error: ValidationError) -> InvalidRequest:
    """The deepest problem pydantic found, with the field's path as OpenAI writes it. Values are not repeated."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    # of a union's members the one that got furthest, and of those the one whose type was right
    problem = max(problems, key=lambda item: (len(item["loc"]), not item["type"].endswith("_type")))
    param = _path(problem["loc"])
    if problem["type"] == "missing":
        return InvalidRequest(f"Missing required parameter: {param!r}.", param=param)
    text = _CLASS.sub("", problem["msg"])
    return InvalidRequest(f"Invalid value for {param!r}: {text}.", param=param)


def _path(loc: tuple[int | str, ...]) -> str:
    """`('messages', 0, 'content', 'str')` → `messages[0].content`: pydantic's names of union members are left out."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part not in ("str", "int", "bool", "float") and not _OURS.fullmatch(part):
            path += f".{part}" if path else part
    return path


def _http(error: HTTPException) -> Response:
    """Flask's own refusals, in our envelope. Their texts are werkzeug's, without user input."""
    kinds: dict[int, type[ServiceError]] = {
        405: MethodNotAllowed,
        413: PayloadTooLarge,
        415: UnsupportedMedia,
    }
    status = error.code or 500
    if status == 404:
        return respond(paths.no_such_route(request.path))
    kind = kinds.get(status, InvalidRequest if status < 500 else InternalError)
    response = respond(InternalError() if kind is InternalError else kind(error.description or error.name))
    allow = error.get_response().headers.get("Allow")
    if allow:
        response.headers["Allow"] = allow
    return response


def _unexpected(error: Exception) -> Response:
    logger.opt(exception=error).error("unexpected error in a request")
    return respond(InternalError())
