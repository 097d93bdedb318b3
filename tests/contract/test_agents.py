"""Requests of real agents and SDKs, recorded and scrubbed: what each must get (tests/contract/agents)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from src.errors import InvalidDocument
from src.ipc.messages.base import Failed
from src.ipc.server import Peer
from tests.contract.conftest import Service, StartService, broker_of

CASES = {file.stem: json.loads(file.read_text()) for file in sorted((Path(__file__).parent / "agents").glob("*.json"))}
# with the fake engine, which reads no pictures and has no template: the status, and what is set aside
RIGHT: dict[str, tuple[int, str]] = {
    "anthropic_document_text": (200, ""),
    "anthropic_error_envelope": (400, ""),
    "anthropic_inference_geo": (400, ""),
    "anthropic_models_list": (200, ""),
    "anthropic_prefill": (200, ""),
    "anthropic_redacted_thinking": (200, ""),
    "anthropic_thread_continue": (400, ""),
    "anthropic_thread_create": (400, ""),
    "chat_verbosity": (200, "verbosity"),
    "claude_01_full": (200, "context_management, cache_control, max_tokens"),
    "claude_02_system_turn": (200, "cache_control"),
    "claude_04_context_management": (200, "context_management, cache_control"),
    "claude_05_image_in_tool_result": (200, "cache_control, messages.image"),
    "claude_06_document_beside_result": (200, "cache_control, messages.document"),
    "claude_07_tool_reference": (200, "cache_control"),
    "claude_08_web_search_tool": (400, "cache_control"),
    "claude_09_effort_without_switch": (200, "cache_control"),
    "claude_11_max_tokens_over_context": (200, "cache_control, max_tokens"),
    "claude_12_foreign_model": (404, "cache_control"),
    "claude_13_head_root": (200, ""),
    "claude_14_thinking_display": (200, "thinking.display, cache_control"),
    "claude_15_tools_none_template": (200, "cache_control"),
    "guidellm_continuous_usage": (200, ""),
}


def send(service: Service, name: str, **changes: Any) -> Any:
    case = CASES[name]
    body = case.get("body")
    if isinstance(body, dict):
        body = body | changes
        if not str(body.get("model")).startswith("claude"):
            body["model"] = service.settings.default_model
    headers = {name: value for name, value in case.get("headers", {}).items() if name != "x-api-key"}
    return service.http.request(case["method"], case["route"], json=body, headers=headers)


async def broken_pdf(peer: Peer) -> None:
    await peer.receive()
    peer.send(Failed.of(InvalidDocument("The PDF is damaged.", param="file")))


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service(max_model_len=8192)


def test_every_case_is_tried() -> None:
    assert set(RIGHT) == set(CASES)


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_a_recorded_request(name: str, service: Service) -> None:
    """The status, and the fields that are named as set aside. The PDF in one of them is damaged."""
    with broker_of(service, broken_pdf):
        reply = send(service, name)
    assert (reply.status_code, reply.headers.get("X-Ignored-Fields", "")) == RIGHT[name], reply.text


def events(text: str) -> list[Any]:
    """The data of a stream's events."""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("name", ["anthropic_thread_create", "anthropic_thread_continue"])
def test_a_thread_is_refused_so_that_the_sdk_sends_the_whole_history(name: str, service: Service) -> None:
    error = send(service, name).json()
    assert error["type"] == "error"
    assert error["error"]["details"] == {"error_code": "thread_unsupported_request", "unsupported": []}


def test_the_error_envelope_is_this_apis(service: Service) -> None:
    error = send(service, "anthropic_error_envelope").json()
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert "max_tokens" in error["error"]["message"]
    assert error["request_id"]


def test_a_hosted_tool_alone_is_refused_by_its_name(service: Service) -> None:
    assert "web_search_20250305" in send(service, "claude_08_web_search_tool").json()["error"]["message"]


