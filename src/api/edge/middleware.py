"""Around every request, as WSGI middleware: its id, the body limit, the access line, the HTTP metrics.

Middleware rather than Flask hooks: a connection's requests share one greenlet, and a streamed response outlives the
application context.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, g, request

from src import logs
from src.api import access_facts, owner
from src.api.body import BODY_KEY, BoundedBody
from src.api.tracing.traces import TRACE_KEY, Off, Tracing
from src.metrics import Metrics

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

REQUEST_ID_KEY = "stoker.request_id"
_CLIENT_ID_KEY = "stoker.client_request_id"  # of X-Request-Id: echoed and logged, never an identity
_ROUTE_KEY = "stoker.route"
SCOPE_KEY = "stoker.limit"  # which limit refused it; written by `limits`
# asked for every second by the supervisor and by monitors: logged at DEBUG
_PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})
_OK_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# of this many characters is the rest of a path or user agent cut in the log
_MAX_LOGGED = 256


@dataclass(frozen=True)
class Uploads:
    """The route whose bodies go to disk as they come, and how long they may be, and take."""

    route: str
    limit: int
    seconds: float


def install(
    app: Flask,
    metrics: Metrics,
    open_body: Callable[[Environ], BoundedBody],
    client_timeout_s: float = 60.0,
    uploads: Uploads | None = None,
    tracing: Tracing | None = None,
) -> None:
    """Wrap the application and tell the middleware what only Flask knows."""
    app.config["MAX_CONTENT_LENGTH"] = None  # ours counts chunked bodies too
    app.before_request(lambda: _adopt(uploads))
    wrapped = RequestMiddleware(app.wsgi_app, metrics, open_body, client_timeout_s, tracing or Off())
    app.wsgi_app = wrapped  # type: ignore[method-assign]  # as Flask's documentation wraps it


def _adopt(uploads: Uploads | None) -> None:
    g.request_id = request.environ[REQUEST_ID_KEY]
    request.environ[_ROUTE_KEY] = request.url_rule.rule if request.url_rule is not None else "unmatched"
    body = cast(BoundedBody, request.environ["wsgi.input"])
    if uploads is not None and (request.method, request.environ[_ROUTE_KEY]) == ("POST", uploads.route):
        body.stream_to_disk(uploads.limit, uploads.seconds, request.content_length)
    else:
        body.narrow(body.limit, request.content_length)


class RequestMiddleware:
    """Outermost middleware."""

    def __init__(
        self,
        app: WsgiApp,
        metrics: Metrics,
        open_body: Callable[[Environ], BoundedBody],
        client_timeout_s: float,
        tracing: Tracing,
    ) -> None:
        self._tracing = tracing
        self._app = app
        self._client_timeout_s = client_timeout_s
        self._metrics = metrics
        self._open_body = open_body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        environ[REQUEST_ID_KEY] = request_id = uuid.uuid4().hex
        environ[_CLIENT_ID_KEY] = client_id = given if _OK_ID.fullmatch(given) else None
        logs.request_id.set(request_id)
        logs.client_request_id.set(client_id)
        environ["wsgi.input"] = environ[BODY_KEY] = body = self._open_body(environ)
        _limit_silence(environ, self._client_timeout_s)
        if environ.get("PATH_INFO") not in _PROBES:
            environ[TRACE_KEY] = self._tracing.request(environ)
        exchange = Exchange(environ, self._metrics, body.close)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            exchange.status = status[:3]
            return start_response(status, [*headers, ("X-Request-Id", client_id or request_id)], exc_info)

        try:
            exchange.body = self._app(environ, start)
        except BaseException:  # this greenlet is ended: nobody will close the exchange
            body.close()
            raise
        return exchange


def _limit_silence(environ: Environ, seconds: float | None) -> None:
    """No read from and no write to the client may take longer: one that does not read must not hold its slot."""
    sock = environ.get("gunicorn.socket")
    if sock is not None:
        with suppress(OSError):
            sock.settimeout(seconds)


class Exchange:
    """A response on its way out; when it ends, for whatever reason, it is logged and counted once."""

    def __init__(self, environ: Environ, metrics: Metrics, release: Callable[[], None]) -> None:
        self._environ = environ
        self._release = release
        self._metrics = metrics
        self._began = time.monotonic()
        self._facts = access_facts.begin()
        self._bytes = 0
        self.status = "500"
        self.body: Iterable[bytes] = ()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.body:
            self._bytes += len(chunk)
            yield chunk

    def close(self) -> None:
        close = getattr(self.body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._release()
            _limit_silence(self._environ, None)  # the wait for the next request has its own limit
            self._account()

    def _account(self) -> None:
        environ, seconds = self._environ, time.monotonic() - self._began
        method, route = _method(environ), environ.get(_ROUTE_KEY, "unmatched")
        self._metrics.http_requests.labels(method, route, self.status).inc()
        self._metrics.http_seconds.labels(method, route).observe(seconds)
        if self.status == "429":
            self._metrics.rate_limited.labels(environ.get(SCOPE_KEY, route)).inc()
        if (trace := environ.get(TRACE_KEY)) is not None:
            trace.ended(method, route, int(self.status))
        path, ms = environ.get("PATH_INFO", "")[:_MAX_LOGGED], round(seconds * 1000, 1)
        line = logs.api.bind(
            request_id=environ[REQUEST_ID_KEY],
            client_request_id=environ[_CLIENT_ID_KEY],
            method=method,
            path=path,
            status=int(self.status),
            bytes=self._bytes,
            ms=ms,
            client=environ.get("REMOTE_ADDR"),
            key=environ.get(owner.KEY_NAME),
            user_agent=environ.get("HTTP_USER_AGENT", "")[:_MAX_LOGGED],
            **self._facts.shown(),
        )
        # text that a client chose is an argument, cut and escaped, never the format
        line.log("DEBUG" if route in _PROBES else "INFO", "{} {!r} {} {} ms", method, path, self.status, ms)


def _method(environ: Environ) -> str:
    """A method as a label: bounded, whatever a client invents."""
    method = environ.get("REQUEST_METHOD", "")
    return method if method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS") else "other"
