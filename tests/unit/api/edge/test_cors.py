"""Headers for browsers, and CORS."""

from __future__ import annotations

import pytest

from src.settings import SettingsError
from tests.unit.api.conftest import MakeApp

_PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/nowhere", "/metrics"])
def test_every_response_has_the_security_headers(make_app: MakeApp, path: str) -> None:
    """Errors included: nothing is sniffed, framed, stored or referred."""
    headers = make_app().test_client().get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_cors_is_off_by_default(make_app: MakeApp) -> None:
    """A page of another origin is told nothing that would let it read."""
    reply = make_app().test_client().options("/v1/chat/completions", headers=_PREFLIGHT)
    assert not [name for name in dict(reply.headers) if name.startswith("Access-Control")]


def test_cors_lets_in_the_listed_origins_alone(make_app: MakeApp) -> None:
    """A preflight of a listed origin passes without a key; others, and credentials, never do."""
    app = make_app(cors_origins="https://app.example.com", api_keys="sk-0123456789abcdef")
    client = app.test_client()
    reply = client.options("/v1/chat/completions", headers=_PREFLIGHT)
    assert reply.status_code == 204
    assert reply.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "Access-Control-Allow-Credentials" not in reply.headers
    other = client.options("/v1/chat/completions", headers={**_PREFLIGHT, "Origin": "https://evil.example"})
    assert other.status_code == 401
    assert "Access-Control-Allow-Origin" not in other.headers
    assert client.get("/v1/models", headers={"Origin": "https://app.example.com"}).status_code == 401


def test_a_page_may_ask_a_private_network_from_listed_origins_alone(make_app: MakeApp) -> None:
    """Browsers ask before a public page reaches a private address; others get no word of it."""
    client = make_app(cors_origins="https://app.example.com").test_client()
    asked = {**_PREFLIGHT, "Access-Control-Request-Private-Network": "true"}
    allowed = "Access-Control-Allow-Private-Network"
    assert client.options("/v1/chat/completions", headers=asked).headers[allowed] == "true"
    assert allowed not in client.options("/v1/chat/completions", headers=_PREFLIGHT).headers
    other = {**asked, "Origin": "https://evil.example"}
    assert client.options("/v1/chat/completions", headers=other).headers.get(allowed) != "true"


@pytest.mark.parametrize("changes", [{"cors_origins": "*"}, {"cors_origins": "app"}])
def test_what_is_no_origin_stops_the_start(make_app: MakeApp, changes: dict[str, str]) -> None:
    """`*` and half-written values are refused by name."""
    with pytest.raises(SettingsError, match=next(iter(changes)).upper()):
        make_app(**changes)
