"""Gunicorn's side of the web process: the worker class and its logger.

Gunicorn imports this in its unpatched master: nothing of ours that opens sockets or reads settings is imported here.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import select
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gevent
from gevent import monkey
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from src.api.edge.connection_limits import RESERVE, Connection, Connections, over
from src.api.process.listeners import refuse_new

# what sockets say of a client that cannot be reached any more, beside what is a ConnectionError
_CLIENT_LOST = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOTCONN, errno.EBADF})
_TICK_S = 0.2
# after TERM every listener is closed and every idle connection told within this
LISTENERS_CLOSED_S = 1.0
_ACCEPTED_S = 0.05  # what waits in a listener's queue is accepted within this


# what is refused before the application sees it; the first that fits. No text repeats what came.
_REFUSALS: tuple[tuple[type[Exception], int, str, str, str], ...] = (
    (errors.InvalidResponseHeader, 500, "Internal Server Error", "internal_error", "An internal error occurred."),
    (errors.ExpectationFailed, 417, "Expectation Failed", "invalid_value", "Expect: only 100-continue is supported."),
    (errors.LimitRequestLine, 414, "URI Too Long", "invalid_value", "The request line is too long."),
    (
        errors.LimitRequestHeaders,
        431,
        "Request Header Fields Too Large",
        "invalid_value",
        "The headers are too many or too long.",
    ),
    (
        errors.UnsupportedTransferCoding,
        501,
        "Not Implemented",
        "unsupported_value",
        "Transfer-Encoding: only chunked is supported.",
    ),
    (errors.ForbiddenProxyRequest, 403, "Forbidden", "forbidden", "This proxy is not listed."),
    (errors.ParseException, 400, "Bad Request", "invalid_value", "The request is not valid HTTP."),
    (Exception, 500, "Internal Server Error", "internal_error", "An internal error occurred."),
)
_WRITE_S = 5.0


class ServiceWorker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gevent worker that bounds its connections, and that ends without losing a request.

    `last_answers`: each answer ends its connection. `linger_s`: how long its clients may still bring a request on idle
    connections once it is to end. `owns_listeners`: nobody else is to take what they are sent. `at_end` is called when
    the last request has ended.
    """

    last_answers = False
    linger_s = 0.0
    owns_listeners = False
    at_end: Callable[[], None] = staticmethod(lambda: None)

    def init_process(self) -> None:
        self.connections = Connections(self.worker_connections, 0)  # until `lifetime` has read the settings
        self._current: dict[Any, Connection] = {}  # by greenlet
        self.worker_connections += RESERVE  # the pool's; who goes at the cap is ours to say
        super().init_process()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        greenlet = gevent.getcurrent()
        connection = self.connections.open(_host(addr), lambda: _end_input(client))
        self._current[greenlet] = connection
        try:
            super().handle(listener, client, addr)
        finally:
            del self._current[greenlet]
            self.connections.remove(connection)

    @contextlib.contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Entered only while waiting for a request's head: who is inside is idle."""
        connection = self._current[gevent.getcurrent()]
        self.connections.wait(connection)
        try:
            with gevent.Timeout(self.cfg.keepalive, False):
                yield
        finally:
            over.set(self.connections.begin(connection))

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        if self.last_answers or over.get() is not None or self._current[gevent.getcurrent()].ending:
            req.force_close()
        return super().handle_request(listener_name, req, sock, addr)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ARG002  # gunicorn's
        """Answer what never reaches the application in the same envelope as everything else."""
        _, status, reason, code, text = next(entry for entry in _REFUSALS if isinstance(exc, entry[0]))
        log = self.log.warning if status != 500 else self.log.exception
        log("request refused before the application: %s from %s", type(exc).__name__, (addr or ("",))[0])
        with contextlib.suppress(OSError):
            client.settimeout(_WRITE_S)
            client.sendall(refusal(status, reason, code, text, uuid.uuid4().hex))

    def run(self) -> None:
        """As gunicorn's, but that nothing it has been sent is lost when the listeners close."""
        servers = [self._listen(sock) for sock in self.sockets]
        while self.alive:
            self._tick()
        self._close_listeners(servers)
        ended = time.monotonic()
        while self._serves(servers) and (passed := time.monotonic() - ended) < self.cfg.graceful_timeout:
            if passed >= self.linger_s:
                self.connections.close_idle()
            self._tick()
        for server in servers:
            server.stop(timeout=1)
        self.at_end()

    def _serves(self, servers: list[Any]) -> bool:
        return any(server.pool.free_count() != server.pool.size for server in servers)

    def _listen(self, sock: Any) -> Any:
        sock.setblocking(1)
        server = StreamServer(sock, handle=partial(self.handle, sock), spawn=Pool(self.worker_connections))
        server.start()
        return server

    def _close_listeners(self, servers: list[Any]) -> None:
        if self.owns_listeners:
            for sock in self.sockets:
                refuse_new(sock)
            gevent.sleep(_ACCEPTED_S)
        for server in servers:
            server.close()

    def _tick(self) -> None:
        self.notify()
        gevent.sleep(_TICK_S)


def _host(addr: Any) -> str:
    """The peer's address; "" of a Unix socket's."""
    return str(addr[0]) if isinstance(addr, tuple) else ""


def _end_input(client: Any) -> None:
    """Whoever waits for this client's next request reads its end. One that has just come is served: its body may be on
    the way, and the end would be taken for the client's."""
    with contextlib.suppress(OSError):
        poll = monkey.get_original("select", "poll")()  # gevent's would let other greenlets run
        poll.register(client.fileno(), select.POLLIN)
        if not poll.poll(0):
            client.shutdown(socket.SHUT_RD)


def refusal(status: int, reason: str, code: str, text: str, request_id: str) -> bytes:
    """A whole response with an error, which ends its connection."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": text, "type": kind, "param": None, "code": code}
    body = json.dumps({"error": error, "request_id": request_id}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nX-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's own messages through the root logger, hence loguru. Access lines are written by `hooks`."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.handlers = []
        self.error_log.setLevel(self.loglevel)
        self.error_log.propagate = True

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """A client that reset its connection, or reads nothing for CLIENT_TIMEOUT, is no error of ours."""
        error = sys.exc_info()[1]
        if isinstance(error, ConnectionError | TimeoutError) or getattr(error, "errno", None) in _CLIENT_LOST:
            self.debug("the client's connection is lost: %s", error)
        else:
            super().exception(msg, *args, **kwargs)

    def access(self, *_: Any) -> None:
        return

    def reopen_files(self) -> None:
        return  # the sinks watch their files
