"""Roles: every route, every kind of caller; the table below is written by hand, not made from the one in the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from loguru import logger

from src.api.edge import auth
from src.api.edge.address import FORWARDED_KEY, is_local
from src.api.operations import openapi
from src.api.service import EXTENSION
from src.errors import ModelLoadFailed
from src.ipc.messages.base import Failed
from src.ipc.messages.control import AcquireModel
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer
from tests.unit.api.conftest import MakeApp
from tests.unit.api.fakes import table
from tests.unit.ipc.conftest import ServerThread

KEYS = {name: f"sk-{name}-0123456789abcdef" for name in ("alice", "bob", "root", "prom", "old")}
_ROLES = {"alice": "user", "bob": "user", "root": "admin", "prom": "metrics"}
_NOBODY = "no key"
_OPEN = {"/livez", "/readyz", "/health", "/", "/favicon.ico", "/console/<digest>/<name>"}
_SCRAPED = {"/metrics"}
_OPERATED = {
    *("/v1/models/load", "/v1/models/unload", "/api/gpu-status", "/api/gpu/status", "/api/gpu/offload"),
    *("/api/gpu/release", "/api/gpu/timeout", "/api/gpu/pause", "/api/gpu/resume"),
    *("/api/pull", "/api/delete", "/v1/system/logs", "/v1/system/settings"),
}


@pytest.fixture
def closed(make_app: MakeApp) -> Flask:
    named = [f"{name}:{role}:{KEYS[name]}" for name, role in _ROLES.items()]
    return make_app(api_keys=",".join([*named, f"old:{KEYS['old']}"]), rate_limit_failed_logins=10_000)


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"} if name in KEYS else {}


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        methods = (rule.methods or set()) - {"OPTIONS"}
        # HEAD comes with GET, but where it is all there is
        yield from ((method, rule.rule) for method in sorted(methods - ({"HEAD"} if "GET" in methods else set())))


def expected(rule: str, caller: str) -> int | None:
    """401, 403, or None where the caller is let through."""
    if rule in _OPEN:
        return None
    if caller == _NOBODY:
        return 401
    if caller in ("root", "old"):
        return None
    needs_admin, needs_metrics = rule in _OPERATED, rule in _SCRAPED
    return None if needs_metrics == (caller == "prom") and not needs_admin else 403


@pytest.mark.parametrize("caller", [_NOBODY, *KEYS])
def test_every_route_for_every_caller(caller: str, closed: Flask) -> None:
    """Let through, 401 or 403, along the application's own table of routes: a new route cannot be forgotten."""
    client = closed.test_client()
    found = list(routes(closed))
    assert len(found) > 30
    for method, rule in found:
        path = re.sub(r"<[^>]+>", "x", rule)
        reply = client.open(path, method=method, headers=bearer(caller), json=[] if method == "POST" else None)
        wanted = expected(rule, caller)
        got = reply.status_code if reply.status_code in (401, 403) else None
        assert got == wanted, (method, rule, caller, reply.status_code)
        if wanted == 403:
            assert reply.get_json()["error"]["code"] == "permission_denied"
            assert reply.get_json()["request_id"] == reply.headers["X-Request-Id"]


def test_every_route_is_in_the_table_and_only_those(closed: Flask) -> None:
    """No row stands for a route that is gone; what is in no row would be an admin's."""
    known = {(method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)) for method, rule in routes(closed)}
    assert set(auth.ROUTES) == known
    assert auth.access("POST", "/v1/new") == "admin"
    assert auth.access("PATCH", "/v1/chat/completions") == "admin"
    assert auth.access("HEAD", "/v1/models/<path:name>") == "user"
    assert auth.access("OPTIONS", "/v1/chat/completions") == "user"
    assert auth.access("OPTIONS", "/livez") == "open"


def test_the_description_tells_the_roles() -> None:
    """/openapi.json has each route's role and whether it needs a key; /docs says it in words."""
    paths = openapi.document()["paths"]
    told = {(method.upper(), path): one["x-role"] for path, each in paths.items() for method, one in each.items()}
    assert told == {one: needed for one, needed in auth.ROUTES.items() if one[0] != "HEAD"}
    assert paths["/livez"]["get"]["security"] == []
    assert paths["/metrics"]["get"]["security"] == [{"key": []}]


@pytest.mark.parametrize(("caller", "status"), [("alice", 404), ("root", 404), ("prom", 403), (_NOBODY, 401)])
def test_a_route_that_does_not_exist(caller: str, status: int, closed: Flask) -> None:
    """Whoever may ask for anything is told that there is nothing; the others learn nothing."""
    assert closed.test_client().get("/no/such/route", headers=bearer(caller)).status_code == status


