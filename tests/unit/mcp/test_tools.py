"""The MCP tools, called by the package's own client: in this process, over stdio and over HTTP, against a stand-in."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx2
import jsonschema
import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from mcp import Client, StdioServerParameters
from src.errors import ExitCode
from src.mcp import main, tools
from src.mcp.service import ServiceClient
from src.settings import ROOT, Settings
from src.supervisor.specs import base_url
from tests.conftest import MakeSettings
from tests.running import free_port
from tests.unit.mcp.stand_in import CARD, StandIn, stand_in

TOOLS = {
    *("get_gpu_status", "offload_gpu", "release_gpu", "update_gpu_timeout"),
    *("list_models", "load_model", "unload_model", "system_status", "ocr_image"),
}
KEY = "sk-stoker-0123456789abcdef"
_DEADLINE_S = 30.0
Found = TypeVar("Found")
Talk = Callable[[Client], Awaitable[Found]]


@pytest.fixture
def service() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


@pytest.fixture
def settings(service: StandIn, make_settings: MakeSettings) -> Settings:
    return make_settings(port=service.port, max_body_mb=1)


def talk(server: Any, do: Talk[Found]) -> Found:
    """Connect, do it, and close, all within a deadline."""

    async def run() -> Found:
        with anyio.fail_after(_DEADLINE_S):
            async with Client(server) as client:
                return await do(client)

    return anyio.run(run)


def call(settings: Settings, name: str, *, local: bool = True, key: str = "", **arguments: Any) -> CallToolResult:
    """One tool, in this process."""
    server = tools.build(ServiceClient(base_url(settings), key), settings, local=local)
    return talk(server, lambda client: client.call_tool(name, arguments))


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def refused(result: CallToolResult) -> str:
    """A tool's error, without the package's words before it."""
    assert result.is_error
    return text(result).partition(": ")[2]


# ---- what they ask and answer


def test_every_tool_says_what_it_takes_and_gives(settings: Settings) -> None:
    """Names, descriptions, typed results; which of them change something."""
    server = tools.build(ServiceClient(base_url(settings), ""), settings, local=True)
    listed = talk(server, lambda client: client.list_tools()).tools
    assert {tool.name for tool in listed} == TOOLS
    for tool in listed:
        assert tool.description
        assert (tool.output_schema or {})["properties"]
        assert tool.annotations is not None
        changes = tool.name in {"offload_gpu", "release_gpu", "update_gpu_timeout", "load_model", "unload_model"}
        assert tool.annotations.read_only_hint is not changes


@pytest.mark.parametrize(
    ("name", "arguments", "route", "body"),
    [
        ("list_models", {}, "GET /v1/models", None),
        ("system_status", {}, "GET /v1/system/status", None),
        ("load_model", {"model_name": "demo"}, "POST /v1/models/load", {"model_name": "demo"}),
        ("unload_model", {"model_name": "demo"}, "POST /v1/models/unload", {"model_name": "demo"}),
        ("offload_gpu", {}, "POST /api/gpu/offload", {}),
        ("offload_gpu", {"model_name": "demo"}, "POST /api/gpu/offload", {"model_name": "demo"}),
        ("release_gpu", {}, "POST /api/gpu/release", {}),
        ("update_gpu_timeout", {"timeout": 120}, "POST /api/gpu/timeout", {"timeout": 120}),
    ],
)
def test_a_tool_asks_its_route(
    name: str, arguments: dict[str, Any], route: str, body: object, settings: Settings, service: StandIn
) -> None:
    """The body the route takes; the answer as it came, after its schema."""
    result = call(settings, name, **arguments)
    assert not result.is_error, text(result)
    (asked,) = service.asked
    assert asked.route == route
    assert (json.loads(asked.body) if asked.body else None) == body
    assert _within(result.structured_content, service.answers[route][1])
    server = tools.build(ServiceClient(base_url(settings), ""), settings, local=True)
    schema = next(t for t in talk(server, lambda client: client.list_tools()).tools if t.name == name).output_schema
    assert schema is not None
    jsonschema.validate(result.structured_content, schema)


def _within(found: Any, sent: Any) -> bool:
    """Nothing that was sent is lost."""
    if isinstance(sent, dict):
        return all(key in found and _within(found[key], value) for key, value in sent.items())
    if isinstance(sent, list):
        return len(found) == len(sent) and all(map(_within, found, sent))
    return bool(found == sent)


def test_gpu_status_is_device_and_models(settings: Settings) -> None:
    """Two routes in one answer."""
    found = call(settings, "get_gpu_status").structured_content
    assert found["gpu_status"]["device"] == "metal"
    assert found["recommendations"]["max_concurrent"] == 8
    assert found["models"]["demo"]["location"] == "gpu"


def test_a_file_or_its_content_is_read(settings: Settings, service: StandIn, tmp_path: Path) -> None:
    """By path over stdio, else in base64 or as a data URL; the text comes back without the places of its words."""
    data = b"\x89PNG picture"
    (tmp_path / "page.png").write_bytes(data)
    coded = base64.b64encode(data).decode()
    ways: tuple[dict[str, Any], ...] = (
        {"path": str(tmp_path / "page.png"), "pages": "1-3"},
        {"image_base64": coded},
        {"image_base64": f"data:image/png;base64,{coded}"},
    )
    for arguments in ways:
        found = call(settings, "ocr_image", **arguments).structured_content
        assert (found["text"], found["model"]) == ("HARBOUR OFFICE", "rapidocr")
        assert found["pages"] == [{"index": 0, "confidence": 0.99, "source": None, "error": None}]
    assert all(data in asked.body and asked.route == "POST /v1/ocr" for asked in service.asked)
    assert b'filename="page.png"' in service.asked[0].body
    assert b"1-3" in service.asked[0].body


@pytest.mark.parametrize(
    ("arguments", "local", "said"),
    [
        ({}, True, "Give either path or image_base64."),
        ({"path": "/x", "image_base64": "eA=="}, True, "Give either path or image_base64."),
        ({"path": "/etc/passwd"}, False, "Over HTTP, files of the server's machine cannot be read"),
        ({"path": "/nowhere/at/all.png"}, True, "/nowhere/at/all.png is not a file."),
        ({"path": "/dev/zero"}, True, "/dev/zero is not a file."),
        ({"image_base64": "not base64!"}, True, "image_base64 is not valid base64."),
        ({"image_base64": base64.b64encode(bytes((1 << 20) + 1)).decode()}, True, "exceeds MAX_BODY_MB (1 MiB)"),
    ],
)
def test_what_cannot_be_read_is_said_and_not_sent(
    arguments: dict[str, str], local: bool, said: str, settings: Settings, service: StandIn
) -> None:
    """No file beyond stdio, no device, nothing too large."""
    assert said in refused(call(settings, "ocr_image", local=local, **arguments))
    assert service.asked == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("load_model", {}), ("load_model", {"model_name": ""}), ("update_gpu_timeout", {"timeout": -1})],
)
def test_wrong_arguments_reach_no_service(
    name: str, arguments: dict[str, Any], settings: Settings, service: StandIn
) -> None:
    """The schema refuses them."""
    assert refused(call(settings, name, **arguments))
    assert service.asked == []


# ---- when it goes wrong


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"error": {"message": "No such model. Available: demo."}}, "404: No such model. Available: demo."),
        (503, {"status": "unavailable", "reason": "the supervisor does not answer"}, "503: the supervisor does not"),
        (502, b"<html>", "502: Bad Gateway"),
        (500, [], "500: Internal Server Error"),
        (200, b"not json", "/v1/models/load returned an unexpected response"),
        (200, {"object": "model"}, "/v1/models/load returned an unexpected response: id: Field required"),
    ],
)
def test_the_services_words_are_the_tools_error(
    status: int, body: Any, said: str, settings: Settings, service: StandIn
) -> None:
    """Its envelope, a status route's reason, or at least the status."""
    service.answers["POST /v1/models/load"] = (status, body)
    assert said in refused(call(settings, "load_model", model_name="demo"))


