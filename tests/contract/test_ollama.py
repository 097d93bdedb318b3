"""Ollama's API as its own clients send and read it."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.api.ollama import library
from tests.contract.conftest import Service, StartService

PIXEL = base64.b64encode(bytes.fromhex("89504e470d0a1a0a") + b"x" * 32).decode()
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "", "parameters": {"type": "object", "properties": {}}},
}


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.text.splitlines()]


def chat(service: Service, content: str = "hello", **fields: Any) -> httpx.Response:
    return service.http.post(
        "/api/chat", json={"model": "demo", "messages": [{"role": "user", "content": content}], **fields}
    )


def test_a_chat_is_streamed_line_by_line(service: Service) -> None:
    """By default; the last line has the counts and durations."""
    *pieces, last = lines(chat(service))
    assert "".join(piece["message"]["content"] for piece in pieces) == "hello"
    assert all(piece["done"] is False and piece["message"]["role"] == "assistant" for piece in pieces)
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 6)
    assert last["total_duration"] >= last["eval_duration"] >= 0
    assert last["created_at"].endswith("Z")


def test_a_whole_chat(service: Service) -> None:
    """One object; a limit ends it with `length`."""
    whole = chat(service, stream=False).json()
    assert (whole["model"], whole["message"], whole["done"]) == (
        "demo",
        {"role": "assistant", "content": "hello"},
        True,
    )
    cut = chat(service, stream=False, options={"num_predict": 3}).json()
    assert (cut["message"]["content"], cut["done_reason"]) == ("hel", "length")


@pytest.mark.parametrize("raw", [False, True])
def test_a_text_is_generated(raw: bool, service: Service) -> None:
    """With the model's template, or without."""
    body = {"model": "demo:latest", "prompt": "hello", "raw": raw}
    *pieces, last = lines(service.http.post("/api/generate", json=body))
    assert "".join(piece["response"] for piece in pieces)
    assert (last["response"], last["done"]) == ("", True)
    whole = service.http.post("/api/generate", json={**body, "stream": False}).json()
    assert whole["response"] == "".join(piece["response"] for piece in pieces)


def test_tools_and_their_results(service: Service) -> None:
    """A conversation with calls has no ids here; results find their calls by name, or in order."""
    messages = [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [
                {"function": {"name": "weather", "arguments": {"city": "Köln"}}},
                {"function": {"name": "time", "arguments": {}}},
            ],
        },
        {"role": "tool", "tool_name": "time", "content": "noon"},
        {"role": "tool", "content": "sunny"},
    ]
    reply = service.http.post(
        "/api/chat", json={"model": "demo", "messages": messages, "tools": [TOOL], "stream": False}
    )
    assert reply.json()["message"]["content"] == "sunny"


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_model_is_loaded_by_an_empty_request(path: str, start_service: StartService) -> None:
    """As clients do before the first question. Without a supervisor there is nobody to do it."""
    service = start_service()
    reply = service.http.post(path, json={"model": "nobody"})
    assert (reply.status_code, list(reply.json())) == (404, ["error"])


def test_the_lists_of_models(service: Service) -> None:
    """Names, sizes and facts; what is loaded is the supervisor's to say."""
    (model, *_) = service.http.get("/api/tags").json()["models"]
    assert model["name"] == model["model"]
    assert len(model["digest"]) == 64
    assert set(model["details"]) == {
        "format",
        "family",
        "families",
        "parameter_size",
        "quantization_level",
        "parent_model",
    }
    shown = service.http.post("/api/show", json={"model": f"{model['name']}:latest"}).json()
    assert "completion" in shown["capabilities"]
    assert shown["model_info"]["general.basename"] == model["name"]  # GitHub Copilot shows it
    assert service.http.get("/api/ps").json() == {"models": []}
    assert service.http.get("/api/version").json()["version"]
    assert service.http.post("/api/show", json={"name": "nobody"}).status_code == 404


def test_wishes_for_the_load_of_a_model_are_set_aside(service: Service) -> None:
    """And named; unknown ones too."""
    reply = chat(service, keep_alive="5m", options={"num_ctx": 4096, "temperature": 0.5, "odd": 1}, stream=False)
    assert reply.status_code == 200
    assert set(reply.headers["X-Ignored-Fields"].split(", ")) == {"keep_alive", "options.num_ctx", "options.odd"}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/chat", 405), ("POST", "/api/create", 404)])
def test_what_is_not_served_is_said_as_its_clients_read_it(
    method: str, path: str, status: int, service: Service
) -> None:
    reply = service.http.request(method, path)
    assert (reply.status_code, type(reply.json()["error"])) == (status, str)


