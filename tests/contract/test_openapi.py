"""The API's description says what the API does: every route is in it, and strangers' requests get what it promises."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from pydantic import BaseModel
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from src.api.openai import fields
from src.api.operations import field_classes, openapi
from tests.contract.conftest import Service, StartService

EXAMPLES = 10
# their answers depend on the machine or the supervisor, and are documented by their own tests
NOT_CALLED = (
    "/",
    "/favicon.ico",
    "/console/{digest}/{name}",
    "/metrics",
    "/api/gpu-status",
    "/v1/ocr",
    "/docs",
    "/health",
    "/readyz",
    "/v1/system/status",
    "/v1/system/events",
    "/v1/system/settings",
)
# the supervisor's to answer
SUPERVISORS = ("/api/gpu/", "/api/pull", "/api/delete", "/v1/models/load", "/v1/models/unload")


def test_every_route_is_described(service: Service) -> None:
    """No route without its place in the description, and nothing described that is not there."""
    real = {
        (method.lower(), re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule))
        for rule in service.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    }
    assert real == {(route.method, route.path) for route in openapi.ROUTES}


def test_references_lead_somewhere(service: Service) -> None:
    """Every `$ref` names a schema that is there."""
    text = service.http.get("/openapi.json").text
    schemas = service.http.get("/openapi.json").json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= set(schemas)


@functools.cache
def schemas() -> dict[str, Any]:
    found: dict[str, Any] = openapi.document()["components"]["schemas"]
    return found


@pytest.mark.parametrize("model", field_classes.WIRE_OF, ids=lambda model: model.__name__)
def test_each_field_has_its_class(model: type[BaseModel]) -> None:
    """As the one table says, in the property and in its description; a property without a class is in no table."""
    wire = field_classes.WIRE_OF[model]
    schema = schemas()[model.__name__]
    classes = {name: shown.get(field_classes.CLASS) for name, shown in schema["properties"].items()}
    table = {row.name: row for row in fields.of_wire(wire)}
    assert set(model.model_fields) - {"options"} <= {name for name, kind in classes.items() if kind}
    assert classes.items() >= {(name, table[name].kind) for name in classes if name in table}
    aside = {row.name for row in table.values() if row.kind in ("advisory", "refused") and row.places == (row.name,)}
    assert {name for name in aside if "." not in name} <= set(classes)
    for name, kind in classes.items():
        assert kind is None or kind in schema["properties"][name]["description"].lower(), name
    inside = {place: row.kind for row in table.values() for place in row.places if "." in place}
    listed = schema[field_classes.ALL]
    assert listed.items() >= {
        (place, kind) for place, kind in inside.items() if re.split(r"[.\[]", place)[0] in classes
    }


def test_what_a_schema_refuses_is_refused(service: Service) -> None:
    """And what it calls advisory is set aside: the document is the service's word."""
    properties = schemas()["ChatCompletionRequest"]["properties"]
    for name in ("audio", "min_tokens", "modalities"):
        assert properties[name][field_classes.CLASS] == "refused"
        assert service.chat("hi", max_tokens=1, **{name: {"a": 1}}).json()["error"]["param"] == name
        assert service.chat("hi", max_tokens=1, **{name: properties[name]["enum"][-1]}).status_code == 200
    assert properties["verbosity"][field_classes.CLASS] == "advisory"
    assert service.chat("hi", max_tokens=1, verbosity="low").headers["X-Ignored-Fields"] == "verbosity"
    assert "but for `text`" in properties["response_format"][field_classes.ENGINES]["fake"]


def test_the_page_needs_nothing_from_elsewhere(service: Service) -> None:
    """It loads no script, style, font or picture, and its policy forbids them."""
    reply = service.http.get("/docs")
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not re.search(r"<script|<link|<img|src=|https?://(?!this-host)", reply.text)
    for route in openapi.ROUTES:
        assert route.path in reply.text


CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
# what needs a broker is called in tests/e2e
CALLED = [r for r in openapi.ROUTES if r.path not in NOT_CALLED and not r.path.startswith(("/v1/ocr/", *SUPERVISORS))]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("route", CALLED, ids=lambda route: f"{route.method} {route.path}")
def test_strangers_requests(route: openapi.DocumentedRoute, mode: GenerationMode, start_service: StartService) -> None:
    """Whatever the description allows or forbids is answered as it says: its statuses, its shapes, never a 5xx."""
    service = start_service(max_model_len=4096, default_max_tokens=64)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", service.app)
    operation = schema[route.path][route.method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.validate_response(case.call(), checks=CHECKS)

    try:
        run()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing can be asked of this route"
    assert service.works()
