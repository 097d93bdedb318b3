"""The last request of real agents' sessions, as `make test-agents` recorded them, scrubbed: each is answered here.

What a recording says of its status and of the fields set aside is what the service said then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.conftest import Service, StartService, broker_of
from tests.contract.test_pdf import Broker

SESSIONS = {file.stem: file for file in sorted((Path(__file__).parent / "recorded" / "sessions").glob("*.json"))}
AGENTS = {"aider", "claude_code", "codex", "llm", "opencode", "qwen_code"}
_LAST = {"messages": "message_stop", "responses": "response.completed"}


@pytest.fixture
def service(start_service: StartService) -> Service:
    """A context that every session fits into."""
    return start_service(max_model_len=1 << 20)


def replay(service: Service, name: str) -> tuple[dict[str, Any], httpx.Response]:
    recorded: dict[str, Any] = json.loads(SESSIONS[name].read_text())
    method, _, route = recorded["request"].partition(" ")
    body = recorded["body"] | {"model": "demo"}
    with broker_of(service, Broker()):
        return recorded, service.http.request(method, route, json=body, headers=recorded["headers"])


def test_every_agent_is_recorded() -> None:
    recorded = {name for name in AGENTS if any(session.startswith(name) for session in SESSIONS)}
    assert recorded == AGENTS


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_a_session_goes_on(name: str, service: Service) -> None:
    """The status, what is named as set aside, and a stream that ends as its wire ends."""
    recorded, reply = replay(service, name)
    assert reply.status_code == recorded["status"], reply.text
    # an answer limit beyond the context was, where the context was small
    ignored = recorded["ignored"].removesuffix("max_tokens").removesuffix(", ")
    assert reply.headers.get("X-Ignored-Fields", "") == ignored
    wire = recorded["request"].partition("?")[0].rpartition("/")[2]
    if not recorded["body"].get("stream"):
        assert reply.json()["choices"][0]["finish_reason"] == "stop"
    elif wire == "completions":
        assert reply.text.rstrip().endswith("data: [DONE]")
    else:
        assert f"event: {_LAST[wire]}" in reply.text
        assert "error" not in {line.partition(" ")[2] for line in reply.text.splitlines() if line.startswith("event:")}
