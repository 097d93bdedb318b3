"""docs/errors.md, row by row: each error is provoked once, and comes as its row says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from src.errors import (
    ClientTooSlow,
    EngineCrashed,
    InsufficientQuota,
    InvalidDocument,
    InvalidImage,
    ModelLoadFailed,
    OcrCrashed,
    RequestTimeout,
    ServiceError,
)
from tests.contract.conftest import Service, StartService
from tests.docs import kinds

ROWS = {kind.code: kind for kind in kinds()}
Provoke = Callable[[StartService], httpx.Response]


def raising(error: Exception) -> Provoke:
    """What only a dying process can do for real: tests/e2e has that."""

    def provoke(start: StartService) -> httpx.Response:
        service = start(engine=False)

        def fail(*_: Any) -> Any:
            raise error

        backends: Any = service.app.extensions["stoker"].backends
        backends.open_chat = fail
        return service.chat("hello")

    return provoke


def asking(
    content: str = "hello", *, engine: bool = True, settings: dict[str, Any] | None = None, **fields: Any
) -> Provoke:
    return lambda start: start(engine=engine, **(settings or {})).chat(content, **fields)


def sending(method: str, path: str, **request: Any) -> Provoke:
    return lambda start: start().http.request(method, path, **request)


def full(start: StartService) -> httpx.Response:
    service = start(max_concurrent_requests=1)
    service.inflight.enter(lambda: None)
    return service.chat("hello")


def draining(start: StartService) -> httpx.Response:
    service = start()
    service.inflight.begin_drain()
    return service.chat("hello")


def limited(start: StartService) -> httpx.Response:
    service = start(rate_limit_requests=1)
    service.chat("hello")
    return service.chat("hello")


PROVOKED: dict[str, Provoke] = {
    "invalid_value": asking(temperature=-1),
    "unsupported_value": asking(modalities=["audio"]),
    "thread_unsupported_request": sending(
        "POST", "/v1/messages", content=b'{"thread": {"type": "create"}}', headers={"Content-Type": "application/json"}
    ),
    "context_length_exceeded": asking("x" * 100, settings={"max_model_len": 64}),
    "invalid_image": raising(InvalidImage("This is no image we read.", param="image")),
    "invalid_document": raising(InvalidDocument("This document is damaged.", param="file")),
    "client_too_slow": raising(ClientTooSlow("The answer was not read.")),
    "invalid_api_key": asking(settings={"api_keys": "name:" + "k" * 40}),
    "permission_denied": sending("GET", "/metrics", headers={"Host": "elsewhere.example"}),
    "rate_limit_exceeded": limited,
    "insufficient_quota": raising(InsufficientQuota("The budget is used up.", retry_after_s=3600.0)),
    "request_timeout": raising(RequestTimeout("The body came too slowly.")),
    "not_found": sending("GET", "/v1/nowhere"),
    "model_not_found": asking(model="gpt-9"),
    "method_not_allowed": sending("GET", "/v1/chat/completions"),
    "payload_too_large": asking("x" * (2 << 20)),
    "unsupported_media_type": sending("POST", "/v1/chat/completions", content=b"x"),
    "overloaded": full,
    "backend_unavailable": asking(engine=False, settings={}),
    "engine_crashed": raising(EngineCrashed("The engine died.", retry_after_s=1.0)),
    "ocr_crashed": raising(OcrCrashed("The OCR worker died.", retry_after_s=1.0)),
    "model_load_failed": raising(ModelLoadFailed("The model cannot be loaded.", retry_after_s=1.0)),
    "server_shutdown": draining,
    "deadline_exceeded": asking("fake:count=100000 fake:delay=0.01", timeout=0.1, max_tokens=100_000),
    "internal_error": raising(RuntimeError("a bug")),
}


def test_every_row_is_provoked() -> None:
    """An error that is added is added here."""
    assert set(PROVOKED) == set(ROWS)


@pytest.mark.parametrize("code", sorted(ROWS))
def test_a_row(code: str, start_service: StartService) -> None:
    """Status, type and code are those of the table; what can be tried again says when."""
    kind: type[ServiceError] = ROWS[code]
    response = PROVOKED[code](start_service)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (kind.status, kind.type, code)
    assert response.json()["request_id"] == response.headers["X-Request-Id"]
    assert ("Retry-After" in response.headers) == (kind.status in (429, 503))
    if kind.status == 405:
        assert "POST" in response.headers["Allow"]
    if kind.status == 500:
        assert "bug" not in response.text


def test_what_the_fake_engine_refuses(service: Service) -> None:
    """docs/compatibility.md says the truth of it: no schema, and no calls that a test did not write."""
    assert service.chat("hello", response_format={"type": "json_object"}).json()["error"]["param"] == "response_format"
    tools = [{"type": "function", "function": {"name": "f"}}]
    reply = service.chat("hello", tools=tools, tool_choice="required")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "tool_choice")
    made = service.chat('[{"name":"f","arguments":{}}]', tools=tools, tool_choice="required").json()["choices"][0]
    assert made["finish_reason"] == "tool_calls"
    assert made["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
