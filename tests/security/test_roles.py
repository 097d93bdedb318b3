"""What a key may do is its role: every route of the running service, for every kind of caller."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.running import Running
from tests.security.conftest import KEY, KEYS, as_key, refused

pytestmark = pytest.mark.e2e

_NOBODY = "no key"
_OPEN = {"/livez", "/readyz", "/health", "/", "/favicon.ico", "/console/{digest}/{name}"}
_OPERATED = {
    *("/v1/models/load", "/v1/models/unload", "/api/gpu-status", "/api/gpu/status", "/api/gpu/offload"),
    *("/api/gpu/release", "/api/gpu/timeout", "/api/gpu/pause", "/api/gpu/resume", "/api/pull", "/api/delete"),
    *("/v1/system/logs", "/v1/system/settings"),
}


def routes(target: Running) -> Iterator[tuple[str, str]]:
    """As the service describes itself. `pause` comes before `resume`: nothing stays changed."""
    paths = httpx.get(f"{target.url}/openapi.json", headers=as_key("tester"), timeout=10).json()["paths"]
    yield from ((method.upper(), path) for path, each in paths.items() for method in each)


def expected(path: str, caller: str) -> int | None:
    """401, 403, or None where the caller is let through."""
    if path in _OPEN or (caller == "tester"):
        return None
    if caller == _NOBODY:
        return 401
    if path in _OPERATED or (path == "/metrics") != (caller == "prom"):
        return 403
    return None


@pytest.mark.parametrize("caller", [_NOBODY, *KEYS])
def test_every_route_for_every_caller(target: Running, caller: str) -> None:
    """Bodies are empty lists, which whoever is let through is told: no route does anything."""
    headers = {} if caller == _NOBODY else as_key(caller)
    found = list(routes(target))
    assert len(found) > 30
    for method, path in found:
        url = target.url + re.sub(r"{\w+}", "nothing", path)
        body: list[object] | None = [] if method == "POST" else None
        with httpx.stream(method, url, headers=headers, json=body, timeout=30) as reply:
            if reply.status_code in (401, 403):  # what is let through may be a stream without end
                reply.read()
        wanted = expected(path, caller)
        got = reply.status_code if reply.status_code in (401, 403) else None
        assert got == wanted, (method, path, caller, reply.status_code)
        if wanted is not None:
            code = refused(reply, wanted)["code"]
            assert code == {401: "invalid_api_key", 403: "permission_denied"}[wanted]


def test_a_user_moves_nothing_and_learns_nothing_of_others(target: Running) -> None:
    """Orders that would hurt everybody are refused before they are read; the status has neither pids nor paths."""
    for path, body in (
        ("/api/gpu/timeout", {"timeout": 0.001}),
        ("/v1/models/unload", {"model_name": "demo"}),
        ("/api/gpu/release", {}),
        ("/api/gpu/pause", None),
    ):
        refused(httpx.post(target.url + path, json=body, headers=as_key("alice"), timeout=10), 403)
    status = httpx.get(f"{target.url}/v1/system/status", headers=as_key("alice"), timeout=10).json()
    assert set(status) == {"version", "uptime_s", "children", "models", "background_paused"}
    assert all(set(part) == {"name", "state"} for part in status["children"] + status["models"])
    full = httpx.get(f"{target.url}/v1/system/status", headers=as_key("tester"), timeout=10).json()
    assert {child["name"] for child in full["children"]} == {part["name"] for part in status["children"]}
    assert full["children"][0]["pid"]


def test_metrics_have_names_of_keys_and_no_keys(target: Running) -> None:
    """Prometheus's key reads them all."""
    text = httpx.get(f"{target.url}/metrics", headers=as_key("prom"), timeout=10).text
    assert 'stoker_key_requests_total{key="tester"}' in text
    assert not [key for key in (KEY, *KEYS.values()) if key in text]
