"""What Codex sends to /v1/responses: recorded requests are answered, its tools come back as it knows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from src.api.openai import translation
from tests.contract.conftest import Service, StartService

ROUTE = "/v1/responses"
RECORDED = Path(__file__).parent / "recorded"
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"+'}
ECHO: dict[str, Any] = {
    "type": "namespace",
    "name": "mcp__echo",
    "description": "Echoes.",
    "tools": [
        {"type": "function", "name": "find", "strict": False, "parameters": {"type": "object", "properties": {}}},
        {"type": "custom", "name": "shout"},
    ],
}
PATCH: dict[str, Any] = {"type": "custom", "name": "apply_patch", "description": "Edit files.", "format": GRAMMAR}


def recorded(name: str) -> dict[str, Any]:
    request: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    request["body"]["model"] = "demo"
    return request


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("codex_01_full_unknown_model", "reasoning.summary, client_metadata, tools.web_search"),
        ("codex_02_full_known_model", "text.verbosity, client_metadata, tools.tool_search, tools.web_search"),
        ("codex_03_namespace_tool", "client_metadata"),
        ("codex_04_web_search_tool", "client_metadata, tools.web_search"),
        ("codex_05_custom_tool", "client_metadata"),
        ("codex_07_reasoning_summary", "reasoning.summary, client_metadata"),
        ("codex_08_text_verbosity", "text.verbosity, client_metadata"),
        ("codex_09_custom_tool_history", "client_metadata"),
        ("codex_10_namespace_history", "client_metadata"),
    ],
)
def test_a_recorded_turn_is_answered(name: str, ignored: str, service: Service) -> None:
    """Every turn of Codex 0.171.0 that was refused; hints are set aside and named."""
    request = recorded(name)
    reply = service.http.post(ROUTE, json=request["body"], headers=request["headers"])
    assert reply.status_code == 200, reply.text
    found = events(reply.text)
    assert found[-1]["type"] == "response.completed"
    assert set(reply.headers["X-Ignored-Fields"].split(", ")) >= set(ignored.split(", "))


def call(service: Service, said: str, choice: Any, *, stream: bool = False, tools: Any = None) -> list[dict[str, Any]]:
    """The output, or the events, of a request whose tool must be called: the fake engine says what it is told."""
    body = {"input": said, "tools": tools or [ECHO, PATCH], "tool_choice": choice, "stream": stream}
    reply = service.http.post(ROUTE, json=body)
    assert reply.status_code == 200, reply.text
    if stream:
        return events(reply.text)
    output: list[dict[str, Any]] = reply.json()["output"]
    return output


@pytest.mark.parametrize(
    "choice",
    [{"type": "function", "namespace": "mcp__echo", "name": "find"}, {"type": "function", "name": "mcp__echo__find"}],
)
def test_a_call_of_a_namespace_has_its_bare_name(choice: dict[str, str], service: Service) -> None:
    """Codex refuses the flattened name: 'unsupported call'."""
    (item,) = call(service, '{"q":"x"}', choice)
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", "mcp__echo", "find")
    assert json.loads(item["arguments"]) == {"q": "x"}
    stream = call(service, '{"q":"x"}', choice, stream=True)
    items = [event["item"] for event in stream if event["type"].startswith("response.output_item")]
    assert [(one["namespace"], one["name"]) for one in items] == [("mcp__echo", "find")] * 2
    assert next(e for e in stream if e["type"].endswith("arguments.done"))["name"] == "find"


def test_calls_of_several_tools_at_once(service: Service) -> None:
    """Each comes back as what its tool is."""
    said = [
        {"name": "mcp__echo__find", "arguments": {"q": 1}},
        {"name": "apply_patch", "arguments": {"input": "aa"}},
        {"name": "mcp__echo__shout", "arguments": {"input": "é\n"}},
    ]
    found = call(service, json.dumps(said, separators=(",", ":")), "required")
    assert [(item["type"], item["name"], item.get("namespace")) for item in found] == [
        ("function_call", "find", "mcp__echo"),
        ("custom_tool_call", "apply_patch", None),
        ("custom_tool_call", "shout", "mcp__echo"),
    ]
    assert [item.get("input") for item in found] == [None, "aa", "é\n"]
    assert [item["id"].split("_")[0] for item in found] == ["fc", "ctc", "ctc"]


def test_a_custom_tools_input_grows_in_a_stream(service: Service) -> None:
    """Its text, not the JSON around it; the same again in `done` and on the item."""
    text = '*** "Begin" \\ Patch\n+\té 😀 line\n'
    said = json.dumps({"input": text})
    stream = call(service, said, {"type": "custom", "name": "apply_patch"}, stream=True)
    kinds = [event["type"].removeprefix("response.") for event in stream]
    assert kinds[:3] == ["created", "in_progress", "output_item.added"]
    assert kinds[-3:] == ["custom_tool_call_input.done", "output_item.done", "completed"]
    pieces = [e["delta"] for e in stream if e["type"] == "response.custom_tool_call_input.delta"]
    assert len(pieces) > 10
    assert "".join(pieces) == stream[-3]["input"] == stream[-2]["item"]["input"] == text
    assert stream[2]["item"] == {**stream[-2]["item"], "input": "", "status": "in_progress"}
    assert stream[-1]["response"]["output"] == [stream[-2]["item"]]


def test_the_model_sees_tools_and_history_under_the_same_names(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flattened in both places; a custom tool's form is described to it; a search's finds are offered."""
    asked: list[Any] = []
    opened = translation.open_generation

    def note(generate: Any) -> Any:
        asked.append(generate)
        return opened(generate)

    monkeypatch.setattr(translation, "open_generation", note)
    items = [
        {"role": "user", "content": "go"},
        {"type": "function_call", "call_id": "c1", "name": "find", "namespace": "mcp__echo", "arguments": '{"q":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "found"}]},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": 'a"\n'},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
        {"type": "tool_search_call", "call_id": "c3", "execution": "client", "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": "c3", "tools": [{**ECHO, "name": "later"}, {"type": "odd"}]},
        {"role": "user", "content": "thanks"},
    ]
    reply = service.http.post(ROUTE, json={"input": items, "tools": [ECHO, PATCH]})
    assert reply.status_code == 200, reply.text
    (generate,) = asked
    assert [tool.name for tool in generate.tools] == [
        *("mcp__echo__find", "mcp__echo__shout", "apply_patch", "later__find", "later__shout")
    ]
    assert GRAMMAR["definition"] in generate.tools[2].description
    calls = [made for message in generate.messages for made in message.tool_calls]
    assert [(made.name, json.loads(made.arguments)) for made in calls] == [
        ("mcp__echo__find", {"q": 1}),
        ("apply_patch", {"input": 'a"\n'}),
        ("tool_search", {"query": "x"}),
    ]
    assert [m.content for m in generate.messages if m.role == "tool"][:2] == ["found", "done"]


def test_some_tools_may_be_allowed(service: Service) -> None:
    """`allowed_tools` leaves the others out, and may force one of its own."""
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}
    (item,) = call(service, '[{"name":"apply_patch","arguments":{"input":"a"}}]', choice)
    assert (item["type"], item["input"]) == ("custom_tool_call", "a")
    body = {"input": "x", "tools": [PATCH], "tool_choice": {**choice, "tools": [{"type": "function", "name": "no"}]}}
    assert service.http.post(ROUTE, json=body).json()["error"]["param"] == "tool_choice"


