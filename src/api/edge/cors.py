"""What every response says to a browser, and whom CORS lets in.

Web process; installed by `app.py`. CORS is off unless CORS_ORIGINS lists origins; `*` is no origin here, and no
credentials are ever allowed: a key is sent by the page's own code or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask import Flask, Response, g, has_request_context, request
from flask_cors import CORS

from src.api.edge.address import Forwarded, TrustedProxies
from src.ipc.messages.base import Fallback
from src.settings import SecuritySettings, SettingsError

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NO_HEADER_TEXT = re.compile("[^ -~]")
_LONGEST = 512
_EXPOSED = ["X-Request-Id", "X-Ignored-Fields", "X-Cache", "X-Device-Fallback", "Retry-After"]


def install(app: Flask, settings: SecuritySettings) -> None:
    """Before authentication: a preflight brings no key.

    Raises:
        SettingsError: an origin is none.
    """
    app.after_request(_secure)
    app.after_request(_tell_fallback)
    if proxies := TrustedProxies(settings.trusted_networks):
        app.wsgi_app = Forwarded(app.wsgi_app, proxies)  # type: ignore[method-assign]  # as Flask's documentation wraps it
    origins = _split(settings.cors_origins)
    if not origins:
        return
    if wrong := [origin for origin in origins if "*" in origin or "://" not in origin]:
        raise SettingsError([f"CORS_ORIGINS: {origin!r} is no origin (https://app.example.com)" for origin in wrong])
    # a page from the internet asks a server on this network: browsers want that said, for listed origins alone
    CORS(
        app,
        origins=origins,
        supports_credentials=False,
        expose_headers=_EXPOSED,
        max_age=600,
        allow_private_network=True,
    )
    app.before_request(lambda: _preflight(frozenset(origins)))


def _preflight(origins: frozenset[str]) -> Response | None:
    """A browser's question of a known origin is answered here, before authentication."""
    headers = request.headers
    if request.method == "OPTIONS" and headers.get("Origin") in origins and "Access-Control-Request-Method" in headers:
        return Response(status=204)
    return None


def _secure(response: Response) -> Response:
    for name, value in _SECURITY.items():
        response.headers.setdefault(name, value)
    return response


def of_names(names: Iterable[str]) -> str:
    """Names that a client chose as a header's value: one line of printable ASCII, cut where it gets too long."""
    return _NO_HEADER_TEXT.sub("?", ", ".join(names))[:_LONGEST]


def note_fallback(device: Fallback) -> None:
    """This answer is computed where it should not have to be. A stream whose head has gone cannot say so any more."""
    if has_request_context():
        g.fallback = device


def note_mean() -> None:
    """The vectors of this answer are a chat model's: a stand-in for an embedding model's."""
    if has_request_context():
        g.chat_mean = True


def _tell_fallback(response: Response) -> Response:
    if "chat_mean" in g:
        response.headers["X-Embedding-Fallback"] = "chat-model-mean"
    if "fallback" in g:
        response.headers["X-Device-Fallback"] = g.fallback
    return response


def _split(text: str) -> list[str]:
    return [entry for entry in map(str.strip, text.split(",")) if entry]