def test_when_to_try_again_is_passed_on(settings: Settings, service: StandIn) -> None:
    """Retry-After in words."""
    service.answers["GET /v1/models"] = (429, {"error": {"message": "Too many requests."}})
    service.retry_after = "7"
    assert refused(call(settings, "list_models")) == "429: Too many requests. Try again in 7 s."


def test_a_service_that_is_not_there_is_named(make_settings: MakeSettings) -> None:
    """And how to start it."""
    settings = make_settings(port=free_port())
    assert f"No service is listening at http://127.0.0.1:{settings.port}. Start it" in refused(
        call(settings, "list_models")
    )


def test_a_service_that_hangs_is_not_waited_for(
    settings: Settings, service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every question has a deadline."""
    monkeypatch.setattr(tools, "_REPLY_TIMEOUT_S", 0.2)
    service.delay_s = 2.0
    assert refused(call(settings, "list_models")) == "No response from /v1/models within 0.2 s."


def test_the_key_is_shown_and_a_missing_one_named(settings: Settings, service: StandIn) -> None:
    """STOKER_API_KEY goes with every question over stdio."""
    call(settings, "list_models", key=KEY)
    assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"
    service.answers["GET /v1/models"] = (401, {"error": {"message": "The API key is wrong."}})
    assert refused(call(settings, "list_models")) == (
        "401: The API key is wrong. `python run.py mcp` sends the key in STOKER_API_KEY."
    )


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("studio.local", "http://studio.local:8000"),
    ],
)
def test_a_service_that_listens_everywhere_is_asked_here(host: str, url: str, make_settings: MakeSettings) -> None:
    """What it binds to is not always what can be asked."""
    assert base_url(make_settings(host=host)) == url


# ---- over stdio


def _environment(settings: Settings, **changes: str) -> dict[str, str]:
    return {"PORT": str(settings.port), "LOG_DIR": str(settings.log_dir), "DEBUG": "true"} | changes


def test_over_stdio_nothing_but_the_protocol_is_on_stdout(settings: Settings, service: StandIn) -> None:
    """The command as a client's configuration starts it: it answers, and it ends when its input does."""
    environment = os.environ | _environment(settings, STOKER_API_KEY=KEY)
    command = [sys.executable, "run.py", "mcp"]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "nothing", "arguments": {}}},
    ]
    said = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(command, input=said, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitCode.OK, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {answer["id"] for answer in answers} <= {1, 2}
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)