@pytest.mark.parametrize(
    ("item", "param", "named"),
    [
        ({"type": "agent_message", "id": "x"}, "input[0].type", "agent_message"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input[0].content[0].type", "input_audio"),
        (
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_video"}]},
            "input[0].output[0].type",
            "input_video",
        ),
    ],
)
def test_what_is_not_known_is_named_by_its_own_name(
    item: dict[str, Any], param: str, named: str, service: Service
) -> None:
    """With the types there are; not by the first member of a union."""
    error = service.http.post(ROUTE, json={"input": [item]}).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_value", param)
    assert repr(named) in error["message"]
    assert ("function_call" in error["message"]) or ("input_image" in error["message"])


@pytest.mark.parametrize(
    ("fields", "param", "named"),
    [
        ({"tools": [PATCH, {"type": "mcp", "server_label": "x"}]}, "tools[1].type", "'mcp'"),
        ({"tools": [PATCH, {"type": "local_shell"}]}, "tools[1].type", "'local_shell'"),
        ({"tools": [{**ECHO, "tools": [{"type": "namespace"}]}]}, "tools[0].tools[0].type", "'namespace'"),
        ({"tools": [{"name": "x"}]}, "tools[0].type", "without a type"),
        ({"tools": [{"type": "custom"}]}, "tools[0].name", "Missing"),
        ({"tools": [{**ECHO, "tools": [{"type": "function"}]}]}, "tools[0].tools[0].name", "Missing"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments", "Missing"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f"}]}, "input[0].input", "Missing"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role", "'user'"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].image_url",
            "Missing",
        ),
        ({"input": ["x"]}, "input[0].type", "without a type"),
    ],
)
def test_what_is_wrong_in_a_union_is_named_where_it_is(
    fields: dict[str, Any], param: str, named: str, service: Service
) -> None:
    """The field of the type that was meant, never the first member's."""
    reply = service.http.post(ROUTE, json={"input": "x", **fields})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert named in reply.json()["error"]["message"]


