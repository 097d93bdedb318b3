"""/v1/messages as the `anthropic` package sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from tests.contract.conftest import Service, StartService

WEATHER: Any = {"name": "weather", "description": "w", "input_schema": {"type": "object", "properties": {}}}
USER: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(service: Service) -> Iterator[anthropic.Anthropic]:
    with httpx2.Client(transport=httpx2.WSGITransport(app=service.app), base_url="http://stoker") as http:
        yield anthropic.Anthropic(base_url="http://stoker", api_key="none", max_retries=0, http_client=http)


def test_a_message(client: anthropic.Anthropic) -> None:
    """Text, reason and usage, in Anthropic's words."""
    answer = client.messages.create(model="demo", max_tokens=50, messages=USER, system="be brief")
    (block,) = answer.content
    assert (block.type, block.text) == ("text", "hello")  # type: ignore[union-attr]
    assert (answer.stop_reason, answer.role, answer.type) == ("end_turn", "assistant", "message")
    assert answer.usage.output_tokens == 6
    assert answer.usage.input_tokens > len("be briefhello")


@pytest.mark.parametrize(
    ("fields", "reason", "sequence"),
    [({"max_tokens": 3}, "max_tokens", None), ({"stop_sequences": ["xx", "ll"]}, "stop_sequence", "ll")],
)
def test_why_it_ended(fields: dict[str, Any], reason: str, sequence: str | None, client: anthropic.Anthropic) -> None:
    """The limit, or the stop sequence by name."""
    answer = client.messages.create(**{"model": "demo", "max_tokens": 50, "messages": USER, **fields})
    assert (answer.stop_reason, answer.stop_sequence) == (reason, sequence)


def test_a_stream(client: anthropic.Anthropic) -> None:
    """The package's own accumulation of a stream is the whole message."""
    with client.messages.stream(model="demo", max_tokens=50, messages=USER) as stream:
        assert "".join(stream.text_stream) == "hello"
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 6)
    assert final.usage.input_tokens > 0


def test_the_events_of_a_stream(service: Service) -> None:
    """Each block is begun and ended, and the message too."""
    body = {"max_tokens": 9, "messages": USER, "stream": True}
    lines = service.http.post("/v1/messages", json=body).text.splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names[:2] == ["message_start", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[2:-3]) == {"content_block_delta"}
    assert [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")] == names


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool(stream: bool, client: anthropic.Anthropic) -> None:
    """A tool that must be used is used, with its input as an object."""
    fields: Any = {
        "model": "demo",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": '{"city":"Köln"}'}],
        "tools": [WEATHER],
        "tool_choice": {"type": "tool", "name": "weather"},
    }
    if stream:
        with client.messages.stream(**fields) as events:
            answer: Any = events.get_final_message()
    else:
        answer = client.messages.create(**fields)
    (block,) = answer.content
    assert (block.type, block.name, block.input, answer.stop_reason) == (
        "tool_use",
        "weather",
        {"city": "Köln"},
        "tool_use",
    )
    assert block.id


def test_a_conversation_with_tools(client: anthropic.Anthropic) -> None:
    """Results of tools, thinking and calls of earlier turns are taken."""
    turns: Any = [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "let me look"},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}]},
                {"type": "text", "text": "thanks", "cache_control": {"type": "ephemeral"}},
            ],
        },
    ]
    answer = client.messages.create(model="demo", max_tokens=50, messages=turns, tools=[WEATHER])
    assert answer.content[0].text == "thanks"  # type: ignore[union-attr]


def test_tokens_are_counted(client: anthropic.Anthropic) -> None:
    """As many as the message would have."""
    answer = client.messages.create(model="demo", max_tokens=5, messages=USER)
    assert client.messages.count_tokens(model="demo", messages=USER).input_tokens == answer.usage.input_tokens


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 0},
        {"messages": []},
        {"temperature": 1.5},
        {"tool_choice": {"type": "tool"}, "tools": [WEATHER]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
        {"n": 2},
        {"logprobs": True},
        {"container": "c"},
        {"mcp_servers": [{"type": "url"}]},
        {
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}
        },  # the fake engine has none
        {"output_config": {"effort": "enormous"}},
    ],
)
def test_what_is_wrong_is_refused(fields: dict[str, Any], service: Service, client: anthropic.Anthropic) -> None:
    """The package raises BadRequestError; nothing is ignored silently."""
    body = {"model": "demo", "max_tokens": 5, "messages": USER, **fields}
    with pytest.raises(anthropic.BadRequestError):
        client.post("/v1/messages", body=body, cast_to=object)
    assert service.works()


def test_refusals_use_this_apis_names(start_service: StartService) -> None:
    """What chat refuses is told under the name the client used."""
    service = start_service(max_model_len=50)
    body = {"model": "demo", "max_tokens": 5, "messages": USER}
    form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    refused = service.http.post("/v1/messages", json={**body, "output_config": form}).json()["error"]
    assert refused["param"] == "output_config.format"
    reply = service.http.post("/v1/messages", json={**body, "cache_control": {"type": "ephemeral"}, "mcp_servers": []})
    assert reply.status_code == 200
    assert reply.headers["X-Ignored-Fields"] == "cache_control"
