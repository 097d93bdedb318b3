"""One closed service for all attacks: keys, DEBUG logs, small limits. Every test leaves it answering."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from src.settings import ROOT
from tests.running import Running, service

KEY = "sk-canary-KEYSWORDFISH7"
CANARY = "SWORDFISH"
AUTH = {"Authorization": f"Bearer {KEY}"}
# two clients who know nothing of each other, and a Prometheus; `tester`, with KEY, is the admin
ROLES = {"alice": "user", "bob": "user", "prom": "metrics", "tester": "admin"}
KEYS = {name: KEY if name == "tester" else f"sk-{name}-0123456789abcdef" for name in ROLES}


@pytest.fixture(scope="session")
def target() -> Iterator[Running]:
    """The service as an operator would open it, on the fake engine and the real OCR."""
    settings: dict[str, Any] = {
        "api_keys": ",".join(f"{name}:{role}:{KEYS[name]}" for name, role in ROLES.items()),
        "debug": True,
        "max_body_mb": 2,
        "image_url_hosts": "example.com,.example.com,.evil.com",
        "keep_alive_timeout": 3,
        "response_store_mb": 4,
    }
    with service(
        inference_engine="fake", ocr_workers=1, body_timeout=2, rate_limit_failed_logins=100_000, ready=None, **settings
    ) as running:
        running.wait("/readyz")
        yield running


@pytest.fixture(autouse=True)
def _still_answers(target: Running) -> Iterator[None]:
    """Whatever was done to it: it serves the next client, and nothing had to be restarted."""
    yield
    assert say(target, "still there").json()["choices"][0]["message"]["content"] == "still there"
    status = httpx.get(f"{target.url}/v1/system/status", headers=AUTH, timeout=10).json()
    restarts = {child["name"]: child["restarts"] for child in status["children"]}
    assert restarts == {"engine:demo": {}, "ocr": {}, "web": {}}


def as_key(name: str) -> dict[str, str]:
    """The headers of a client."""
    return {"Authorization": f"Bearer {KEYS[name]}"}


def post(target: Running, path: str, body: object) -> httpx.Response:
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    headers = {**AUTH, "Content-Type": "application/json"}
    return httpx.post(target.url + path, content=content, headers=headers, timeout=30)


def say(target: Running, text: object, **more: object) -> httpx.Response:
    return post(target, "/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **more})


def refused(reply: httpx.Response, *statuses: int) -> dict[str, str]:
    """The error's body, after what holds for every refusal: the envelope, and nothing of our inside."""
    assert reply.status_code in (statuses or (400,)), (reply.status_code, reply.text[:300])
    for inside in ("Traceback", "0x7f", str(ROOT), "site-packages", "/root", "BytesIO"):
        assert inside not in reply.text
    error: dict[str, str] = reply.json()["error"]
    assert error["message"]
    return error


def raw(target: Running, data: bytes, timeout_s: float = 6.0) -> bytes:
    """All the service answers to these bytes until it closes or is silent."""
    with socket.create_connection(("127.0.0.1", target.port), timeout_s) as sock:
        sock.sendall(data)
        sock.settimeout(timeout_s)
        answer = b""
        try:
            while chunk := sock.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionError):
            pass
    return answer
