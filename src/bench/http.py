"""One HTTP request over a plain socket: a client library would take CPU time from the measured server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from src.settings import VERSION

_CONNECT_S = 10.0
_LIMIT = 1 << 22


@dataclass(frozen=True)
class ServerAddress:
    """Where a server listens. `root` is the path before /v1; `key` never shows in a repr."""

    host: str
    port: int
    root: str = ""
    tls: bool = False
    key: str = ""

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}{self.root}"


def place(url: str, key: str = "") -> ServerAddress:
    """Parse `http://HOST:PORT`, with or without a trailing /v1.

    Raises:
        ValueError: not such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username is not None:
        raise ValueError(f"{url!r} is not a server URL: http://HOST:PORT or https://HOST/PATH")
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    return ServerAddress(parts.hostname, port, parts.path.rstrip("/").removesuffix("/v1"), tls, key)


@dataclass(frozen=True)
class HttpResponse:
    """A status and a streamed body."""

    status: int
    body: AsyncIterator[bytes]

    async def whole(self) -> bytes:
        return b"".join([data async for data in self.body])


@cache
def _trust() -> ssl.SSLContext:
    """Created once for all streams."""
    return ssl.create_default_context()


@asynccontextmanager
async def http_request(where: ServerAddress, path: str, body: bytes | None = None) -> AsyncIterator[HttpResponse]:
    """GET `path`, or POST `body` to it. Its deadline is the caller's, but for the connection.

    Raises:
        OSError, EOFError, ValueError: no connection, disconnected, or not HTTP.
    """
    opening = asyncio.open_connection(where.host, where.port, ssl=_trust() if where.tls else None, limit=_LIMIT)
    try:
        reader, writer = await asyncio.wait_for(opening, _CONNECT_S)
    except TimeoutError:
        raise ConnectionError(f"no connection within {_CONNECT_S:g} s") from None
    try:
        writer.write(_request(where, path, body))
        status, headers = await _head(reader)
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        size = int(headers["content-length"]) if "content-length" in headers else None
        yield HttpResponse(status, _chunks(reader) if chunked else _plain(reader, size))
    finally:
        writer.transport.abort()  # what is left unread is nobody's


def _request(where: ServerAddress, path: str, body: bytes | None) -> bytes:
    host = f"[{where.host}]" if ":" in where.host else where.host
    lines = [
        f"{'GET' if body is None else 'POST'} {where.root}{path} HTTP/1.1",
        f"Host: {host}:{where.port}",
        f"User-Agent: stoker-bench/{VERSION}",
        "Connection: close",
    ]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if where.key:
        lines.append(f"Authorization: Bearer {where.key}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first = await reader.readline()
    if not first:
        raise EOFError("closed without a response")
    if not first.startswith(b"HTTP/"):
        raise ValueError("the server does not speak HTTP")
    headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return int(first.split()[1]), headers


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while line := await reader.readline():
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return
        yield (await reader.readexactly(size + 2))[:-2]
    raise EOFError


async def _plain(reader: asyncio.StreamReader, size: int | None) -> AsyncIterator[bytes]:
    if size is not None:
        yield await reader.readexactly(size)
        return
    while data := await reader.read(1 << 16):
        yield data
