"""What the views share: built once in `create_app`, found through Flask's current app."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

import msgspec
from flask import Response, current_app, g, request

from src.api.body import BoundedBody, check_parts
from src.api.cache.cache import Cache
from src.api.cache.pdf_contents import PdfContents
from src.api.edge.rate_limits import RateLimits
from src.api.generation.connections import Backends
from src.api.generation.inflight import InFlight, InFlightRequest
from src.api.instances import Instances
from src.api.state.batches import BatchLoad
from src.api.state.database import Database
from src.api.status_feed import StatusFeed
from src.api.tracing.traces import Tracing
from src.api.usage.budgets import Budgets
from src.api.usage.job_pages import JobPages
from src.api.usage.ledger import UsageLedger
from src.api.wire import Wire
from src.errors import InvalidRequest, UnsupportedMedia
from src.metrics import Metrics
from src.settings import Settings

EXTENSION = "stoker"
# Windows' tools put it before UTF-8 text; RFC 8259 lets a reader pass over it
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# one escape at a time, so that an escaped backslash is none of the next
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# a body that only names a model or a number
CONTROL_BYTES = 128 << 10


@dataclass(frozen=True)
class Service:
    settings: Settings
    backends: Backends
    inflight: InFlight
    metrics: Metrics
    limits: RateLimits
    cache: Cache
    pdf_contents: PdfContents
    state: Database
    usage: UsageLedger
    job_pages: JobPages
    budgets: Budgets
    batch_load: BatchLoad
    status_feed: StatusFeed
    tracing: Tracing
    instances: Instances
    started: float


def service() -> Service:
    return cast(Service, current_app.extensions[EXTENSION])


def watch_client() -> InFlightRequest:
    """For views that wait without a `Generation`: this request's slot, and whether anybody still waits for it.

    Raises:
        ShuttingDown, Overloaded: as `InFlight.enter`.
    """
    return InFlightRequest(service().inflight, request.environ)


def request_id() -> str:
    """This server's id of the request. Whatever the request makes is named after it; no client can choose it."""
    return cast(str, g.request_id)


def json_body(*, optional: bool = False, limit: int | None = None, loose: bool = False) -> dict[str, object]:
    """The request's JSON object, of at most `limit` bytes; an `optional` one may be left out, a `loose` one needs no
    content type (`curl -d`).

    Raises:
        Overloaded: too many requests are in flight, or hold too much memory.
        UnsupportedMedia: for another content type.
        InvalidRequest: for malformed JSON, NaN, wrong encoding, nesting without end, parts beyond all measure.
    """
    if limit is not None:
        cast(BoundedBody, request.environ["wsgi.input"]).narrow(limit, request.content_length)
    is_json = request.mimetype == "application/json" or (loose and _is_no_page())
    data = request.get_data(cache=False) if is_json or optional else b""
    if optional and not data:
        return {}
    if not is_json:
        raise UnsupportedMedia("Content-Type must be application/json.")
    try:
        body = _decoded(data.removeprefix(_BOM))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.", param="body") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.", param="body")
    check_parts(body, service().settings)
    return body


def _is_no_page() -> bool:
    """Nor any browser's: it would send a form's content type anywhere, without asking first."""
    return "Origin" not in request.headers and "Sec-Fetch-Site" not in request.headers


def _decoded(data: bytes) -> object:
    """JSON; half of a surrogate pair, as clients leave that cut a text in the middle of an emoji, is U+FFFD."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        if _SURROGATE.search(data) is None:
            raise
    return msgspec.json.decode(_ESCAPE.sub(_whole_character, data))


def _whole_character(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]


def json_response(body: Wire, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, mimetype="application/json")
