"""`GET /` for browsers: one page, and the modules and styles it loads. No data of anybody's is in them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, request

from src import keys
from src.api import paths
from src.api.edge import auth
from src.api.service import service
from src.settings import VERSION, SecuritySettings

blueprint = Blueprint("console", __name__)

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GREETING = "Stoker is running. GET /docs lists the routes, /openapi.json describes them.\n"
_FOREVER = "public, max-age=31536000, immutable"


def is_offered(settings: SecuritySettings, host: str, *, has_keys: bool) -> bool:
    """On this machine alone anybody may have it; beyond it only where a key is asked for."""
    return settings.console and (has_keys or keys.is_loopback(host))


@blueprint.get("/")
def index() -> Response:
    """The page, for who asks for one; programs are told that there is a server, as Ollama's clients look for one."""
    settings = service().settings
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        return Response(_GREETING, mimetype="text/plain")
    if not is_offered(settings, settings.host, has_keys=auth.needs_key()):
        raise paths.no_such_route("/")
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return Response(_index(), mimetype="text/html", headers=headers)


@blueprint.get("/favicon.ico")
def icon() -> Response:
    return Response(_files()["icon.svg"], mimetype="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


@blueprint.get("/console/<digest>/<name>")
def file(digest: str, name: str) -> Response:
    """One of the page's files; its path changes with its content, so that a browser may keep it for ever."""
    settings, content = service().settings, _files().get(name)
    offered = is_offered(settings, settings.host, has_keys=auth.needs_key())
    if not offered or content is None or digest != _digest() or name == "index.html":
        raise paths.no_such_route(request.path)
    return Response(content, mimetype=_TYPES[Path(name).suffix], headers={"Cache-Control": _FOREVER})


@lru_cache(1)
def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}


@lru_cache(1)
def _digest() -> str:
    return hashlib.sha256(b"".join(_files().values())).hexdigest()[:16]


@lru_cache(1)
def _index() -> bytes:
    text = _files()["index.html"].decode()
    return text.replace("@FILES@", f"/console/{_digest()}").replace("@VERSION@", VERSION).encode()
