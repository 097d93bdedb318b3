"""Which key may ask for which route: the one table. `auth` enforces it, `openapi` shows it, a test walks all of it.

Default deny: a route that is not here is an admin's. Routes are written as OpenAPI writes them. Pure.
"""

from __future__ import annotations

import re
from typing import Literal

from src.keys import Role

# `open`: nobody needs a key; else the role that is enough, beside `admin`
Access = Literal["open", "user", "metrics", "admin"]

_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")

ROUTES: dict[tuple[str, str], Access] = {
    ("GET", "/livez"): "open",
    ("GET", "/readyz"): "open",
    ("GET", "/health"): "open",
    # inference
    ("POST", "/v1/chat/completions"): "user",
    ("POST", "/v1/completions"): "user",
    ("POST", "/v1/responses"): "user",
    ("POST", "/v1/messages"): "user",
    ("POST", "/v1/messages/count_tokens"): "user",
    ("POST", "/v1/embeddings"): "user",
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
    ("DELETE", "/v1/responses/{response_id}"): "user",
    ("GET", "/v1/responses/{response_id}/input_items"): "user",
    ("POST", "/v1/ocr/jobs"): "user",
    ("GET", "/v1/ocr/jobs/{name}"): "user",
    ("GET", "/v1/ocr/jobs/{name}/result"): "user",
    ("GET", "/v1/ocr/jobs/{name}/events"): "user",
    ("DELETE", "/v1/ocr/jobs/{name}"): "user",
    # what there is to ask for; to a user without details of processes and paths
    ("GET", "/v1/models"): "user",
    ("GET", "/v1/models/{name}"): "user",
    ("GET", "/v1/system/status"): "user",
    ("GET", "/version"): "user",
    ("GET", "/api/tags"): "user",
    ("GET", "/api/ps"): "user",
    ("GET", "/api/version"): "user",
    ("POST", "/api/show"): "user",
    ("GET", "/openapi.json"): "user",
    ("GET", "/docs"): "user",
    # operation
    ("GET", "/metrics"): "metrics",
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
    """Whether this is work for an engine or the OCR broker: what a user posts, but for questions about a model."""
    if method != "POST" or rule is None:
        return False
    path = _PARAMETER.sub(r"{\1}", rule)
    return ROUTES.get(("POST", path)) == "user" and path not in _MODEL_METADATA


_MODEL_METADATA = {"/api/show"}
_ORDER: tuple[Access, ...] = ("open", "user", "metrics", "admin")


def allows(needed: Access, role: Role) -> bool:
    return needed == "open" or role in ("admin", needed)
