"""`run.py mcp`: serves the tools over stdio, or over HTTP for other programs."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import uvicorn

from src import keys
from src.errors import ExitCode
from src.keys import KeyRing
from src.mcp import tools
from src.mcp.service import ServiceClient
from src.settings import Settings, SettingsError
from src.supervisor.specs import base_url

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_STOP_S = 5
_CONNECTIONS = 64
_UNAUTHORIZED_BODY = b'{"error": {"message": "An API key is required: send it as `Authorization: Bearer KEY`."}}'
_UNAUTHORIZED_HEADERS = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]


def stdio(settings: Settings) -> ExitCode:
    """Serve until standard input ends. Standard output carries the protocol; logs go to standard error."""
    server = tools.build(ServiceClient(base_url(settings), settings.stoker_api_key), settings, local=True)
    asyncio.run(server.run_stdio_async())
    return ExitCode.OK


def http(settings: Settings, host: str, port: int) -> ExitCode:
    """Serve until a signal. Callers send the service's keys, which are required beyond loopback."""
    try:
        exposed, ring = keys.exposure(host, settings), keys.load(settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    if exposed is not None:
        sys.stderr.write(f"{exposed}\n")
        return ExitCode.CONFIG
    server = tools.build(
        ServiceClient(base_url(settings), None, remote=not keys.is_loopback(host)), settings, local=False
    )
    app = server.streamable_http_app(host=host, stateless_http=True, max_request_body_size=settings.max_body_mb << 20)
    config = uvicorn.Config(
        Guard(app, ring),
        host=host,
        port=port,
        log_config=None,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_S,
    )
    sys.stderr.write(f"MCP on http://{host}:{port}/mcp, for the service at {base_url(settings)}\n")
    uvicorn.Server(config).run()
    return ExitCode.OK


class Guard:
    """Requires a valid key if the service has keys. Each call forwards its key to the service."""

    def __init__(self, app: ASGIApp, ring: KeyRing) -> None:
        self._app = app
        self._ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._ring or self._ring.find(_bearer_key(scope)) is not None:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": _UNAUTHORIZED_HEADERS})
        await send({"type": "http.response.body", "body": _UNAUTHORIZED_BODY})


def _bearer_key(scope: Scope) -> bytes:
    scheme, _, key = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
    return bytes(key.strip()) if scheme.lower() == b"bearer" else b""
