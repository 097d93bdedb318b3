"""Who asks, and whether that is enough: a key on every route but the health routes, as soon as one is set, and a role.

`ROUTES` is the one table of which role may ask for which route: enforced here, shown by `openapi`, walked by a test.
Default deny: a route that is not there is an admin's. Routes are written as OpenAPI writes them. Web process; installed
by `app.py`. The name of the key (never the key) goes to the access log and the limits through the WSGI environment.
"""

from __future__ import annotations

import hmac
import re
from typing import Any, Literal, cast

from flask import Flask, current_app, request
from loguru import logger

from src.api.edge.address import is_local
from src.api.edge.key_checker import KeyChecker
from src.api.owner import KEY_NAME
from src.errors import PermissionDenied
from src.keys import Key, Role

# `open`: nobody needs a key; else the role that is enough, beside `admin`
Access = Literal["open", "user", "metrics", "admin"]

_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")

ROUTES: dict[tuple[str, str], Access] = {
    ("GET", "/livez"): "open",
    ("GET", "/readyz"): "open",
    ("GET", "/health"): "open",
    # the page for browsers: no data is in it, and it asks for a key itself
    ("GET", "/"): "open",
    ("GET", "/favicon.ico"): "open",
    ("GET", "/console/{digest}/{name}"): "open",
    # inference
    ("POST", "/v1/chat/completions"): "user",
    ("POST", "/v1/completions"): "user",
    ("POST", "/v1/responses"): "user",
    ("POST", "/v1/messages"): "user",
    ("POST", "/v1/messages/count_tokens"): "user",
    ("POST", "/v1/embeddings"): "user",
    ("POST", "/v1/rerank"): "user",
    ("POST", "/v2/rerank"): "user",
    ("POST", "/rerank"): "user",
    ("POST", "/v1/responses/input_tokens"): "user",
    ("POST", "/v1/responses/compact"): "user",
    ("POST", "/api/chat"): "user",
    ("POST", "/api/generate"): "user",
    ("POST", "/api/embed"): "user",
    ("POST", "/api/embeddings"): "user",
    ("POST", "/tokenize"): "user",
    ("POST", "/detokenize"): "user",
    ("POST", "/v1/ocr"): "user",
    # what a key has made: its own, or everybody's for an admin
    ("GET", "/v1/responses/{response_id}"): "user",
    ("POST", "/v1/responses/{response_id}/cancel"): "user",
    ("DELETE", "/v1/responses/{response_id}"): "user",
    ("GET", "/v1/responses/{response_id}/input_items"): "user",
    ("POST", "/v1/conversations"): "user",
    ("GET", "/v1/conversations/{conversation_id}"): "user",
    ("POST", "/v1/conversations/{conversation_id}"): "user",
    ("DELETE", "/v1/conversations/{conversation_id}"): "user",
    ("POST", "/v1/conversations/{conversation_id}/items"): "user",
    ("GET", "/v1/conversations/{conversation_id}/items"): "user",
    ("GET", "/v1/conversations/{conversation_id}/items/{item_id}"): "user",
    ("DELETE", "/v1/conversations/{conversation_id}/items/{item_id}"): "user",
    ("POST", "/v1/ocr/jobs"): "user",
    ("GET", "/v1/ocr/jobs"): "user",
    ("GET", "/v1/ocr/jobs/{name}"): "user",
    ("GET", "/v1/ocr/jobs/{name}/result"): "user",
    ("GET", "/v1/ocr/jobs/{name}/events"): "user",
    ("DELETE", "/v1/ocr/jobs/{name}"): "user",
    ("POST", "/v1/files"): "user",
    ("GET", "/v1/files"): "user",
    ("GET", "/v1/files/{file_id}"): "user",
    ("GET", "/v1/files/{file_id}/content"): "user",
    ("GET", "/v1/files/{file_id}/url"): "user",
    ("DELETE", "/v1/files/{file_id}"): "user",
    ("POST", "/v1/batches"): "user",
    ("GET", "/v1/batches"): "user",
    ("GET", "/v1/batches/{batch_id}"): "user",
    ("POST", "/v1/batches/{batch_id}/cancel"): "user",
    ("GET", "/v1/usage"): "user",
    # what there is to ask for; to a user without details of processes and paths
    ("GET", "/v1/models"): "user",
    ("GET", "/v1/models/{name}"): "user",
    ("GET", "/v1/system/status"): "user",
    ("GET", "/v1/system/events"): "user",
    ("GET", "/version"): "user",
    ("GET", "/api/tags"): "user",
    ("GET", "/api/ps"): "user",
    ("GET", "/api/version"): "user",
    ("POST", "/api/show"): "user",
    ("GET", "/openapi.json"): "user",
    ("GET", "/docs"): "user",
    # operation
    ("GET", "/metrics"): "metrics",
    ("GET", "/v1/system/logs"): "admin",
    ("GET", "/v1/system/settings"): "admin",
    ("POST", "/api/pull"): "admin",
    ("DELETE", "/api/delete"): "admin",
    ("POST", "/v1/models/load"): "admin",
    ("POST", "/v1/models/unload"): "admin",
    ("GET", "/api/gpu/status"): "admin",
    ("POST", "/api/gpu/offload"): "admin",
    ("POST", "/api/gpu/release"): "admin",
    ("POST", "/api/gpu/timeout"): "admin",
    ("POST", "/api/gpu/pause"): "admin",
    ("POST", "/api/gpu/resume"): "admin",
    ("GET", "/api/gpu-status"): "admin",
}


