"""API keys: who is let in where."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from flask import Flask

from src.api.edge.auth import salt
from src.api.owner import KEY_NAME
from tests.unit.api.conftest import MakeApp

_KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def closed(make_app: MakeApp) -> Flask:
    return make_app(api_keys=f"alice:user:{_KEY}, {_KEY}-2", rate_limit_failed_logins=1000)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_right_key_opens_and_names_its_owner(closed: Flask) -> None:
    """With its key a request reaches the route; the metric counts it under the key's name, never the key."""
    client = closed.test_client()
    assert client.get("/v1/models", headers=bearer(_KEY)).status_code == 200
    text = client.get("/metrics", headers=bearer(f"{_KEY}-2")).text
    digest = hashlib.sha256(f"{_KEY}-2".encode()).hexdigest()
    assert 'stoker_key_requests_total{key="alice"} 1.0' in text
    assert f'stoker_key_requests_total{{key="key-{digest[:8]}"}} 1.0' in text
    assert _KEY not in text


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {_KEY}", _KEY, "Bearer é", f"Bearer {_KEY}x", "Bearer \x7f"],
)
def test_a_wrong_key_is_a_401_that_repeats_nothing(closed: Flask, header: str) -> None:
    """Whatever is presented: OpenAI's envelope, WWW-Authenticate, and no echo of the key."""
    reply = closed.test_client().get("/v1/models", headers={"Authorization": header})
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.get_json()["error"]["code"] == "invalid_api_key"
    assert _KEY not in reply.text


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "status"),
    [
        (None, _KEY, 200),
        ("", _KEY, 200),
        ("Bearer ", _KEY, 200),
        ("Bearer", f" {_KEY} ", 200),
        (f"Bearer {_KEY}", None, 200),
        (f"Bearer {_KEY}", "", 200),
        (f"Bearer {_KEY}", _KEY, 200),
        (f"bearer  {_KEY}", _KEY, 200),
        (f"Bearer {_KEY}", f"{_KEY}-2", 401),
        (f"Bearer {_KEY}", "wrong", 401),
        ("Bearer wrong", _KEY, 401),
        (f"Basic {_KEY}", _KEY, 401),
        (None, "wrong", 401),
        (None, "", 401),
        ("", "", 401),
        (None, "é", 401),
        (None, f"Bearer {_KEY}", 401),
    ],
)
def test_a_key_is_taken_from_either_header(
    closed: Flask, authorization: str | None, x_api_key: str | None, status: int
) -> None:
    """Anthropic's clients send `x-api-key`. Empty is absent; two keys that differ are none."""
    given = {"Authorization": authorization, "x-api-key": x_api_key}
    headers = {name: value for name, value in given.items() if value is not None}
    for method, path in (("GET", "/v1/models"), ("GET", "/docs")):
        assert closed.test_client().open(path, method=method, headers=headers).status_code == status


def test_wrong_keys_are_limited_by_address_and_right_ones_pass(make_app: MakeApp) -> None:
    """After the third wrong key a minute: 429. Who has a key is never locked out by who has none."""
    client = make_app(api_keys=_KEY, rate_limit_failed_logins=3).test_client()
    statuses = [client.get("/v1/models", headers=bearer("wrong")).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert client.get("/v1/models", headers=bearer(_KEY)).status_code == 200
    assert client.get("/v1/models", environ_base={"REMOTE_ADDR": "192.0.2.9"}).status_code == 401


def test_without_keys_nobody_needs_one(make_app: MakeApp) -> None:
    """Out of the box, on loopback, the service is open; a key that is sent all the same does no harm."""
    client = make_app().test_client()
    assert client.get("/v1/models").status_code == 200
    assert client.get("/v1/models", headers=bearer("none")).status_code == 200


def test_a_key_has_a_salt_that_does_not_give_it_away(closed: Flask) -> None:
    """What the engine keeps is kept apart by key: each name has its own salt, the same every time."""

    assert salt_of(closed, None) == ""
    assert salt_of(closed, "alice") == salt_of(closed, "alice") != salt_of(closed, "bob")
    assert len(salt_of(closed, "alice")) == 32
    assert "alice" not in salt_of(closed, "alice")


def salt_of(app: Flask, name: str | None) -> str:
    with app.test_request_context(environ_overrides={KEY_NAME: name} if name else {}):
        return salt()


def test_salts_last_as_long_as_what_they_keep_apart(make_app: MakeApp, tmp_path: Path) -> None:
    """Another process has others, unless a disk keeps what was computed; a secret that is damaged costs only that."""

    def restarted(folder: Path | None) -> str:
        return salt_of(make_app(api_keys=f"alice:{_KEY}", prefix_cache_dir=folder), "alice")

    assert restarted(None) != restarted(None)
    assert restarted(tmp_path / "a") == restarted(tmp_path / "a") != restarted(tmp_path / "b")
    (tmp_path / "a" / "secret").write_bytes(b"short")
    assert restarted(tmp_path / "a") != restarted(tmp_path / "a")