def test_null_is_what_is_left_out(service: Service) -> None:
    said = {"role": "assistant", "content": None, "thinking": None}
    body = {"model": "demo", "messages": [said, {"role": "user", "content": "hi", "images": None}], "stream": None}
    reply = service.http.post("/api/chat", json=body | {"options": {"temperature": None, "stop": None}, "think": None})
    assert reply.status_code == 200, reply.text
    assert reply.text.count("\n") > 1  # streamed, as by default


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {"temperature": 9}}, "options.temperature"),
        ({"options": {"mirostat": 2}}, "options.mirostat"),
        ({"options": {"stop": ["x"] * 65}}, "options.stop"),
        ({"format": "json"}, "format"),
        ({"context": [1, 2]}, "context"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x", "images": [PIXEL]}]}, "image"),
        ({"model": "nobody"}, "nobody"),
        ({"think": "much"}, "think"),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], said: str, service: Service) -> None:
    """In Ollama's shape: a text under `error`, with the field's name as it is here."""
    reply = chat(service, **fields)
    assert reply.status_code in (400, 404), reply.text
    assert list(reply.json()) == ["error"]
    assert said in reply.json()["error"]


@pytest.mark.parametrize(("model", "status"), [("nosuch", 404), ("demo", 200)])
def test_an_embedding_of_nothing_needs_a_model_too(model: str, status: int, service: Service) -> None:
    """An empty list has no vectors; of a model that is not served it is the 404 that any other is."""
    reply = service.http.post("/api/embed", json={"model": model, "input": []})
    assert reply.status_code == status, reply.text


def test_an_error_in_a_stream_is_its_last_line(service: Service) -> None:
    """As Ollama's clients look for it."""
    found = lines(chat(service, "fake:hang=3"))
    assert found[-1].keys() == {"error"}


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_a_content_type_is_not_asked_for_but_of_pages(kind: str | None, service: Service) -> None:
    """`curl -d` sends a form's; a browser could send that to anyone."""
    data = json.dumps({"model": "demo", "stream": False, "messages": [{"role": "user", "content": "hi"}]})
    headers = {"Content-Type": kind} if kind else {}
    assert service.http.post("/api/chat", content=data, headers=headers).status_code == 200
    page = {**headers, "Origin": "https://evil.example"}
    assert service.http.post("/api/chat", content=data, headers=page).status_code == 415


def test_silence_is_filled_with_white_space(start_service: StartService) -> None:
    """A slow answer keeps its connection; every line is still JSON."""
    service = start_service(sse_ping_seconds=0.1)
    reply = chat(service, "fake:prefill=0.5 hello")
    assert reply.text.startswith(" ")
    assert lines(reply)[-1]["done"] is True


def pulls(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """This program runs in place of `run.py pull`; it is given the model's name."""
    monkeypatch.setattr(library, "COMMAND", (sys.executable, "-c", program))


def test_a_pull_tells_what_it_does(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, or once at its end."""
    pulls(monkeypatch, "import sys; print('1 of 2'); print('2 of 2'); print(sys.argv[1])")
    found = lines(service.http.post("/api/pull", json={"model": "owner/name:latest"}))
    assert [one["status"] for one in found] == ["pulling owner/name", "1 of 2", "2 of 2", "owner/name", "success"]
    whole = service.http.post("/api/pull", json={"name": "owner/name", "stream": False})
    assert whole.json() == {"status": "success"}


def test_a_pull_that_fails_says_why(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its last line, or as the answer's error."""
    pulls(monkeypatch, "import sys; print('no such model'); sys.exit(1)")
    assert lines(service.http.post("/api/pull", json={"model": "owner/name"}))[-1] == {"error": "no such model"}
    whole = service.http.post("/api/pull", json={"model": "owner/name", "stream": False})
    assert (whole.status_code, whole.json()) == (503, {"error": "no such model"})


def test_a_name_that_nobody_knows_is_the_clients_mistake(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command knows the starters and says what it does not know."""
    pulls(monkeypatch, "import sys; print('not a hub id'); sys.exit(3)")
    whole = service.http.post("/api/pull", json={"model": "name", "stream": False})
    assert (whole.status_code, whole.json()) == (400, {"error": "model: not a hub id"})


@pytest.mark.parametrize("name", ["--bits", "-x/y", "a/b/c", "../a", "/etc/x", "a/..", "", "a b/c"])
def test_what_is_no_hubs_name_is_not_pulled(name: str, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started for it."""
    monkeypatch.setattr(library, "COMMAND", ("/nonexistent",))
    assert service.http.post("/api/pull", json={"model": name}).status_code == 400


def test_only_models_that_no_setting_names_are_deleted(start_service: StartService, tmp_path: Path) -> None:
    """The default model, those outside MODELS_DIR and unknown ones stay."""
    folder = tmp_path / "models" / "owner" / "name"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    service = start_service(models_dir=tmp_path / "models")

    def delete(name: str) -> int:
        return service.http.request("DELETE", "/api/delete", json={"model": name}).status_code

    assert (delete("demo"), delete("nobody"), delete("../models/owner/name")) == (400, 404, 404)
    assert delete("owner/name") == 503  # there is no supervisor to unload it
    assert folder.exists()