def test_over_stdio_the_packages_client_works(settings: Settings, service: StandIn, tmp_path: Path) -> None:
    """Tools are listed, one looks, one moves, one reads a file."""
    picture = tmp_path / "page.png"
    picture.write_bytes(b"\x89PNG")
    environment = _environment(settings, STOKER_API_KEY=KEY)
    server = StdioServerParameters(command=sys.executable, args=["run.py", "mcp"], env=environment, cwd=ROOT)

    async def do(client: Client) -> list[Any]:
        names = {tool.name for tool in (await client.list_tools()).tools}
        models = await client.call_tool("list_models")
        loaded = await client.call_tool("load_model", {"model_name": "demo"})
        read = await client.call_tool("ocr_image", {"path": str(picture)})
        return [names, models.structured_content, loaded.structured_content, read.structured_content]

    names, models, loaded, read = talk(server, do)
    assert names == TOOLS
    assert models["data"][0]["id"] == loaded["id"] == CARD["id"]
    assert read["text"] == "HARBOUR OFFICE"
    assert {asked.headers["authorization"] for asked in service.asked} == {f"Bearer {KEY}"}


# ---- over HTTP


@contextmanager
def over_http(settings: Settings, *argv: str, **changes: str) -> Iterator[str]:
    """The command's URL, while it runs."""
    port = free_port()
    command = [sys.executable, "run.py", "mcp", "--http", "--port", str(port), *argv]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | _environment(settings, **changes))
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def with_key(url: str, key: str | None, do: Talk[Found]) -> Found:
    """As `talk`, by a client that brings a key with every request."""

    async def run() -> Found:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        with anyio.fail_after(_DEADLINE_S):
            async with httpx2.AsyncClient(headers=headers, timeout=_DEADLINE_S, trust_env=False) as http:
                async with Client(streamable_http_client(url, http_client=http)) as client:
                    return await do(client)

    return anyio.run(run)


def test_over_http_a_caller_brings_its_own_key(settings: Settings, service: StandIn) -> None:
    """It goes on to the service; the one of stdio is never lent, and no file of this machine is read."""
    with over_http(settings, API_KEYS=f"app:{KEY}", STOKER_API_KEY="sk-of-the-operator-himself") as url:
        found = with_key(url, KEY, lambda client: client.call_tool("list_models"))
        assert found.structured_content["data"][0]["id"] == "demo"
        assert [asked.headers["authorization"] for asked in service.asked] == [f"Bearer {KEY}"]
        read = with_key(url, KEY, lambda client: client.call_tool("ocr_image", {"path": "/etc/passwd"}))
        assert "Over HTTP, files" in refused(read)
        for wrong in (None, "sk-0123456789abcdef"):
            answer = httpx2.post(url, json={}, headers={} if wrong is None else {"Authorization": f"Bearer {wrong}"})
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert len(service.asked) == 1


def test_over_http_without_keys_it_answers_this_machine_alone(settings: Settings, service: StandIn) -> None:
    """A page in a browser cannot reach it through a name it made up."""
    with over_http(settings, STOKER_API_KEY=KEY) as url:
        assert {tool.name for tool in talk(url, lambda client: client.list_tools()).tools} == TOOLS
        talk(url, lambda client: client.call_tool("list_models"))
        assert "authorization" not in service.asked[0].headers
        forged = httpx2.post(url, json={}, headers={"Host": "evil.example"})
        assert forged.status_code == 421


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_a_key_it_does_not_listen_beyond(
    host: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the service itself."""
    assert main.http(settings, host, free_port()) == ExitCode.CONFIG
    assert "no API key is set" in capsys.readouterr().err


def test_keys_that_cannot_be_read_stop_it(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """A key too short is no key."""
    wrong = settings.model_copy(update={"api_keys": "short"})
    assert main.http(wrong, "127.0.0.1", free_port()) == ExitCode.CONFIG
    assert "API_KEYS" in capsys.readouterr().err


def test_a_service_is_told_when_callers_may_be_elsewhere(settings: Settings) -> None:
    """Without keys it would take whoever comes through loopback for this machine's admin (`api/local`)."""
    local, remote = ServiceClient(base_url(settings), None), ServiceClient(base_url(settings), None, remote=True)
    assert "Via" not in local._headers(None)
    assert remote._headers(None)["Via"] == "1.1 stoker-mcp"
