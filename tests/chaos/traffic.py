"""One client of the storm: streams, whole answers, questions, pages, garbage, early disconnects.

Each request is judged: its one outcome must be whole text, a clean error, or the reset of a killed web process.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter

import httpx

from src.ocr.fake import draw
from tests.running import Running

_DEADLINE_S = 90.0
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_CLEAN = frozenset({400, 404, 413, 415, 429, 503, 504})


class Client:
    """Sends one request after the other until the storm is over."""

    def __init__(self, running: Running, chance: random.Random) -> None:
        self._running = running
        self._chance = chance
        self._page = draw("delay=0.1; text=hello")
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    def run(self, over: threading.Event) -> None:
        kinds = {self.stream: 6, self.plain: 4, self.page: 3, self.question: 1, self.garbage: 2, self.leave: 2}
        while not over.is_set():
            (kind,) = self._chance.choices(list(kinds), list(kinds.values()))
            began = time.monotonic()
            try:
                outcome = kind()
            except httpx.TimeoutException:
                outcome = "BROKEN no outcome in time"
            except httpx.ConnectError:
                outcome = "nobody listens"  # web is just being started again
            except httpx.HTTPError:
                outcome = "connection reset"
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.outcomes[f"{outcome} ({kind.__name__})"] += 1
            if outcome != "ok":
                over.wait(0.1)

    def stream(self) -> str:
        """A stream: the whole text in order, or one error event."""
        count = self._chance.randint(1, 120)
        body = self._body(f"fake:count={count} fake:delay=0.02", stream=True)
        lines: list[str] = []
        with httpx.stream("POST", self._chat, json=body, timeout=_DEADLINE_S) as reply:
            if reply.status_code != 200:
                reply.read()
                return self._error(reply)
            lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
        if lines[-1] != "[DONE]":
            code = json.loads(lines[-1]).get("error", {}).get("code")
            return f"error event {code}" if code else "BROKEN stream without an end"
        chunks = [json.loads(line) for line in lines[:-1]]
        text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
        return "ok" if text == (_ALPHABET * 5)[:count] else f"BROKEN text: {len(text)} of {count}"

    def plain(self) -> str:
        """A whole answer: exactly what was said."""
        said = f"héllo 世界 {self._chance.random()}"
        reply = httpx.post(self._chat, json=self._body(said), timeout=_DEADLINE_S)
        if reply.status_code != 200:
            return self._error(reply)
        return "ok" if reply.json()["choices"][0]["message"]["content"] == said else "BROKEN text"

    def question(self) -> str:
        """Tokens of a text: one for each byte."""
        url = f"{self._running.url}/tokenize"
        reply = httpx.post(url, json={"prompt": "hello"}, timeout=_DEADLINE_S)
        if reply.status_code != 200:
            return self._error(reply)
        return "ok" if reply.json()["count"] == 5 else "BROKEN tokens"

    def page(self) -> str:
        """A page: its text."""
        url = f"{self._running.url}/v1/ocr"
        reply = httpx.post(url, files={"file": ("page.png", self._page)}, timeout=_DEADLINE_S)
        if reply.status_code != 200:
            return self._error(reply)
        return "ok" if reply.json()["text"] == "hello" else "BROKEN page"

    def garbage(self) -> str:
        """Nonsense: a 4xx with an envelope."""
        bodies = (b"", b"{", b"[1]", b'{"messages": 3}', b'{"messages": []}', b"\xff\xfe", b"[" * 5000)
        headers = {"Content-Type": "application/json"}
        reply = httpx.post(self._chat, content=self._chance.choice(bodies), headers=headers, timeout=_DEADLINE_S)
        return "ok" if reply.status_code == 400 and "error" in reply.json() else self._error(reply)

    def leave(self) -> str:
        """A client that goes away before, in, or after the first bytes."""
        body = json.dumps(self._body("fake:count=500 fake:delay=0.02", stream=True)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self._running.port), timeout=10) as sock:
                sock.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
                time.sleep(self._chance.choice((0.0, 0.05, 0.4)))
        except OSError:
            return "connection reset"
        return "ok"

    @property
    def _chat(self) -> str:
        return f"{self._running.url}/v1/chat/completions"

    def _body(self, text: str, *, stream: bool = False) -> dict[str, object]:
        return {"messages": [{"role": "user", "content": text}], "max_tokens": 1000, "stream": stream}

    def _error(self, reply: httpx.Response) -> str:
        """An error status is fine if it is one of ours, in the envelope."""
        try:
            code = reply.json()["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return f"BROKEN {reply.status_code} without an envelope"
        return f"{reply.status_code} {code}" if reply.status_code in _CLEAN else f"BROKEN {reply.status_code} {code}"