@pytest.mark.parametrize("arguments", ['{"q": "x', "{", "[1]", '"text"', "\x00", ""])
def test_a_call_that_was_cut_off_never_bars_the_conversation(arguments: str, service: Service) -> None:
    """It is shown as text, its result too: the client sends the same history for ever."""
    items = [
        {"role": "user", "content": "go"},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": arguments, "status": "incomplete"},
        {"type": "function_call_output", "call_id": "c1", "output": "aborted"},
        {"role": "user", "content": "go on"},
    ]
    reply = service.http.post(ROUTE, json={"input": items, "tools": [PATCH]})
    assert reply.status_code == 200, reply.text
    assert reply.json()["output"][0]["content"][0]["text"] == "go on"


def test_hosted_tools_alone_are_refused(service: Service) -> None:
    """There would be nothing left of what is asked."""
    reply = service.http.post(ROUTE, json={"input": "x", "tools": [{"type": "web_search"}]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "tools")


def test_input_tokens_are_counted(service: Service) -> None:
    """As the response's own usage counts them."""
    body: Any = {"model": "demo", "input": "hello", "instructions": "be brief", "tools": [PATCH]}
    counted = service.openai.responses.input_tokens.count(**body)
    answer = service.openai.responses.create(**body)
    assert answer.usage is not None
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", answer.usage.input_tokens)


def test_input_items_are_listed(service: Service) -> None:
    """What a response answers, with ids, those of the conversation before included; pages by id."""
    create = service.openai.responses.create
    first = create(model="demo", input="one")
    second = create(model="demo", input=[{"role": "user", "content": "two"}], previous_response_id=first.id)
    listed = list(service.openai.responses.input_items.list(second.id, order="asc"))
    assert [item.type for item in listed] == ["message"] * 3
    assert [item["role"] for item in map(dict, listed)] == ["user", "assistant", "user"]
    ids = [item.id for item in listed]
    assert len(set(ids)) == 3
    pages = service.openai.responses.input_items.list(second.id, limit=1)
    assert [item.id for item in pages] == ids[::-1]
    page = service.http.get(f"{ROUTE}/{second.id}/input_items?limit=2").json()
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", ids[2], ids[1], True)
    for query in (
        "limit=0",
        "limit=x",
        "limit=101",
        "limit=0000000019",
        "limit=" + "1" * 5000,
        "order=up",
        "after=nobody",
    ):
        assert service.http.get(f"{ROUTE}/{second.id}/input_items?{query}").status_code == 400
    assert service.http.get(f"{ROUTE}/resp_nobody/input_items").status_code == 404


def test_a_conversation_is_compacted_and_goes_on(service: Service) -> None:
    """Users' turns stay, a summary stands for the rest; nobody else's summary is read."""
    items: Any = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "a long answer"}]
    made = service.openai.responses.compact(model="demo", input=items)
    assert made.object == "response.compaction"
    assert [item.type for item in made.output] == ["message", "compaction"]
    output: Any = service.http.post(f"{ROUTE}/compact", json={"input": items}).json()["output"]
    asked = service.openai.responses.input_tokens.count(model="demo", input=[*output, {"role": "user", "content": "x"}])
    assert asked.input_tokens is not None
    alone = service.openai.responses.input_tokens.count(model="demo", input="one")
    assert asked.input_tokens > alone.input_tokens
    foreign = [{"type": "compaction", "encrypted_content": "gAAAAABo"}]
    error = service.http.post(ROUTE, json={"input": foreign}).json()["error"]
    assert error["param"] == "input[0].encrypted_content"


def test_stored_custom_calls_can_be_gone_on_from(start_service: StartService) -> None:
    """previous_response_id brings custom calls and namespaces back."""
    service = start_service()
    body = {"input": '{"input":"aa"}', "tools": [ECHO, PATCH], "tool_choice": {"type": "custom", "name": "apply_patch"}}
    first = service.http.post(ROUTE, json=body).json()
    output = {"type": "custom_tool_call_output", "call_id": first["output"][0]["call_id"], "output": "done"}
    second = {
        "input": [output, {"role": "user", "content": "and?"}],
        "previous_response_id": first["id"],
        "tools": [PATCH],
    }
    reply = service.http.post(ROUTE, json=second)
    assert reply.status_code == 200, reply.text


def test_models_as_codex_reads_them(service: Service) -> None:
    """`models` beside `data`, for whoever says its version; what only chats is there, with its context."""
    assert "models" not in service.http.get("/v1/models").json()
    found = service.http.get("/v1/models?client_version=0.171.0").json()
    assert found["data"] == service.http.get("/v1/models").json()["data"]
    demo = next(model for model in found["models"] if model["slug"] == "demo")
    assert (demo["supported_in_api"], demo["input_modalities"], demo["apply_patch_tool_type"]) == (
        True,
        ["text"],
        "freeform",
    )
    assert demo["base_instructions"]
