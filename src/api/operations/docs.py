"""GET /openapi.json and /docs: what the API is, for programs and for people. The page needs nothing from elsewhere."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote

import msgspec
from flask import Blueprint, Response

from src.api.operations import openapi

blueprint = Blueprint("pages", __name__)

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem;text-align:left;
vertical-align:top}code{background:#f4f4f4;padding:0 .2rem}details{margin:.4rem 0}summary{cursor:pointer}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}code{background:#2a2a2a}td,th{border-color:#444}}"""
# inline style alone: nothing is loaded, nothing runs
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@blueprint.get("/openapi.json")
def description() -> Response:
    return Response(_encoded(), mimetype="application/json")


@blueprint.get("/docs")
def page() -> Response:
    return Response(_page(), mimetype="text/html", headers={"Content-Security-Policy": _POLICY})


@lru_cache(1)
def _encoded() -> bytes:
    return msgspec.json.encode(openapi.document())


@lru_cache(1)
def _page() -> str:
    document = openapi.document()
    schemas = document["components"]["schemas"]
    routes = "".join(_route(route, schemas) for route in openapi.ROUTES)
    errors = "".join(f"<tr><td>{status}</td><td>{escape(text)}</td></tr>" for status, text in openapi.ERRORS.items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Stoker API</title><style>{_STYLE}</style><h1>Stoker API</h1>"
        "<p>For programs: <a href=/openapi.json>openapi.json</a>. Chat is OpenAI's: "
        "<code>base_url=http://this-host/v1</code> in any of its clients.</p>"
        f"{routes}<h2>Errors</h2><table>{errors}</table></html>"
    )


def _route(route: openapi.DocumentedRoute, schemas: dict[str, Any]) -> str:
    named = quote(f"{route.method.upper()} {route.path}")
    access = f"<small>{escape(openapi.access_text(route))} <a href='/#api/{named}'>Try it</a></small>"
    head = f"<code>{route.method.upper()} {escape(route.path)}</code> {escape(route.summary)} {access}"
    if route.body is None:
        return f"<p>{head}</p>"
    schema = schemas[route.body.__name__]
    needed = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if name in needed else ''}</td><td>{escape(_kind(field))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<details><summary>{head}</summary><table>{rows}</table></details>"


def _kind(field: dict[str, Any]) -> str:
    """A field's type in a few words."""
    if "anyOf" in field:
        return " or ".join(_kind(one) for one in field["anyOf"] if one.get("type") != "null")
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if "const" in field:
        return str(field["const"])
    bounds = [f"{word} {field[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in field]
    return " ".join([str(field.get("type", "any")), *bounds])
