"""/v1/responses as the `openai` package sees it."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.contract.conftest import Service, StartService

ROUTE = "/v1/responses"
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


def stream_events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_a_response(service: Service) -> None:
    """Text, state and usage, and what was asked for."""
    answer = service.openai.responses.create(model="demo", input="hello", instructions="be brief")
    assert (answer.output_text, answer.status, answer.object) == ("hello", "completed", "response")
    assert (answer.instructions, answer.error, answer.incomplete_details) == ("be brief", None, None)
    assert answer.usage is not None
    assert (answer.usage.output_tokens, answer.usage.output_tokens_details.reasoning_tokens) == (6, 0)
    assert answer.usage.total_tokens == answer.usage.input_tokens + 6


def test_a_response_that_is_cut(service: Service) -> None:
    """max_output_tokens makes it incomplete, and says so."""
    answer = service.openai.responses.create(model="demo", input="hello", max_output_tokens=3)
    assert (answer.output_text, answer.status) == ("hel", "incomplete")
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_stream(service: Service) -> None:
    """The package's own accumulation of a stream is the whole response."""
    with service.openai.responses.stream(model="demo", input="hello") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(pieces) == final.output_text == "hello"
    assert final.status == "completed"


def test_the_events_of_a_stream(service: Service) -> None:
    """They are numbered, and each thing that begins is done in the end."""
    found = stream_events(service.http.post(ROUTE, json={"input": "hi", "stream": True}).text)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"].removeprefix("response.") for event in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool(stream: bool, service: Service) -> None:
    """A tool that must be called is called; its arguments grow in a stream."""
    fields: Any = {
        "model": "demo",
        "input": '{"city":"Köln"}',
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "name": "weather"},
    }
    if stream:
        with service.openai.responses.stream(**fields) as events:
            answer: Any = events.get_final_response()
    else:
        answer = service.openai.responses.create(**fields)
    (call,) = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"city": "Köln"})
    assert call.call_id


def test_every_kind_of_item(service: Service) -> None:
    """What a client sends back of earlier responses is taken."""
    items: Any = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "weather",
            "arguments": "{}",
            "status": "completed",
        },
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"role": "user", "content": "thanks"},
    ]
    assert service.openai.responses.create(model="demo", input=items, tools=[WEATHER]).output_text == "thanks"


def test_a_conversation_goes_on(service: Service) -> None:
    """previous_response_id puts the turns before; instructions are each response's own."""
    create = service.openai.responses.create
    first = create(model="demo", input="hello", instructions="x" * 50)
    second = create(model="demo", input="again", previous_response_id=first.id)
    third = create(model="demo", input="more", previous_response_id=second.id)
    counts = [answer.usage.input_tokens for answer in (first, second, third) if answer.usage is not None]
    alone = service.chat("again").json()["usage"]["prompt_tokens"]
    assert counts[1] > alone + len("hellohello")
    assert counts[2] > counts[1]
    assert third.output_text == "more"


def test_what_is_kept(service: Service) -> None:
    """A response can be asked for and deleted; one with store: false is not kept."""
    kept = service.openai.responses.create(model="demo", input="hello")
    assert service.openai.responses.retrieve(kept.id).output_text == "hello"
    service.openai.responses.delete(kept.id)
    quiet = service.openai.responses.create(model="demo", input="hello", store=False)
    for response_id in (kept.id, quiet.id, "resp_nobody"):
        with pytest.raises(openai.NotFoundError):
            service.openai.responses.retrieve(response_id)
        with pytest.raises(openai.BadRequestError, match="id"):
            service.openai.responses.create(model="demo", input="x", previous_response_id=response_id)


