"""What of a request is set aside: noted while it is served, told in X-Ignored-Fields, counted and logged.

Web process; views ask `settle` before they read a body, engines' own words arrive through `note_engine`.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, has_request_context
from loguru import logger

from src.api.edge.cors import of_names
from src.api.openai import fields
from src.api.openai.fields import WireName
from src.api.service import service
from src.errors import UnsupportedValue

HEADER = "X-Ignored-Fields"
_LONGEST_PARAM = 64


def install(app: Flask) -> None:
    app.after_request(_tell)


def settle(wire: WireName, body: dict[str, Any]) -> dict[str, Any]:
    """A body without what is set aside on this wire; raises as `fields.sort` and `note`."""
    note(*fields.sort(wire, body))
    if isinstance(offered := body.get("tools"), list):
        body["tools"], hosted = fields.split_tools(offered)
        note(*hosted)
    return body


def note(*names: str) -> None:
    """These fields are set aside.

    Raises:
        UnsupportedValue: the first of them, under STRICT_FIELDS.
    """
    if names and service().settings.strict_fields:
        raise UnsupportedValue("This field would be set aside (STRICT_FIELDS).", param=names[0][:_LONGEST_PARAM])
    _noted().update(dict.fromkeys(names))


def rename(**names: tuple[str, ...]) -> None:
    """Engines name chat's fields; this wire has them under other names."""
    g.setdefault("field_names", {}).update(names)


def note_engine(names: tuple[str, ...]) -> None:
    """What the engine set aside. A stream whose head has gone tells nobody any more but the log."""
    if not has_request_context():
        logger.debug("the engine set aside: {}", ", ".join(names))
        return
    own = g.get("field_names", {})
    _noted().update(dict.fromkeys(one for name in names for one in own.get(name, (name,))))


def _noted() -> dict[str, None]:
    noted: dict[str, None] = g.setdefault("set_aside", {})
    return noted


def _tell(response: Response) -> Response:
    names = g.pop("set_aside", None)
    if names:
        shown = of_names(names)
        response.headers[HEADER] = shown
        for field in {fields.label(name) for name in names}:
            service().metrics.ignored_fields.labels(field).inc()
        logger.debug("set aside: {}", shown)
    return response
