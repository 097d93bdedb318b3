"""Paths that are nearly right: a base URL with one `/v1` too many or too few, a slash too many. Installed by `app.py`.

Inference routes are served where only one can be meant. For all others (a proxy may guard them by their path) and for
what only resembles a route, the 404 names the right path.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import MapAdapter, Rule

from src.errors import NotFound as NoSuchRoute

_SERVED = re.compile(
    r"/v1/(chat/completions|completions|messages(/count_tokens)?|responses(/.*)?|embeddings|rerank|models|ocr|files(/.*)?|"
    r"batches(/.*)?)|/api/(chat|generate|embed|embeddings|tags|show|ps|version)|/tokenize|/detokenize"
)
_VERSION = "/v1"
_MOST = 512


def install(app: Flask) -> None:
    """Before everything else that looks at the route."""
    app.before_request(_greet)
    app.before_request(_correct)


def _greet() -> Response | None:
    """Clients ask by `HEAD /` whether there is a server at all; nothing else is told, and no key is needed."""
    return Response(status=200) if request.method == "HEAD" and request.path == "/" else None


def _correct() -> None:
    """Take the one route that can be meant in the place of none."""
    if not isinstance(request.routing_exception, NotFound) or len(request.path) > _MOST:
        return
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None  # noqa: S101  # there is a request
    for path in _variants(request.path):
        found = _match(adapter, path)
        if found is not None and _SERVED.fullmatch(path):
            request.url_rule, request.view_args = found
            request.routing_exception = None
            return


def _match(adapter: MapAdapter, path: str) -> tuple[Rule, dict[str, object]] | None:
    try:
        rule, arguments = adapter.match(path, request.method, return_rule=True)
    except HTTPException:
        return None
    return rule, dict(arguments)


def _variants(path: str) -> Iterator[str]:
    """Without empty segments and repeated versions; then with the version, or without it."""
    segments = [segment for segment in path.split("/") if segment]
    while segments[:2] == ["v1", "v1"]:
        del segments[0]
    plain = "/" + "/".join(segments)
    yield plain
    yield plain.removeprefix(_VERSION) if plain.startswith(f"{_VERSION}/") else _VERSION + plain


def no_such_route(path: str) -> NoSuchRoute:
    """The 404, with the path that was probably meant."""
    meant = _meant(path)
    return NoSuchRoute("No such route." if meant is None else f"No such route; did you mean {meant}?")


def _meant(path: str) -> str | None:
    if len(path) > _MOST:
        return None
    routes = [rule.rule for rule in current_app.url_map.iter_rules() if "<" not in rule.rule]
    variants = list(_variants(path))
    exact = [route for route in variants if route in routes]
    # a base URL that goes on behind, or holds another server's prefix
    ends = [route for route in routes if f"{path.rstrip('/')}/".endswith(f"{route.removeprefix(_VERSION)}/")]
    longest = sorted(ends, key=len, reverse=True)
    alike = [close for one in variants for close in difflib.get_close_matches(one, routes, 1, 0.8)]
    return next(iter([*exact, *longest, *alike]), None)
