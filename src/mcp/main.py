"""`run.py mcp`: serves the tools over stdio, or over HTTP where other programs of this machine reach them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import uvicorn

from src import keys
from src.errors import ExitCode
from src.keys import KeyRing
from src.mcp import tools
from src.mcp.service import ServiceClient, address
from src.settings import Settings, SettingsError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_STOP_S = 5
_CONNECTIONS = 64
_REFUSAL = b'{"error": {"message": "An API key is needed: send it as `Authorization: Bearer KEY`."}}'
_REFUSAL_HEADERS = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]


def stdio(settings: Settings) -> ExitCode:
    """Until standard input ends. Standard output belongs to the protocol: what is logged goes to standard error."""
    server = tools.build(ServiceClient(address(settings), settings.stoker_api_key), settings, local=True)
    asyncio.run(server.run_stdio_async())
    return ExitCode.OK


def http(settings: Settings, host: str, port: int) -> ExitCode:
    """Until a signal. Callers bring the keys of the service; beyond this machine nobody is served without."""
    try:
        exposed, ring = keys.exposure(host, settings), keys.load(settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.CONFIG
    if exposed is not None:
        sys.stderr.write(f"{exposed}\n")
        return ExitCode.CONFIG
    server = tools.build(
        ServiceClient(address(settings), None, remote=not keys.is_loopback(host)), settings, local=False
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
    sys.stderr.write(f"MCP on http://{host}:{port}/mcp, for the service at {address(settings)}\n")
    uvicorn.Server(config).run()
    return ExitCode.OK


class Guard:
    """No key, no answer, as soon as the service has keys. The key itself goes on to the service with each call."""

    def __init__(self, app: ASGIApp, ring: KeyRing) -> None:
        self._app = app
        self._ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._ring or self._ring.find(_presented(scope)) is not None:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": _REFUSAL_HEADERS})
        await send({"type": "http.response.body", "body": _REFUSAL})


def _presented(scope: Scope) -> bytes:
    scheme, _, key = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
    return bytes(key.strip()) if scheme.lower() == b"bearer" else b""
