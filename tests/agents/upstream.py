"""The scripted model as an OpenAI-compatible server on loopback, for UPSTREAM_URL: streams, tool calls, a context.

It keeps what it was asked (`asked`), so that a scenario sees what reached the model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from tests.agents.script import Answer, answer, tokens
from tests.running import Running, service

MODEL = "coder"


@dataclass
class Scripted:
    """A running one. `waiting` is set while an answer's first byte is held back."""

    port: int = 0
    context: int = 200_000
    asked: list[dict[str, Any]] = field(default_factory=list)
    waiting: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def scripted(context: int = 200_000) -> Iterator[Scripted]:
    state = Scripted(context=context)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            card = {"id": "scripted", "object": "model", "owned_by": "tests", "max_model_len": state.context}
            known = {"/v1/models": {"object": "list", "data": [card]}, "/health": {}}
            found = known.get(self.path)
            _send(self, 200 if found is not None else 404, found or {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that leaves cancels
                _serve(self, state, body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_port
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def over_script(model: Scripted) -> Iterator[Running]:
    """The service with the scripted model beneath, under the name MODEL."""
    with service(
        inference_engine="vllm",
        default_model=MODEL,
        upstream_url=model.url,
        upstream_model="scripted",
        model_aliases=f"claude-*={MODEL}",
        ocr_workers=1,
    ) as running:
        yield running


def _serve(handler: BaseHTTPRequestHandler, state: Scripted, body: dict[str, Any]) -> None:
    if handler.path == "/v1/completions":  # the service's warm-up
        return _send(handler, 200, {"choices": [{"index": 0, "text": "ok", "finish_reason": "stop"}]})
    if handler.path == "/tokenize":
        counted = tokens({"messages": body.get("messages") or body.get("prompt"), "tools": body.get("tools")})
        return _send(handler, 200, {"tokens": [0] * counted, "max_model_len": state.context})
    if handler.path != "/v1/chat/completions":
        return _send(handler, 404, {"error": {"message": "no such route"}})
    state.asked.append(body)
    prompt = tokens(body)
    if prompt + (body.get("max_tokens") or 1) > state.context:
        return _send(handler, 400, {"error": {"message": _too_long(state.context, prompt), "code": 400}})
    return _stream(handler, state, answer(body), prompt)


def _too_long(context: int, prompt: int) -> str:
    """As vLLM says it."""
    limit = f"This model's maximum context length is {context} tokens."
    return f"{limit} However, your request has {prompt} input tokens. Please reduce the length of the input messages."


def _stream(handler: BaseHTTPRequestHandler, state: Scripted, said: Answer, prompt: int) -> None:
    if said.wait_s:
        state.waiting.set()
        time.sleep(said.wait_s)
        state.waiting.clear()
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    pieces = [word + " " for word in said.text.split(" ")] if said.text else []
    pieces = [*pieces[:-1], pieces[-1].rstrip(" ")] if pieces else []
    for piece in pieces:
        _event(handler, {"content": piece})
        time.sleep(said.gap_s)
    for at, (name, arguments) in enumerate(said.calls):
        _call(handler, at, f"call_{prompt}_{at}", name, json.dumps(arguments))
    _event(handler, {}, "tool_calls" if said.calls else "stop")
    made = max(1, len(pieces) + sum(len(json.dumps(call)) // 4 for call in said.calls))
    _write(handler, {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": made}})
    handler.wfile.write(b"data: [DONE]\n\n")


def _call(handler: BaseHTTPRequestHandler, at: int, call_id: str, name: str, arguments: str) -> None:
    """A call as servers stream it: its name, then its arguments in pieces."""
    head = {"index": at, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    _event(handler, {"tool_calls": [head]})
    for begin in range(0, len(arguments), 40):
        part = {"index": at, "function": {"arguments": arguments[begin : begin + 40]}}
        _event(handler, {"tool_calls": [part]})


def _event(handler: BaseHTTPRequestHandler, delta: dict[str, Any], ended: str | None = None) -> None:
    _write(handler, {"choices": [{"index": 0, "delta": delta, "finish_reason": ended}]})


def _write(handler: BaseHTTPRequestHandler, event: dict[str, Any]) -> None:
    handler.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
    handler.wfile.flush()


def _send(handler: BaseHTTPRequestHandler, status: int, answered: dict[str, Any]) -> None:
    data = json.dumps(answered).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