def test_models_in_this_apis_shape(service: Service) -> None:
    page = send(service, "anthropic_models_list").json()
    model = page["data"][0]
    assert (model["type"], model["id"], model["display_name"]) == ("model", "demo", "demo")
    assert model["created_at"].endswith("Z")
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "demo", page["data"][-1]["id"])
    headers = {"anthropic-version": "2023-06-01"}
    assert service.http.get("/v1/models/demo", headers=headers).json()["type"] == "model"
    assert service.http.get("/v1/models/none", headers=headers).json()["type"] == "error"
    assert service.http.get("/v1/models").json()["object"] == "list"


def test_an_answer_goes_on_from_its_beginning(service: Service) -> None:
    """The fake engine says the user's text: given its beginning, it says the rest."""
    turns = [{"role": "user", "content": "hello world"}, {"role": "assistant", "content": "hello"}]
    reply = service.http.post("/v1/messages", json={"max_tokens": 50, "messages": turns}).json()
    assert reply["content"] == [{"type": "text", "text": " world"}]
    own = {"continue_final_message": True, "add_generation_prompt": False}
    chat = service.http.post("/v1/chat/completions", json={"messages": turns, **own}).json()
    assert chat["choices"][0]["message"]["content"] == " world"
    new = service.http.post("/v1/chat/completions", json={"messages": turns}).json()
    assert new["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"continue_final_message": True, "add_generation_prompt": True}, "add_generation_prompt"),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
        ({"continue_final_message": True, "messages": [{"role": "user", "content": "x"}]}, "continue_final_message"),
    ],
)
def test_flags_that_contradict_each_other(fields: dict[str, Any], param: str, service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]} | fields
    refused = service.http.post("/v1/chat/completions", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_usage_as_it_goes(service: Service) -> None:
    """Every chunk of a stream says what was used so far; the last one what it was in the end."""
    found = [event["usage"] for event in events(send(service, "guidellm_continuous_usage").text)]
    made = [usage["completion_tokens"] for usage in found]
    assert made == sorted(made)
    assert made[-1] == len("hi notool") + 1
    assert {usage["prompt_tokens"] for usage in found} == {found[-1]["prompt_tokens"]}


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "kind"),
    [
        ("/v1/messages", {}, b"{", 400, "invalid_request_error"),
        ("/v1/messages/batches", {}, b"{}", 404, "not_found_error"),
        ("/v1/messages", {"X-Priority": "odd"}, None, 400, "invalid_request_error"),
        ("/v1/messages", {}, b'{"x": "' + b"x" * (2 << 20) + b'"}', 413, "request_too_large"),
    ],
)
def test_every_error_of_these_routes(
    path: str, headers: dict[str, str], body: bytes | None, status: int, kind: str, service: Service
) -> None:
    """Whoever refuses: this API's clients read one envelope."""
    content = body or b'{"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}'
    reply = service.http.post(path, content=content, headers={"Content-Type": "application/json", **headers})
    error = reply.json()
    assert (reply.status_code, error["type"], error["error"]["type"]) == (status, "error", kind)


def test_a_key_that_is_missing_is_said_in_this_apis_envelope(start_service: StartService) -> None:
    service = start_service(engine=False, api_keys="secret-key-of-this-test-1234567890")
    error = service.http.post("/v1/messages", json={}).json()
    assert (error["type"], error["error"]["type"]) == ("error", "authentication_error")


def test_a_prompt_that_is_too_long_is_said_so_that_the_agent_heals_itself(start_service: StartService) -> None:
    """The texts that Claude Code reads numbers from."""
    service = start_service(max_model_len=64)
    turns = [{"role": "user", "content": "x" * 100}]
    error = service.http.post("/v1/messages", json={"max_tokens": 5, "messages": turns}).json()["error"]
    assert re.fullmatch(r"prompt is too long: \d+ tokens > 64 maximum", error["message"])


