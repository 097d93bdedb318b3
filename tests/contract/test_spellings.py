"""What clients learnt from other servers: each is taken as it is meant, set aside by name, or refused by name.

The kinds of `agents/`, in shapes that no recording has: AI SDK, Cline, Roo, Continue, LangChain, Cursor, clients of
llama.cpp and vLLM, Codex and Claude Code with a history that was begun elsewhere.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from src.api.openai import body_spellings, responses
from src.api.openai.schemas_responses import ResponsesRequest
from tests.contract.conftest import Service, StartService

FUNCTION: dict[str, Any] = {"name": "read", "description": "Read.", "parameters": {"type": "object", "properties": {}}}
READ: dict[str, Any] = {"type": "function", "function": FUNCTION}
CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a"}'}}
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
PICTURE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def user(content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def called(**more: Any) -> list[dict[str, Any]]:
    """A tool loop whose call has something more."""
    return [user(), {"role": "assistant", "content": None, "tool_calls": [{**CALL, **more}]}, RESULT]


def after(turn: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [user(), {"role": "assistant", **turn}, user("y")]}


# body, and what is named as set aside
TAKEN: dict[str, tuple[dict[str, Any], str]] = {
    "ai sdk: nulls": ({"tools": [READ], "parallel_tool_calls": None, "tool_choice": None, "stop": None}, ""),
    "ai sdk: result parts": ({"messages": [*called()[:2], RESULT | {"content": [{"type": "text", "text": "o"}]}]}, ""),
    "cline: cached system": (
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {}}]}, user()]},
        "cache_control",
    ),
    "roo: openrouter": ({"provider": {"order": []}, "transforms": [], "include_reasoning": True}, "unsorted"),
    "roo: reasoning": ({"reasoning": {"effort": "low"}}, ""),
    "openrouter: reasoning": (
        {"reasoning": {"enabled": False, "exclude": True, "max_tokens": 9}},
        "reasoning.exclude, reasoning.max_tokens",
    ),
    "glm: thinking": ({"thinking": {"type": "disabled"}}, ""),
    "ollama: think": ({"think": False}, ""),
    "llama.cpp: names": ({"repeat_penalty": 1.1, "n_predict": 5, "typical_p": 1.0, "mirostat": 0}, ""),
    "vllm: defaults": (
        {"skip_special_tokens": True, "length_penalty": 1.0, "include_stop_str_in_output": False, "best_of": 1},
        "",
    ),
    "gateway: choice": ({"tools": [READ], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, ""),
    "gateway: no call": ({"tools": [READ], "tool_choice": {"type": "none"}}, ""),
    "responses: allowed tools": (
        {
            "tools": [READ],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "read"}]},
        },
        "",
    ),
    "a form with more": ({"response_format": {"type": "text", "strict": True}}, "response_format.strict"),
    "text file": ({"messages": [user([{"type": "file", "file": {"file_data": "data:text/plain;base64,aGk="}}])]}, ""),
    "no result": ({"messages": [*called()[:2], RESULT | {"content": None}]}, ""),
    "editors: predictions": (
        {"prediction": {"type": "content", "content": [{"type": "text", "text": "x"}], "cache_control": {}}},
        "prediction.cache_control, prediction",
    ),
    "continue: nulls": ({"prediction": None, "modalities": ["text"]}, ""),
    "langchain: names": ({"messages": [user(name="bob")]}, ""),
    "langchain: call without type": ({"messages": called(type="function", index=0)}, ""),
    "langchain: anthropic's parts": (
        {
            "messages": [
                user(),
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "read", "input": {}}]},
                RESULT,
            ]
        },
        "",
    ),
    "cursor: flat tool": ({"tools": [{"type": "function", **FUNCTION}]}, ""),
    "cursor: flat choice": (
        {"messages": [user('{"a":1}')], "tools": [READ], "tool_choice": {"type": "function", "name": "read"}},
        "",
    ),
    "tool without type": ({"tools": [{"function": FUNCTION}]}, ""),
    "mistral: any": (
        {"messages": [user('[{"name":"read","arguments":{}}]')], "tools": [READ], "tool_choice": "any"},
        "",
    ),
    "arguments as object": ({"messages": called(function={"name": "read", "arguments": {"path": "a"}})}, ""),
    "gemini: signature": ({"messages": called(extra_content={"google": {}})}, "messages.tool_calls.extra_content"),
    "turn's labels": ({"messages": [user(id="1", timestamp=1)]}, "messages.id, messages.timestamp"),
    "part's labels": (
        {"messages": [user([{"type": "text", "text": "x", "annotations": []}])]},
        "messages.content.annotations",
    ),
    "result's status": ({"messages": [*called()[:2], RESULT | {"status": "error"}]}, "messages.status"),
    "tool's labels": ({"tools": [{**READ, "defer_loading": True}]}, "tools.defer_loading"),
    "function's labels": (
        {"tools": [{"type": "function", "function": FUNCTION | {"returns": {}}}]},
        "tools.function.returns",
    ),
    "thinking part": (after({"content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}]}), ""),
    "reasoning part": (after({"content": [{"type": "reasoning", "text": "t"}, {"type": "text", "text": "a"}]}), ""),
    "empty calls": (after({"content": "a", "tool_calls": []}), ""),
    "nothing said": (after({"content": None}), ""),
    "llama.cpp: housekeeping": ({"cache_prompt": True, "id_slot": -1}, "cache_prompt, id_slot"),
    "llama.cpp: any length": ({"max_tokens": -1}, ""),
    "lm studio: ttl": ({"ttl": 300}, "ttl"),
    "vllm: neutral": ({"guided_json": None, "min_tokens": 0, "stop_token_ids": [], "use_beam_search": False}, ""),
    "vllm: stream option": (
        {"stream": True, "stream_options": {"include_usage": True, "odd": True}},
        "stream_options.odd",
    ),
    "qwen: switches": ({"enable_thinking": False}, ""),
    "effort: max": ({"reasoning_effort": "max"}, ""),
    "effort: default": ({"reasoning_effort": "default"}, ""),
    "no tools": ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, ""),
    "empty parameters": ({"tools": [{"type": "function", "function": {"name": "read", "parameters": {}}}]}, ""),
    "prefix false": ({"messages": [user(prefix=False)]}, ""),
    "zed: a choice repeats its tool": (
        {"messages": [user('{"a":1}')], "tools": [READ], "tool_choice": READ},
        "tool_choice.function.description, tool_choice.function.parameters",
    ),
    "zed: no parts": (
        {"messages": [{"role": "system", "content": []}, user([]), *called()[1:2], RESULT | {"content": []}, user()]},
        "",
    ),
    "cursor: anthropic's tool": (
        {"tools": [{"name": "read", "description": "Read.", "input_schema": {"type": "object"}}]},
        "",
    ),
    "cursor: anthropic's results": (
        {
            "messages": [
                user(),
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "read", "input": {}}]},
                user([{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "o"}]}]),
                user([{"type": "tool_result", "tool_use_id": "c1"}, {"type": "text", "text": "go on"}]),
            ]
        },
        "",
    ),
    "copilot: thoughts of another server": (
        after({"content": "a", "cot_id": "1", "cot_summary": "s"}),
        "messages.cot_id, messages.cot_summary",
    ),
    "continue: many stops": ({"stop": [f"<{number}>" for number in range(20)]}, ""),
    "gson: whole numbers": ({"max_tokens": 50.0, "seed": 7.0, "n": 1.0, "top_k": 5.0}, ""),
    "effort: empty": ({"reasoning_effort": ""}, ""),
    "llama.cpp: default window": ({"repeat_last_n": 64}, ""),
    "other routes: nothing asked": (
        {"prompt": [], "input": [], "text": {"format": {"type": "text"}}, "format": "text"},
        "",
    ),
    "a picture in a result": ({"messages": [*called()[:2], RESULT | {"content": [PICTURE]}]}, "messages.image"),
    "a picture behind a result": ({"messages": [*called(), user([PICTURE, PICTURE])]}, "messages.image"),
}
# body, and the field that is named: what would change the answer
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "vllm: form": ({"guided_json": {"type": "object"}}, "guided_json"),
    "vllm: newer form": ({"structured_outputs": {"choice": ["a"]}}, "structured_outputs.choice"),
    "a picture of the user's own": ({"messages": [user([PICTURE])]}, "messages"),
    "half a token": ({"max_tokens": 5.5}, "max_tokens"),
    "half a seed": ({"seed": float("1e-3")}, "seed"),
    "llama.cpp: window": ({"repeat_last_n": 256}, "repeat_last_n"),
    "vllm: least length": ({"min_tokens": 5}, "min_tokens"),
    "vllm: stop ids": ({"stop_token_ids": [5]}, "stop_token_ids"),
    "vllm: beams": ({"use_beam_search": True}, "use_beam_search"),
    "deepseek: prefix": ({"messages": [user(), {"role": "assistant", "content": "a", "prefix": True}]}, "prefix"),
    "kimi: partial": ({"messages": [user(), {"role": "assistant", "content": "a", "partial": True}]}, "partial"),
    "llama.cpp: sampler": ({"mirostat": 2}, "mirostat"),
    "llama.cpp: a form": (
        {"response_format": {"type": "json_object", "schema": {"type": "object"}}},
        "response_format",
    ),
    "a picture as a file": (
        {"messages": [user([{"type": "file", "file": {"file_data": "data:image/png;base64,iVBORw0KGgo="}}])]},
        "messages",
    ),
    "video": ({"messages": [user([{"type": "video_url", "video_url": {}}])]}, "messages[0].content[0].type"),
    "text that is none": ({"messages": [user([{"type": "text", "text": None}])]}, "messages[0].content[0].text"),
    "audio": ({"messages": [user([{"type": "input_audio", "input_audio": {}}])]}, "messages[0].content[0].type"),
    "result as object": ({"messages": [*called()[:2], RESULT | {"content": {"a": 1}}]}, "messages[2].content"),
}


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service(max_model_len=8192)


def ask(service: Service, path: str, body: dict[str, Any]) -> httpx.Response:
    return service.http.post(path, json=body)


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_what_is_taken(name: str, service: Service) -> None:
    """And what of it is named as set aside."""
    body, aside = TAKEN[name]
    reply = ask(service, "/v1/chat/completions", {"messages": [user()], "max_tokens": 50, **body})
    assert reply.status_code == 200, reply.text
    if aside == "unsorted":
        assert set(reply.headers["X-Ignored-Fields"].split(", ")) == set(body)
    else:
        assert reply.headers.get("X-Ignored-Fields", "") == aside


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_by_name(name: str, service: Service) -> None:
    body, param = REFUSED[name]
    reply = ask(service, "/v1/chat/completions", {"messages": [user()], **body})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text


def test_nothing_unknown_is_set_aside_under_strict_fields(start_service: StartService) -> None:
    strict = start_service(engine=False, strict_fields=True)
    reply = ask(strict, "/v1/chat/completions", {"messages": [user(id="1")]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "messages.id")


HISTORIES: dict[str, list[dict[str, Any]]] = {
    "local shell": [
        {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "o", "call_id": "c", "output": "ok"},
    ],
    "shell": [
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}, "status": "completed"},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a", "stderr": ""}]},
    ],
    "patch": [
        {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "a"}},
        {"type": "apply_patch_call_output", "call_id": "c", "status": "completed", "output": "ok"},
    ],
    "computer": [
        {"type": "computer_call", "id": "i", "call_id": "c", "action": {"type": "screenshot"}, "status": "completed"},
        {
            "type": "computer_call_output",
            "call_id": "c",
            "output": {"type": "computer_screenshot", "image_url": "data:,"},
        },
    ],
    "search": [
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q"}}
    ],
    "approvals": [
        {"type": "mcp_list_tools", "id": "m", "server_label": "s", "tools": []},
        {"type": "mcp_approval_request", "id": "r", "name": "f", "arguments": "{}", "server_label": "s"},
        {"type": "mcp_approval_response", "approval_request_id": "r", "approve": True},
        {"type": "image_generation_call", "id": "i", "status": "completed", "result": "iVBO" * 10_000},
    ],
    "objects": [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}},
        {"type": "function_call_output", "call_id": "c", "output": {"b": 2}},
        {"type": "custom_tool_call", "call_id": "d", "name": "p", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": None},
    ],
    "mcp": [{"type": "mcp_call", "id": "m", "name": "f", "arguments": "{}", "output": "ok", "server_label": "s"}],
    "phase": [{"type": "message", "role": "assistant", "phase": "commentary", "content": "a"}],
}


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_a_session_of_responses_that_was_begun_elsewhere(name: str, service: Service) -> None:
    reply = ask(service, "/v1/responses", {"input": [user(), *HISTORIES[name], user("and now")]})
    assert reply.status_code == 200, reply.text
    assert reply.json()["output"][-1]["content"][0]["text"] == "and now"


def test_a_picture_that_codex_looks_at_ends_no_session(service: Service) -> None:
    """The model reads none: a line stands in its place, now and in all turns to come."""
    items = [
        {"type": "function_call", "call_id": "c", "name": "view_image", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "data:,x"}]},
    ]
    reply = ask(service, "/v1/responses", {"input": [user(), *items, user("and now")]})
    assert reply.status_code == 200, reply.text
    assert reply.headers["X-Ignored-Fields"] == "messages.image"


BLOCKS: dict[str, list[dict[str, Any]]] = {
    "server tool": [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ],
    "mcp tool": [
        {"type": "mcp_tool_use", "id": "m", "name": "f", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": "ok"}]},
    ],
    "compaction": [{"type": "compaction", "content": "what was said"}],
    "signed thoughts": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "a"}],
    "citations": [{"type": "text", "text": "a", "citations": None}],
}


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_session_of_messages_that_was_begun_elsewhere(name: str, service: Service) -> None:
    turns = [user(), {"role": "assistant", "content": BLOCKS[name]}, user("and now")]
    reply = ask(service, "/v1/messages", {"max_tokens": 50, "messages": turns})
    assert reply.status_code == 200, reply.text
    assert reply.json()["content"][0]["text"] == "and now"


def test_a_result_of_nothing(service: Service) -> None:
    blocks = [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]
    turns = [user(), {"role": "assistant", "content": blocks}]
    turns.append(user([{"type": "tool_result", "tool_use_id": "t", "content": None}]))
    reply = ask(service, "/v1/messages", {"max_tokens": 50.0, "messages": turns, "stop_sequences": ["x"] * 9})
    assert reply.status_code == 200, reply.text


def test_a_file_that_lies_with_anthropic_is_refused(service: Service) -> None:
    blocks = [{"type": "container_upload", "file_id": "f"}, {"type": "text", "text": "x"}]
    reply = ask(service, "/v1/messages", {"max_tokens": 50, "messages": [user(blocks)]})
    assert (reply.status_code, "container_upload" in reply.text) == (400, True)


def test_settings_of_responses_that_nobody_knows(service: Service) -> None:
    """Inside its objects, too; tools and a choice as chat has them."""
    tool = {"type": "function", "function": {"name": "read", "parameters": None}}
    body = {
        "input": "hi",
        "reasoning": {"effort": "low", "context": "all"},
        "text": {"verbosity": "medium", "width": 80},
        "tools": [tool],
        "tool_choice": {"type": "function", "function": {"name": "read"}},
    }
    reply = ask(service, "/v1/responses", body | {"tool_choice": {"type": "auto"}})
    assert reply.status_code == 200, reply.text
    assert reply.headers["X-Ignored-Fields"] == "reasoning.context, text.width"
    assert reply.json()["tools"][0]["name"] == "read"
    assert ask(service, "/v1/responses", body).json()["error"]["param"] == "tool_choice"  # the fake engine cannot


def test_fields_of_tools_that_nobody_knows(service: Service) -> None:
    """On every wire, in a namespace, and of tools that a search of an earlier turn has found."""
    tool = {"type": "function", "name": "read", "parameters": {"type": "object"}, "odd": 1}
    space = {"type": "namespace", "name": "ns", "tools": [tool], "cache_control": {}, "even": 2}
    found = {"type": "tool_search_output", "call_id": "c", "tools": [space]}
    reply = ask(service, "/v1/responses", {"input": [user(), found], "tools": [space | {"name": "other"}, tool]})
    assert reply.status_code == 200, reply.text
    assert set(reply.headers["X-Ignored-Fields"].split(", ")) == {
        *("cache_control", "tools.odd", "tools.even", "tools.tools.odd")
    }
    (offered,) = responses._all_tools(ResponsesRequest.model_validate({"input": "x"}), [found])
    assert offered.name == "ns"
    own = {"name": "read", "input_schema": {"type": "object"}, "strict": True, "input_examples": [{}]}
    reply = ask(service, "/v1/messages", {"max_tokens": 9, "messages": [user()], "tools": [own]})
    assert (reply.status_code, reply.headers["X-Ignored-Fields"]) == (200, "tools.input_examples")


def test_settings_of_messages_that_nobody_knows(service: Service) -> None:
    config = {"effort": "low", "task_budget": {"type": "tokens", "total": 9}}
    body = {"messages": [user()], "max_tokens": 50, "output_config": config}
    assert "output_config.task_budget" in ask(service, "/v1/messages", body).headers["X-Ignored-Fields"]


def test_thoughts_are_switched_under_any_name(service: Service) -> None:
    """The first that says something; chat's own word counts most."""
    for body, expected in (
        ({"enable_thinking": False}, False),
        ({"thinking": {"type": "enabled"}}, True),
        ({"thinking": {"type": "auto"}, "think": True}, True),
        ({"reasoning": {"enabled": False}}, False),
        ({"think": True, "chat_template_kwargs": {"enable_thinking": False}}, False),
    ):
        body_spellings.normalize(body)
        assert body == {"chat_template_kwargs": {"enable_thinking": expected}}


