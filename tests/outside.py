"""One server on loopback that stands in for the whole internet, for `src.api.openai.fetch`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

from src.api.openai.fetch import Fetcher, Network
from src.settings import Settings

HOST = "images.example.com"
PUBLIC = "93.184.215.14"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100_000
SETTINGS = Settings(image_url_hosts=f"http://{HOST},{HOST}", image_url_timeout=3, max_body_mb=1)
_PATIENCE_S = 5.0


@dataclass
class Outside:
    """What it answers, and what was asked of it."""

    reply: bytes | Callable[[Any], None] = b""
    addresses: Callable[[], list[str]] = lambda: [PUBLIC]
    dead: tuple[str, ...] = ()
    trust: Any = None
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    resolved: list[tuple[str, int]] = field(default_factory=list)
    called: list[tuple[str, int]] = field(default_factory=list)

    def fetch(self, url: str = f"http://{HOST}/a.png", **changes: Any) -> bytes:
        with gevent.Timeout(_PATIENCE_S):
            return self.fetcher(**changes)(url, "messages[0].content")

    def fetcher(self, **changes: Any) -> Fetcher:
        network = Network(self._resolve, self._connect, self._secure)
        return Fetcher(SETTINGS.model_copy(update=changes), network)

    def serve(self, sock: Any, _: object) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head and (chunk := sock.recv(4096)):
                head += chunk
            self.heads.append(head)
            if callable(self.reply):
                self.reply(sock)
            else:
                sock.sendall(self.reply)
        except OSError:
            pass  # the client has had enough
        finally:
            sock.close()

    def _resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append((host, port))
        return self.addresses()

    def _connect(self, address: str, port: int) -> Any:
        self.called.append((address, port))
        if address in self.dead:
            raise ConnectionRefusedError("secret detail")
        return socket.create_connection(("127.0.0.1", self.port), 1)

    def _secure(self, sock: Any, host: str) -> Any:
        return self.trust.wrap_socket(sock, server_hostname=host)


@contextmanager
def outside(reply: bytes = b"", **tls: Any) -> Iterator[Outside]:
    """The server while it runs; with an `ssl_context` it speaks TLS."""
    one = Outside(reply)
    server = StreamServer(("127.0.0.1", 0), one.serve, **tls)
    server.start()
    one.port = server.server_port
    try:
        yield one
    finally:
        server.stop(timeout=1)


def answer(body: bytes = PNG, status: str = "200 OK", *more: str, length: int | None = None) -> bytes:
    head = (f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *more)
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
