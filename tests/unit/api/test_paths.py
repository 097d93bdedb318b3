"""Paths that are nearly right are served, or the 404 names the right one."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.api.conftest import MakeApp

_KEY = "sk-test-0123456789abcdef"


def ask(client: FlaskClient, method: str, path: str, **options: Any) -> TestResponse:
    """The path as a server hands it on: a test client would take two slashes for a host."""
    return client.open("/", method=method, environ_overrides={"PATH_INFO": path}, **options)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/",
        "//v1/models",
        "/v1//models",
        "/v1/v1/models",
        "/v1/v1/v1/models/",
        "/models",
        "/models/",
    ],
)
def test_a_slash_or_a_version_too_many_or_too_few_is_served(make_app: MakeApp, path: str) -> None:
    """Where only one route can be meant."""
    reply = ask(make_app().test_client(), "GET", path)
    assert (reply.status_code, reply.get_json().get("object")) == (200, "list"), path


@pytest.mark.parametrize("endpoint", ["chat/completions", "completions", "responses", "messages", "embeddings"])
@pytest.mark.parametrize("shape", ["/{}", "/v1/{}/", "/v1/v1/{}", "//v1//{}", "/{}/"])
def test_every_inference_route_is_found(make_app: MakeApp, endpoint: str, shape: str) -> None:
    """The view is reached: it asks for a JSON body."""
    reply = ask(make_app().test_client(), "POST", shape.format(endpoint), data=b"x", content_type="text/plain")
    assert reply.status_code == 415, reply.text


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/metrics", "/metrics"),
        ("/system/status", "/v1/system/status"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/openai/deployments/x/chat/completions", "/v1/chat/completions"),
        ("/api/v0/models", "/v1/models"),
    ],
)
def test_what_is_not_served_is_named(make_app: MakeApp, path: str, meant: str) -> None:
    """Routes that a proxy may guard by their path are never reached by another spelling."""
    error = ask(make_app().test_client(), "GET", path).get_json()["error"]
    assert (error["code"], error["message"]) == ("not_found", f"No such route; did you mean {meant}?")


@pytest.mark.parametrize("path", ["/nothing", "/v1/", "/" + "a/" * 5000, "/v1/%00", "/v1/<b>"])
def test_a_path_like_no_other_is_a_plain_404(make_app: MakeApp, path: str) -> None:
    """Nothing of it is repeated."""
    reply = ask(make_app().test_client(), "GET", path)
    assert reply.status_code in (404, 405)
    assert "<b>" not in reply.text


def test_a_corrected_path_needs_its_key_and_counts(make_app: MakeApp) -> None:
    """Another spelling of a route is that route, for keys, limits and metrics."""
    client = make_app(api_keys=_KEY, rate_limit_tokens=1).test_client()
    assert client.get("/models").status_code == 401
    assert client.get("/v1/v1/models", headers={"x-api-key": _KEY}, buffered=True).status_code == 200
    assert client.get("/v1/livez").status_code == 401
    text = client.get("/metrics", headers={"x-api-key": _KEY}).text
    assert 'stoker_http_requests_total{method="GET",route="/v1/models",status="200"} 1.0' in text