def test_a_limit_that_may_not_be_cut_is_said_likewise(start_service: StartService) -> None:
    strict = start_service(max_model_len=64, strict_fields=True)
    turns = [{"role": "user", "content": "x"}]
    error = strict.http.post("/v1/messages", json={"max_tokens": 100, "messages": turns}).json()["error"]
    text = r"input length and `max_tokens` exceed context limit: \d+ \+ 100 > 64, decrease .*"
    assert re.fullmatch(text, error["message"])


FUNCTION = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


def test_legacy_functions_come_back_as_functions(service: Service) -> None:
    """Streamed and whole: a call in the message, as before there were tools."""
    body = {
        "messages": [{"role": "user", "content": '{"city":"Köln"}'}],
        "functions": [FUNCTION],
        "function_call": {"name": "weather"},
    }
    choice = service.http.post("/v1/chat/completions", json=body).json()["choices"][0]
    assert choice["message"]["function_call"] == {"name": "weather", "arguments": '{"city":"Köln"}'}
    assert "tool_calls" not in choice["message"]
    streamed = events(service.http.post("/v1/chat/completions", json=body | {"stream": True}).text)
    pieces = [event["choices"][0]["delta"].get("function_call", {}) for event in streamed]
    assert "".join(piece.get("name", "") for piece in pieces) == "weather"
    assert "".join(piece.get("arguments", "") for piece in pieces) == '{"city":"Köln"}'


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/messages"])
def test_half_an_emoji_is_a_replacement_character(route: str, service: Service) -> None:
    """A client that cut a text between two surrogates must not lose its session by it."""
    body = rb'{"max_tokens":99,"messages":[{"role":"user","content":"x \ud83d y \ud83d\ude00 \\ud83d \ude00"}]}'
    reply = service.http.post(route, content=body, headers={"Content-Type": "application/json"}).json()
    said = reply["content"][0]["text"] if "content" in reply else reply["choices"][0]["message"]["content"]
    assert said == "x \ufffd y \U0001f600 \\ud83d \ufffd"


def test_other_names_of_a_model(start_service: StartService) -> None:
    """Off unless configured; a model's own name comes first, and the answer says which model it was."""
    service = start_service(model_aliases="claude-*=demo, gpt-4=nothing,gpt-*=demo")
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    for name in ("claude-haiku-4-5", "gpt-5", "demo"):
        for route in ("/v1/messages", "/v1/chat/completions", "/v1/messages/count_tokens"):
            reply = service.http.post(route, json=body | {"model": name})
            assert reply.status_code == 200, reply.text
            assert reply.json().get("model", "demo") == "demo"
    assert service.http.post("/v1/messages", json=body | {"model": "gpt-4"}).status_code == 404
    assert service.http.post("/v1/messages", json=body | {"model": "other"}).status_code == 404
    card = next(one for one in service.http.get("/v1/models").json()["data"] if one["id"] == "demo")
    assert card["aliases"] == ["claude-*", "gpt-*"]
    assert service.http.get("/v1/models/claude-x").json()["id"] == "demo"


def test_an_answer_may_take_what_the_context_has_left(start_service: StartService) -> None:
    """Unless a request or DEFAULT_MAX_TOKENS says otherwise."""
    service = start_service(max_model_len=2048, default_max_tokens=0)
    usage = service.chat("fake:count=3000").json()["usage"]
    assert usage["total_tokens"] == 2048


@pytest.mark.parametrize("length", [65, 128])
def test_long_names_of_tools(length: int, service: Service) -> None:
    tools = [{"type": "function", "function": {"name": "n" * length}}]
    assert service.chat("hi", tools=tools).status_code == 200
    assert service.chat("hi", tools=[{"type": "function", "function": {"name": "n" * 129}}]).status_code == 400


def test_a_late_system_turn_is_not_what_the_fake_engine_answers(service: Service) -> None:
    """Claude Code ends its turns with one; the programme of a test is in the user's before."""
    turns = [{"role": "user", "content": "hello"}, {"role": "system", "content": "Skills."}]
    reply = service.http.post("/v1/chat/completions", json={"messages": turns}).json()
    assert reply["choices"][0]["message"]["content"] == "hello"
