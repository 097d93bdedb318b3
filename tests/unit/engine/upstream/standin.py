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


def counted(token: int, so_far: int, **said: Any) -> bytes:
    """A piece of one character, with its id and the count, as vLLM tells who asks for them."""
    choice = {"index": 0, "finish_reason": None, "token_ids": [token], **said}
    return event(choices=[choice], usage={"prompt_tokens": 7, "completion_tokens": so_far})


def usage(prompt: int, completion: int) -> bytes:
    return event(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": completion})


def whole(status: int, body: Any, extra: str = "") -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(data)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + data


async def echo(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Answers with the last message's text, a piece a character. `crash` ends the process after two, `once` after
    four; `go_on` goes on with the latter."""
    text = str(asked.body["messages"][-1]["content"])
    writer.write(HEAD)
    for at, character in enumerate(text):
        if text.startswith("crash") and at == 2:
            await writer.drain()
            os._exit(1)
        if text.startswith("once") and at == 4:
            await writer.drain()
            os._exit(1)
        tells = asked.body.get("return_token_ids")
        writer.write(counted(ord(character), at + 1, delta={"content": character}) if tells else piece(character))
        await writer.drain()
        await asyncio.sleep(0.05 if text.startswith("slow") else 0)
    writer.write(piece("", finish="stop") + usage(7, len(text)) + DONE)


async def go_on(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """The rest of what `echo` says, behind the ids of its prompt, a 0, and those of what it has said."""
    ids = list(asked.body["prompt"])
    end = ids.index(0)
    rest = ids[:end][len(ids) - end - 1 :]
    writer.write(HEAD)
    for at, token in enumerate(rest):
        writer.write(counted(token, at + 1, text=chr(token)))
    writer.write(event(choices=[{"index": 0, "text": "", "finish_reason": "stop"}]))
    writer.write(usage(len(ids), len(rest)) + DONE)


def tokenize(body: dict[str, Any]) -> dict[str, Any]:
    """The last message, a character a token, and a 0; and back."""
    if "tokens" in body:
        return {"prompt": "".join(map(chr, body["tokens"]))}
    return {"tokens": [*map(ord, str(body["messages"][-1]["content"])), 0]}


class Standin:
    """Listens on a port of its own. `script` answers chats; `asked` is what came. `tokenizes`: has routes for it."""

    def __init__(self, script: Script = echo, *, owner: str = "vllm", model: str = "demo", ready: bool = True) -> None:
        self.script = script
        self.ready = ready
        self.tokenizes = False
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
            elif asked.path == "/v1/completions" and isinstance(asked.body.get("prompt"), list):
                self.asked.append(asked)
                await go_on(asked, writer)
            elif asked.path.endswith("tokenize") and self.tokenizes:
                writer.write(whole(200, tokenize(asked.body)))
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
    standin = Standin()
    standin.tokenizes = True
    await standin.start(port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
