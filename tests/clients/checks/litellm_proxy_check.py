"""LiteLLM's proxy before the service: chat, a stream and a loop of tools through it."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import openai

url, model, folder = sys.argv[1:4]
PORT = 20417
config = Path(tempfile.mkdtemp(prefix="litellm-")) / "config.yaml"
entry = {"model_name": "proxied", "litellm_params": {"model": f"openai/{model}", "api_base": url, "api_key": "none"}}
config.write_text(json.dumps({"model_list": [entry], "litellm_settings": {"telemetry": False}}))
program = str(Path(sys.executable).parent / "litellm")
notes = Path(folder) / "notes.txt"
notes.write_text("alpha\n")
parameters = {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}
tools = [{"type": "function", "function": {"name": "read_file", "parameters": parameters}}]


def until_serving(client: openai.OpenAI) -> None:
    began = time.monotonic()
    while time.monotonic() - began < 120:
        try:
            client.models.list()
            return
        except openai.APIConnectionError:
            time.sleep(1)
    raise AssertionError("the proxy does not serve")


def check(client: openai.OpenAI) -> None:
    turns = [{"role": "user", "content": "[[chat]] Hi"}]
    whole = client.chat.completions.create(model="proxied", messages=turns)
    assert whole.choices[0].message.content.startswith("Hello from the script")
    stream = client.chat.completions.create(model="proxied", messages=turns, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    turns = [{"role": "user", "content": f"[[tools]] In {notes} replace alpha by omega."}]
    message = client.chat.completions.create(model="proxied", messages=turns, tools=tools).choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("read_file", {"file_path": str(notes)})


process = subprocess.Popen([program, "--config", str(config), "--host", "127.0.0.1", "--port", str(PORT)])
try:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key="none", max_retries=0) as client:
        until_serving(client)
        check(client)
finally:
    process.terminate()
    process.wait(20)