class _Part(dict[str, Any]):
    """Part of a turn. Comparing each with each would hold a worker for many seconds."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("parts are compared")

    __hash__ = None


def test_results_among_parts_are_told_apart_without_comparing() -> None:
    results = [_Part(type="tool_result", tool_use_id=name, content=name) for name in "ab"]
    said = _Part(type="text", text="go on")
    body = {"messages": [user([results[0], said, results[1]])]}
    body_spellings.normalize(body)
    assert [turn["content"] for turn in body["messages"][:2]] == ["a", "b"]
    assert [part["text"] for part in body["messages"][2]["content"]] == ["go on"]


# in the places where a type or a name is looked up
ODD: tuple[Any, ...] = ([], {}, [{"a": 1}], 7, True, None)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_type_may_be_anything(odd: Any, service: Service) -> None:
    """What has no hash, and what is no text, is a 400 or is passed over: never a 500."""
    part: dict[str, Any] = {"type": odd, "text": "x"}
    chats: list[dict[str, Any]] = [
        after({"content": [part]}),
        {"messages": [user([part])]},
        {"messages": [user()], "tools": [{"type": odd, "function": odd}], "tool_choice": "read"},
        {"messages": [user()], "tool_choice": {"type": odd, "name": odd}, "tools": [READ]},
        {"messages": [user()], "response_format": {"type": odd, "schema": {}}, "reasoning_effort": odd},
        {"messages": called(type=odd, function=odd), "thinking": {"type": odd}, "reasoning": {"effort": odd}},
        {"messages": [{"role": odd, "content": "x"}]},
    ]
    statuses = [service.http.post("/v1/chat/completions", json={"model": "demo", **body}).status_code for body in chats]
    items = [{"type": odd, "id": odd, "content": [part], "output": odd, "role": odd}]
    other: list[tuple[str, dict[str, Any]]] = [
        ("responses", {"input": items}),
        ("responses", {"input": [user([part])], "tools": [{"type": odd, "name": odd}], "tool_choice": {"type": odd}}),
        ("messages", {"max_tokens": 4, "messages": [user([part])], "system": [part], "thinking": {"type": odd}}),
        ("messages", {"max_tokens": 4, "messages": [user()], "tools": [{"type": odd}], "tool_choice": {"type": odd}}),
    ]
    statuses += [service.http.post(f"/v1/{path}", json={"model": "demo", **body}).status_code for path, body in other]
    assert set(statuses) <= {200, 400}
