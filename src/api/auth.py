"""Who asks: a key on every route but the health routes, as soon as one is set. Web process; installed by `app.py`.

Default deny: what is not on `OPEN` needs a key, routes that do not exist included. The name of the key (never the key)
goes to the access log and the limits through the WSGI environment.
"""

from __future__ import annotations

import hmac
from typing import cast

from flask import Flask, current_app, request

from src.api.limits import Limits
from src.errors import AuthenticationFailed
from src.keys import KeyRing
from src.metrics import Metrics

OPEN = frozenset({"/livez", "/readyz", "/health"})
KEY_NAME = "stoker.key"
_SCHEME = "bearer "
_SALTING = "stoker.salting"
_SEES_ALL = "stoker.sees_all"


def install(app: Flask, ring: KeyRing, limits: Limits, metrics: Metrics, secret: bytes) -> None:
    """Refuse whoever brings no key. After the CORS hook, which answers browsers' preflights.

    With the `secret`, nobody who reads the wire or the prefix cache's files can tell whose a salt is.
    """
    if not ring:
        return
    app.extensions[_SALTING] = secret
    for name in ring.names.values():
        metrics.key_requests.labels(name)

    def check() -> None:
        if request.url_rule is not None and request.url_rule.rule in OPEN:
            return
        header = request.environ.get("HTTP_AUTHORIZATION", "")
        name = ring.owner(_presented(header))
        if name is None:
            metrics.auth_failures.labels("unknown" if header else "missing").inc()
            limits.count_failed_login()
            raise _refusal(missing=not header)
        request.environ[KEY_NAME] = name
        metrics.key_requests.labels(name).inc()

    app.before_request(check)


def owner() -> str:
    """Whose the work of this request is: its key's name, part of every store's key. "" without keys.

    Clients without keys are one owner: an address proves nothing, and they could not be told apart after a restart.
    """
    return cast(str, request.environ.get(KEY_NAME, ""))


def sees_all() -> bool:
    """Whether this request may see, and end, what belongs to others: it comes from an admin."""
    return bool(request.environ.get(_SEES_ALL, False))


def salt() -> str:
    """Stands for the owner in the engine, which keeps what it computed for one from the others; "" without keys."""
    name = owner()
    if not name:
        return ""
    secret: bytes = current_app.extensions[_SALTING]
    return hmac.new(secret, name.encode(), "sha256").hexdigest()[:32]


def _presented(header: str) -> bytes:
    """The key as bytes: WSGI's text is latin-1, and comparing text beyond ASCII would raise."""
    if header[: len(_SCHEME)].lower() != _SCHEME:
        return b""
    return header[len(_SCHEME) :].strip().encode("latin-1", "replace")


def _refusal(*, missing: bool) -> AuthenticationFailed:
    if missing:
        return AuthenticationFailed("An API key is needed: send it as `Authorization: Bearer KEY`.")
    return AuthenticationFailed("The API key is wrong.")
