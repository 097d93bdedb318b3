"""HTTP to the upstream server: one connection for each request, so that closing it cancels, and none is stale."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from src.engine.upstream import errors
from src.engine.upstream.stream import DONE, Events

_CONNECT_S = 5.0
_ANSWER_S = 30.0
# our own deadlines say how long an answer may take; a server that reads no request is another matter
_STREAM = httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S, read=None, pool=None)
_ALONE = httpx2.Limits(max_connections=None, max_keepalive_connections=0)


class Unreachable(Exception):
    """No connection, or it broke; the text says how."""


@dataclass(frozen=True)
class UpstreamResponse:
    """A whole answer."""

    status: int
    body: bytes
    retry_after: str | None = None


class Client:
    """Belongs to the event loop's thread. `url` is the server's root, without /v1."""

    def __init__(self, url: str, key: str, *, local: bool) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # a proxy of the environment is for the world outside, never for this machine
        self._http = httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=_STREAM, limits=_ALONE, trust_env=not local
        )

    async def get(self, path: str, timeout_s: float) -> UpstreamResponse:
        return await self._whole("GET", path, None, timeout_s)

    async def post(self, path: str, body: bytes, timeout_s: float = _ANSWER_S) -> UpstreamResponse:
        return await self._whole("POST", path, body, timeout_s)

    @asynccontextmanager
    async def stream(self, path: str, body: bytes, traceparent: str = "") -> AsyncIterator[AsyncIterator[list[bytes]]]:
        """A streamed answer: batches of its events' data, as they come; empty ones are signs of life.
        `traceparent`: the trace that the server is to go on with.

        Raises:
            ServiceError: when the server refuses.
            Unreachable: when it cannot be reached, or breaks off.
        """
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        headers |= {"traceparent": traceparent} if traceparent else {}
        try:
            async with self._http.stream("POST", path, content=body, headers=headers) as response:
                if response.status_code != 200:
                    refused = await response.aread()
                    wait = response.headers.get("retry-after")
                    raise errors.from_status(response.status_code, refused, wait)
                yield _batches(response)
        except httpx2.TransportError as error:
            raise Unreachable(_words(error)) from None

    async def _whole(self, method: str, path: str, body: bytes | None, timeout_s: float) -> UpstreamResponse:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            response = await self._http.request(method, path, content=body, headers=headers, timeout=timeout_s)
        except httpx2.TransportError as error:
            raise Unreachable(_words(error)) from None
        return UpstreamResponse(response.status_code, response.content, response.headers.get("retry-after"))

    async def close(self) -> None:
        await self._http.aclose()


async def _batches(response: httpx2.Response) -> AsyncIterator[list[bytes]]:
    events = Events()
    async for data in response.aiter_bytes():
        batch = events.feed(data)
        if DONE in batch:
            yield batch[: batch.index(DONE)]
            return
        yield batch


def _words(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__