def access(method: str, rule: str | None) -> Access:
    """Of a route as Flask writes it; None is a path that matches no route, and a user may be told that it does not."""
    if rule is None:
        return "user"
    path = _PARAMETER.sub(r"{\1}", rule)
    if method == "OPTIONS":  # only says which methods there are
        return min((found for (_, one), found in ROUTES.items() if one == path), key=_ORDER.index, default="admin")
    return ROUTES.get(("GET" if method == "HEAD" else method, path), "admin")


def uses_back_end(method: str, rule: str | None) -> bool:
    """Whether this is work for an engine or the OCR broker: what a user posts, but for files and metadata."""
    if method != "POST" or rule is None:
        return False
    path = _PARAMETER.sub(r"{\1}", rule)
    return ROUTES.get(("POST", path)) == "user" and path not in _NO_BACK_END


_NO_BACK_END = {
    *("/api/show", "/v1/files", "/v1/batches", "/v1/batches/{batch_id}/cancel"),
    *("/v1/responses/{response_id}/cancel", "/v1/conversations", "/v1/conversations/{conversation_id}"),
    "/v1/conversations/{conversation_id}/items",
}
_ORDER: tuple[Access, ...] = ("open", "user", "metrics", "admin")


def allows(needed: Access, role: Role) -> bool:
    return needed == "open" or role in ("admin", needed)


_SALTING = "stoker.salting"
_CALLER = "stoker.caller"
_CHECKER = "stoker.keys"
# without keys
_LOCAL, _REMOTE = Key("", "admin"), Key("", "user")


def install(app: Flask, checker: KeyChecker, secret: bytes) -> None:
    """Refuse whoever may not ask. After the CORS hook, which answers browsers' preflights.

    With the `secret`, nobody who reads the wire or the prefix cache's files can tell whose a salt is.
    """
    app.extensions[_SALTING] = secret
    app.extensions[_CHECKER] = checker
    if checker.ring.without_role:
        text = "API keys without a role act as admin until the next version; give each one (docs/security.md): {}"
        logger.warning(text, ", ".join(checker.ring.without_role))
    app.before_request(lambda: _check(checker))


def _check(checker: KeyChecker) -> None:
    needed = access(request.method, request.url_rule.rule if request.url_rule is not None else None)
    keyed = bool(checker.ring)
    if keyed and needed == "open":
        return
    caller = _authenticate(checker) if keyed else _LOCAL if is_local(request.environ) else _REMOTE
    request.environ[_CALLER] = caller
    if not allows(needed, caller.role):
        whose = (
            f"The key {caller.name!r} has the role" if keyed else "Without keys, other machines and pages have the role"
        )
        raise PermissionDenied(f"{whose} {caller.role!r}; this route needs {needed!r} (docs/security.md).")


def _authenticate(checker: KeyChecker) -> Key:
    key = checker.authenticate(request.environ)
    request.environ[KEY_NAME] = key.name
    return key


def needs_key() -> bool:
    """Whether this service asks for keys at all."""
    checker: KeyChecker = current_app.extensions[_CHECKER]
    return bool(checker.ring)


def is_admin() -> bool:
    """Whether this request may know of processes, paths and reasons."""
    caller: Key | None = request.environ.get(_CALLER)
    return caller is not None and caller.role == "admin"


def act_for(environ: dict[str, Any], name: str) -> None:
    """Make a request's environment one of this owner's, as a user: for work that was left here with its key."""
    environ[_CALLER] = Key(name, "user")
    if name:
        environ[KEY_NAME] = name


def is_known(app: Flask, name: str) -> bool:
    """Whether this owner's key still exists and is valid; "" is everybody without keys."""
    checker: KeyChecker = app.extensions[_CHECKER]
    return not name or checker.is_valid(name)


def owner() -> str:
    """Whose the work of this request is: its key's name, part of every store's key. "" without keys.

    Clients without keys are one owner: an address proves nothing, and they could not be told apart after a restart.
    """
    return cast(str, request.environ.get(KEY_NAME, ""))


def sees_all() -> bool:
    """Whether this request may see, and end, what belongs to others: an admin's, by name and not for lack of a role."""
    return is_admin() and not request.environ[_CALLER].assumed


def visible_owner() -> str | None:
    """Whose work this request may see: the caller's; None is anybody's, for an admin."""
    return None if sees_all() else owner()


def salt() -> str:
    """Stands for the owner in the engine, which keeps what it computed for one from the others; "" without keys."""
    name = owner()
    if not name:
        return ""
    secret: bytes = current_app.extensions[_SALTING]
    return hmac.new(secret, name.encode(), "sha256").hexdigest()[:32]