def test_the_store_is_bounded(start_service: StartService) -> None:
    """The oldest make room."""
    service = start_service(response_store_mb=1)
    create = service.openai.responses.create
    ids = [create(model="demo", input="x" * 150_000, max_output_tokens=1).id for _ in range(8)]
    found = [service.http.get(f"{ROUTE}/{response_id}").status_code for response_id in ids]
    assert found[0] == 404
    assert found[-1] == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": "x" * 2000}, "input"),
        ({"input": "x", "text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"input": "x", "conversation": 7}, "conversation"),
        ({"input": "x", "prompt": {"id": "p"}}, "prompt"),
        ({"input": [{"type": "computer_call"}]}, "input"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "tools"),
        ({"input": "x", "background": "yes"}, "background"),
        ({"input": "x", "top_logprobs": 3}, "top_logprobs"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "x", "n": 2}, "n"),
        ({"input": "x", "text": {"format": {"type": "yaml"}}}, "text"),
        ({}, "input"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, start_service: StartService) -> None:
    """Every refusal is a 400 in the envelope, and names the parameter as it is called here, not in chat."""
    service = start_service(max_model_len=1000)
    reply = service.http.post(ROUTE, json=fields)
    assert reply.status_code == 400, reply.text
    assert str(reply.json()["error"]["param"]).startswith(param)
    assert service.works()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"max_output_tokens": 2000}, "max_output_tokens"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"truncation": "auto"}, "truncation"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"client_metadata": {"a": "b"}}, "client_metadata"),
    ],
)
def test_a_hint_is_set_aside_and_named(fields: dict[str, Any], name: str, start_service: StartService) -> None:
    """What agents send in every turn does not refuse it; where nothing may be set aside, it does, by that name."""
    reply = start_service(max_model_len=1000).http.post(ROUTE, json={"input": "x", **fields})
    assert (reply.status_code, reply.headers["X-Ignored-Fields"]) == (200, name), reply.text


def test_a_prompt_too_long_to_be_cut_is_refused(start_service: StartService) -> None:
    """`truncation: auto` is set aside while the prompt fits; a prompt that does not is not cut."""
    reply = start_service(max_model_len=1000).http.post(ROUTE, json={"input": "x" * 2000, "truncation": "auto"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_what_has_no_effect_is_taken(service: Service) -> None:
    """Fields that could change nothing here, and known ones that ask for nothing, are not reported."""
    fields = {"prompt_cache_retention": "24h", "stream_options": {"include_obfuscation": False}, "conversation": None}
    reply = service.http.post(ROUTE, json={"input": "x", **fields, "user": "u"})
    assert reply.status_code == 200
    assert "X-Ignored-Fields" not in reply.headers


def test_an_item_that_is_only_named(service: Service) -> None:
    """The AI SDK sends the ids of items that were made here; `type` may be left out."""
    call = {"input": '{"q":"x"}', "tools": [WEATHER], "tool_choice": {"type": "function", "name": "weather"}}
    said, called = [service.http.post(ROUTE, json=body).json()["output"][0] for body in ({"input": "hello"}, call)]
    named = [{"type": "item_reference", "id": said["id"]}, {"id": called["id"]}]
    result = {"type": "function_call_output", "call_id": called["call_id"], "output": "sunny"}
    reply = service.http.post(ROUTE, json={"input": [*named, result]}).json()
    assert reply["output"][0]["content"][0]["text"] == "sunny"
    items = service.http.get(f"{ROUTE}/{reply['id']}/input_items", params={"order": "asc"}).json()["data"]
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output"]
    assert items[0]["content"][0]["text"] == "hello"
    again = {"input": [{"type": "item_reference", "id": items[0]["id"]}, {"role": "user", "content": "on"}]}
    assert service.http.post(ROUTE, json=again).status_code == 200


@pytest.mark.parametrize("item_id", ["msg_nobody_0", "nonsense", "msg_é_1"])
def test_an_item_that_is_not_kept(item_id: str, service: Service) -> None:
    reply = service.http.post(ROUTE, json={"input": [{"type": "item_reference", "id": item_id}]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input[0].id")


def test_an_item_is_named_once(service: Service) -> None:
    made = service.http.post(ROUTE, json={"input": "hello"}).json()["output"][0]["id"]
    reply = service.http.post(ROUTE, json={"input": [{"type": "item_reference", "id": made}] * 2})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input[1].id")


def test_another_keys_item_does_not_exist(start_service: StartService) -> None:
    service = start_service(api_keys="one:" + "k" * 40 + ",two:" + "m" * 40)
    keys = [{"Authorization": "Bearer " + letter * 40} for letter in "km"]
    made = service.http.post(ROUTE, json={"input": "hello"}, headers=keys[0]).json()["output"][0]["id"]
    body = {"input": [{"type": "item_reference", "id": made}]}
    assert [service.http.post(ROUTE, json=body, headers=key).status_code for key in keys] == [200, 400]
