"""A server that stands in for vLLM or llama.cpp: it answers what a test says, and knows who has left.

`python -m tests.unit.engine.upstream.standin PORT` is one in a process of its own, for tests of starting and killing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


@dataclass
class Asked:
    """One request that came, and whether its client has left."""

    path: str
    headers: str
    body: dict[str, Any]
    left: asyncio.Event = field(default_factory=asyncio.Event)


Script = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def event(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def piece(text: str, index: int = 0, finish: str | None = None) -> bytes:
    return event(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])


def usage(prompt: int, completion: int) -> bytes:
    return event(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": completion})


def whole(status: int, body: Any, extra: str = "") -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(data)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + data


async def echo(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Answers with the last message's text, a piece a character. `crash` ends the process after two."""
    text = str(asked.body["messages"][-1]["content"])
    writer.write(HEAD)
    for at, character in enumerate(text):
        if text.startswith("crash") and at == 2:
            await writer.drain()
            os._exit(1)
        writer.write(piece(character))
        await writer.drain()
        await asyncio.sleep(0.05 if text.startswith("slow") else 0)
    writer.write(piece("", finish="stop") + usage(7, len(text)) + DONE)


class Standin:
    """Listens on a port of its own. `script` answers chats; `asked` is what came."""

    def __init__(self, script: Script = echo, *, owner: str = "vllm", model: str = "demo", ready: bool = True) -> None:
        self.script = script
        self.ready = ready
        self.asked: list[Asked] = []
        self.arrived: asyncio.Queue[Asked] = asyncio.Queue()
        self.answers: dict[str, bytes] = {
            "/v1/models": whole(200, {"data": [{"id": model, "owned_by": owner, "max_model_len": 512}]}),
            "/v1/completions": whole(200, {"choices": []}),
        }
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> str:
        """Its URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            asked = await _read(reader)
            if asked.path.endswith("/chat/completions"):
                self.asked.append(asked)
                self.arrived.put_nowait(asked)
                watch = asyncio.ensure_future(_watch(reader, asked))
                await self.script(asked, writer)
                watch.cancel()
            elif asked.path == "/health":
                writer.write(whole(200 if self.ready else 503, {}))
            else:
                writer.write(self.answers.get(asked.path, whole(404, {"error": {"message": "Not Found"}})))
            await writer.drain()
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next((int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
    body = await reader.readexactly(length)
    return Asked(head.split(" ")[1], head, json.loads(body) if body else {})


async def _watch(reader: asyncio.StreamReader, asked: Asked) -> None:
    with suppress(ConnectionError):
        await reader.read()
    asked.left.set()


async def _main(port: int) -> None:
    print("standin: loading", flush=True)
    await Standin().start(port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