def test_keys_without_a_role_are_named_in_the_log(make_app: MakeApp) -> None:
    """Once, at the start, by their names."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    make_app(api_keys=f"old:{KEYS['old']},alice:user:{KEYS['alice']}")
    logger.remove(sink)
    assert [line for line in lines if "without a role" in line and line.endswith(": old")] == lines
    assert len(lines) == 1


# ---- what a user is shown


@pytest.fixture
def supervised(closed: Flask) -> FlaskClient:
    """With a supervisor whose table has pids, reasons and paths."""
    backends: Any = closed.extensions[EXTENSION].backends
    backends.status = lambda: table(engine="failed", detail="/srv/models/demo is damaged")
    return closed.test_client()


def test_a_user_sees_a_reduced_status(supervised: FlaskClient) -> None:
    """Names and states; no pids, no reasons, no paths. An admin sees all of it."""
    shown = supervised.get("/v1/system/status", headers=bearer("alice"))
    assert shown.get_json() == {
        "version": "0.1.0",
        "uptime_s": 60.0,
        "children": [
            {"name": "web", "state": "starting"},
            {"name": "engine:demo", "state": "failed"},
            {"name": "ocr", "state": "ready"},
        ],
        "models": [{"name": "demo", "state": "failed"}],
        "background_paused": False,
    }
    assert supervised.get("/v1/system/status", headers=bearer("root")).get_json()["children"][1]["pid"] == 42


def test_reasons_are_an_admins(supervised: FlaskClient) -> None:
    """The health routes and the models' cards say that something failed; why, with its paths, an admin alone reads."""
    assert supervised.get("/readyz").get_json()["reasons"] == {"engine:demo": "failed"}
    cards = {name: supervised.get("/v1/models/demo", headers=bearer(name)) for name in ("alice", "root")}
    assert "/srv" not in cards["alice"].text
    assert cards["root"].get_json()["detail"] == "/srv/models/demo is damaged"


# ---- without keys


@pytest.mark.parametrize(
    ("address", "headers", "local"),
    [
        ("127.0.0.1", {"Host": "127.0.0.1:8000"}, True),
        ("127.0.0.2", {"Host": "localhost"}, True),
        ("::1", {"Host": "[::1]:8000"}, True),
        ("::ffff:127.0.0.1", {"Host": "localhost"}, True),
        ("", {"Host": "localhost"}, True),
        ("192.0.2.9", {"Host": "localhost"}, False),
        ("127.0.0.1", {"Host": "evil.example:8000"}, False),
        ("127.0.0.1", {"Host": "[bad"}, False),
        ("127.0.0.1", {"Host": "localhost", "X-Forwarded-For": "127.0.0.1"}, False),
        ("127.0.0.1", {"Host": "localhost", "Via": "1.1 stoker-mcp"}, False),
        ("127.0.0.1", {"Host": "localhost:8000", "Origin": "http://localhost:8000"}, True),
        ("127.0.0.1", {"Host": "localhost:8000", "Origin": "http://localhost:3000"}, False),
        ("127.0.0.1", {"Host": "localhost:8000", "Origin": "https://evil.example"}, False),
        ("127.0.0.1", {"Host": "localhost:8000", "Origin": "null"}, False),
    ],
)
def test_without_keys_this_machine_alone_is_the_admin(
    address: str, headers: dict[str, str], local: bool, make_app: MakeApp
) -> None:
    """Not who comes through a proxy, nor a browser here that shows another site's page. Inference is everybody's."""
    client = make_app().test_client()
    options: dict[str, Any] = {"headers": headers, "environ_base": {"REMOTE_ADDR": address}}
    assert (client.get("/metrics", **options).status_code == 200) == local
    assert (client.post("/api/gpu/pause", **options).status_code == 403) != local
    assert client.get("/v1/models", **options).status_code == 200


def test_a_trusted_proxy_may_say_who_is_local() -> None:
    """Its word on the address counts, whatever name the site has; a remote address stays one."""
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "ai.example", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}
    assert is_local(environ | {FORWARDED_KEY: True})
    assert not is_local(environ)
    assert not is_local(environ | {FORWARDED_KEY: True, "REMOTE_ADDR": "192.0.2.9"})


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/models/load"])
@pytest.mark.parametrize(("caller", "retry"), [("alice", False), ("root", True)])
def test_only_an_admins_load_passes_the_circuit_breaker(
    path: str, caller: str, retry: bool, closed: Flask, runtime_dir: Path
) -> None:
    """Ollama's empty request is a user's, too: an ordinary lease, refused with the failure of the model."""
    asked: list[AnyMessage] = []
    field = "model" if path.startswith("/api") else "model_name"

    async def refuse(peer: Peer) -> None:
        while (message := await peer.receive()) is not None:
            asked.append(message)
            peer.send(Failed(ModelLoadFailed.code, "The model is damaged.", retry_after_s=30.0))

    with ServerThread(runtime_dir / "control.sock", refuse):
        reply = closed.test_client().post(path, headers=bearer(caller), json={field: "demo"})
    if path in _OPERATED and not retry:
        assert (reply.status_code, asked) == (403, [])
    else:
        assert (reply.status_code, asked) == (503, [AcquireModel("demo", retry=retry)])
        assert "The model is damaged." in reply.text


def test_whoever_has_an_assumed_role_sees_its_own_work_alone(closed: Flask) -> None:
    """A key without a role may operate the service as before, but not read what other keys made."""
    closed.add_url_rule("/who", "who", lambda: f"{auth.owner()} {auth.is_admin()} {auth.sees_all()}")
    told = [closed.test_client().get("/who", headers=bearer(name)).text for name in ("old", "root")]
    assert told == ["old True False", "root True True"]
