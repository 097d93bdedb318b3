"""GET /v1/system/events: the status once a second, as server-sent events. Web process.

However many watch, the supervisor is asked once a second: whoever is due first asks, the others get the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
from flask import Blueprint, Response

from src.api.edge import auth
from src.api.error_handlers import envelope
from src.api.generation import streaming
from src.api.service import Service, service

blueprint = Blueprint("events", __name__)

_EVERY_S = 1.0
# a client connects again, with a key that is still good
_LONGEST_S = 3600.0


@blueprint.get("/v1/system/events")
def watch() -> Response:
    shared, admin = service(), auth.is_admin()
    return streaming.respond(_events(shared, admin=admin), lambda error: streaming.sse(envelope(error)), _nothing)


def _events(shared: Service, *, admin: bool) -> Iterator[bytes]:
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until and not shared.inflight.draining:
        yield shared.status_feed.latest(admin=admin)
        gevent.sleep(_EVERY_S)


def _nothing() -> None:
    """Nothing is held for one who watches."""
