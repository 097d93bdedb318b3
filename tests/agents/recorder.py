"""A proxy on loopback between an agent and the service: what was sent, and what came. It changes nothing."""

from __future__ import annotations

import http.client
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "server", "date"}
_LIMIT_S = 300


@dataclass
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    ignored: str = ""
    kind: str = ""
    answer: bytes = b""
    whole: bool = False

    def json(self) -> Any:
        data = self.body
        if self.headers.get("content-encoding") == "gzip":
            data = zlib.decompress(data, 31)
        with suppress(ValueError):
            return json.loads(data)
        return None


@dataclass
class Recorder:
    port: int = 0
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refused(self) -> list[Exchange]:
        """What was not answered with success; a probe of the root or of a route that is not here is none."""
        return [one for one in self.exchanges if one.status >= 400 and one.method == "POST"]

    def generations(self) -> list[Exchange]:
        ends = "/chat/completions", "/messages", "/responses"
        return [one for one in self.exchanges if one.path.partition("?")[0].endswith(ends) and one.method == "POST"]


@contextmanager
def recorder(target: int) -> Iterator[Recorder]:
    """In front of the service on port `target`."""
    state = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            _forward(self, target, state)

        do_GET = do_POST = do_HEAD = do_DELETE = do_OPTIONS = handle_any  # noqa: N815  # the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_port
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _forward(handler: BaseHTTPRequestHandler, target: int, state: Recorder) -> None:
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    headers = {name.lower(): value for name, value in handler.headers.items() if name.lower() not in _HOP}
    exchange = Exchange(handler.command, handler.path, headers, body)
    state.exchanges.append(exchange)
    connection = http.client.HTTPConnection("127.0.0.1", target, timeout=_LIMIT_S)
    try:
        connection.request(handler.command, handler.path, body or None, headers)
        _answer(handler, connection.getresponse(), exchange)
    except (BrokenPipeError, ConnectionResetError, http.client.HTTPException):
        handler.close_connection = True
    finally:
        connection.close()


def _answer(handler: BaseHTTPRequestHandler, response: http.client.HTTPResponse, exchange: Exchange) -> None:
    exchange.status, exchange.kind = response.status, response.getheader("Content-Type", "")
    exchange.ignored = response.getheader("X-Ignored-Fields", "")
    handler.send_response(response.status)
    for name, value in response.getheaders():
        if name.lower() not in _HOP:
            handler.send_header(name, value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while data := response.read1(65536):
        exchange.answer += data
        handler.wfile.write(data)
        handler.wfile.flush()
    exchange.whole = True
