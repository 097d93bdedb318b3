"""LiteLLM's proxy before the service, as `run.py connect litellm` configures it: chat, responses and messages through
it, whole and streamed, and a loop of tools."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

url, model, folder = sys.argv[1:4]
name, key = f"stoker/{model}", "sk-" + secrets.token_hex(16)
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
config = Path(folder) / "litellm.yaml"
config.write_text(
    f"model_list:\n- model_name: {name}\n"
    f"  litellm_params: {{model: openai/{model}, api_base: {url}, api_key: unused}}\n"
)
environment = {**os.environ, "LITELLM_MASTER_KEY": key, "LITELLM_TELEMETRY": "False", "DO_NOT_TRACK": "1"}
command = [Path(sys.executable).parent / "litellm", "--config", config, "--host", "127.0.0.1", "--port", str(port)]
HELLO = "Hello from the script, in several pieces of text."
tool = {"name": "read_file", "parameters": {"type": "object", "properties": {"file_path": {"type": "string"}}}}


def sent(path, body=None):
    data = None if body is None else json.dumps({"model": name, **body}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310  # loopback
        return reply.read().decode()


def events(text):
    data = [line[6:] for line in text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]
    return list(map(json.loads, data))


def await_proxy():
    for _ in range(280):
        with suppress(OSError):
            return sent("/health/liveliness")
        assert proxy.poll() is None, "the proxy ended"
        time.sleep(1)
    raise AssertionError("the proxy did not start")


turns = [{"role": "user", "content": "[[chat]] hi"}]
log = (Path(folder) / "litellm.log").open("w")
with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as proxy:
    try:
        await_proxy()
        assert [one["id"] for one in json.loads(sent("/v1/models"))["data"]] == [name]
        whole = json.loads(sent("/v1/chat/completions", {"messages": turns}))
        assert whole["choices"][0]["message"]["content"] == HELLO
        assert whole["usage"]["completion_tokens"] > 0
        chunks = events(sent("/v1/chat/completions", {"messages": turns, "stream": True}))
        assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]) == HELLO
        asked = [{"role": "user", "content": "[[attached]] What is in /a/notes.txt?"}]
        offer = {"messages": asked, "tools": [{"type": "function", "function": tool}]}
        (call,) = json.loads(sent("/v1/chat/completions", offer))["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"file_path": "/a/notes.txt"}
        asked += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "INVOICE 4711"},
        ]
        answered = json.loads(sent("/v1/chat/completions", {**offer, "messages": asked}))
        assert answered["choices"][0]["message"]["content"] == "The document says INVOICE 4711."
        response = json.loads(sent("/v1/responses", {"input": "[[chat]] hi"}))
        assert response["output"][-1]["content"][0]["text"] == HELLO
        streamed = events(sent("/v1/responses", {"input": "[[chat]] hi", "stream": True}))
        assert streamed[-1]["type"] == "response.completed"
        message = json.loads(sent("/v1/messages", {"messages": turns, "max_tokens": 99}))
        assert message["content"][0]["text"] == HELLO
        blocks = events(sent("/v1/messages", {"messages": turns, "max_tokens": 99, "stream": True}))
        texts = [block["delta"].get("text", "") for block in blocks if block["type"] == "content_block_delta"]
        assert "".join(texts) == HELLO
    finally:
        proxy.terminate()
