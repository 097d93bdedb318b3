"""A chat server that does as it is told, badly: each request gets the next of its answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

Answer = Callable[[dict[str, Any], asyncio.StreamWriter], Coroutine[None, None, None]]
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(**fields: object) -> bytes:
    """One event as a chunk of HTTP, cut in two in its middle: servers may."""
    data = f"data: {json.dumps(fields)}\n\n".encode()
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:9], data[9:]))


def word(finish: str | None = None) -> bytes:
    return event(choices=[{"delta": {"content": "" if finish else "word "}, "finish_reason": finish}])


async def good(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """`max_tokens` words, and their number."""
    usage = {"prompt_tokens": len(body["messages"][-1]["content"].split()), "completion_tokens": body["max_tokens"]}
    writer.write(_HEAD + word() * body["max_tokens"] + word("length") + event(choices=[], usage=usage))
    writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


async def uncounted(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """No usage, and HTTP/1.0, which ends with the connection."""
    text = 'data: {"choices": [{"delta": {"content": "x"}}]}\n\n' * 3
    writer.write(f"HTTP/1.0 200 OK\r\n\r\n{text}".encode())
    writer.write(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n')


async def cut(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Two words, then nobody."""
    writer.write(_HEAD + word() * 2)


async def stalled(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """One word, then silence."""
    writer.write(_HEAD + word())
    await asyncio.sleep(30)


async def erring(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + word() + event(error={"message": "out of memory"}))


async def nonsense(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.com ESMTP\r\n")


def refusing(status: int, message: str) -> Answer:
    async def refuse(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        data = json.dumps({"error": {"message": message}}).encode()
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data))

    return refuse


def strict(*unknown: str) -> Answer:
    """Good, but for bodies with a field it does not know."""

    async def answer(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        found = [name for name in unknown if name in body]
        await (refusing(400, f"unknown: {found[0]}") if found else good)(body, writer)

    return answer


class Crooked:
    """What it was asked, and what it answers; the last answer is given for ever."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self._answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[dict[str, Any]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if head.startswith(b"GET"):
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{"data": [{"id": "crook"}]}')
        else:
            size = int(head.lower().partition(b"content-length:")[2].split()[0])
            self.bodies.append(json.loads(await reader.readexactly(size)))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            await answer(self.bodies[-1], writer)
        writer.close()


@contextmanager
def crooked(*answers: Answer) -> Iterator[Crooked]:
    """It runs in a thread of its own until the block ends."""
    it, loop = Crooked(answers), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(it.serve, "127.0.0.1", 0))
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        server.close()
        loop.close()
