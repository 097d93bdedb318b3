"""Whose it is goes to the engine with every request: nothing takes turns, or is kept apart, without it."""

from __future__ import annotations

from typing import Any

import pytest

from src.api.generation.connections import Backends
from src.errors import BackendUnavailable
from src.ipc.messages.chat import DetokenizeRequest, EmbedRequest, GenerateRequest, TokenizeRequest
from tests.unit.api.conftest import MakeApp

_KEY = "sk-test-0123456789abcdef"
_CHAT = [{"role": "user", "content": "hello"}]
_HEADERS = {"Authorization": f"Bearer {_KEY}", "X-Priority": "low", "X-Request-Timeout": "7"}
_ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": _CHAT},
    "/v1/completions": {"prompt": "hello"},
    "/v1/messages": {"messages": _CHAT, "max_tokens": 5},
    "/v1/messages/count_tokens": {"messages": _CHAT},
    "/v1/responses": {"input": "hello"},
    "/v1/responses/input_tokens": {"input": "hello"},
    "/v1/embeddings": {"input": "hello"},
    "/tokenize": {"prompt": "hello"},
    "/detokenize": {"tokens": [1]},
    "/api/chat": {"messages": _CHAT},
    "/api/generate": {"prompt": "hello"},
    "/api/embed": {"input": "hello"},
    "/api/embeddings": {"prompt": "hello"},
}

Sent = GenerateRequest | EmbedRequest | TokenizeRequest | DetokenizeRequest


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """What reaches a back end, which is not there."""
    found: list[Sent] = []

    def refuse(message: Sent) -> None:
        found.append(message)
        raise BackendUnavailable("not there", retry_after_s=1.0)

    monkeypatch.setattr(Backends, "open_chat", lambda _, request, __: refuse(request))
    monkeypatch.setattr(Backends, "open_question", lambda _, __, question: refuse(question))
    return found


@pytest.mark.parametrize("route", _ROUTES)
def test_every_request_says_whose_it_is(route: str, make_app: MakeApp, sent: list[Sent]) -> None:
    """On every API; what the headers ask for goes with it where something is computed."""
    app = make_app(api_keys=f"alice:user:{_KEY}")
    reply = app.test_client().post(route, json={"model": "demo", **_ROUTES[route]}, headers=_HEADERS)
    (message,) = sent
    assert reply.status_code == 503
    asked = message.request if isinstance(message, TokenizeRequest) else message
    assert len(asked.salt) == 32
    if isinstance(message, GenerateRequest | EmbedRequest):
        assert (message.priority, message.timeout_s) == ("low", 7)
