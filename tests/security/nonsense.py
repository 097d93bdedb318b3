"""Random requests of no sense: names, ids, keys, headers, fields, numbers, methods. Raw, over connections kept alive.

Every text that is made up holds `MARK`, by which it would be found again where it must not be. Used by `test_nonsense`.
"""

from __future__ import annotations

import json
import random
import socket
import string
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

MARK = "xyzzy"
_ALPHABET = string.ascii_letters + string.digits + " ~/.-_:%{}<>\"'\\\0\n\r\t字é\u202e"
_HEADER_ALPHABET = string.ascii_letters + string.digits + " ~/.-_:%{}<>,;="
_NUMBERS: tuple[Any, ...] = (0, -1, 10**20, -(10**30), 1e300, 2**63, 2**64, 0.5, True, None, "9" * 5000, [], {}, "1e20")
_PATHS = (
    *("/v1/models/{}", "/v1/responses/{}", "/v1/ocr/jobs/{}", "/v1/ocr/jobs/{}/result", "/v1/ocr/jobs/{}/events"),
    *("/{}", "/v1/{}", "/v1/chat/completions/{}", "/livez?{}", "/v1/models?after={}&limit={}", "/v1/ocr?pages={}"),
)
_POSTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi", "store": False},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4},
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/embeddings": {"input": "hi"},
    "/tokenize": {"prompt": "hi"},
    "/detokenize": {"tokens": [1, 2]},
    "/v1/models/load": {},
    "/v1/models/unload": {},
    "/v1/ocr": {"image": "aGk="},
    "/v1/ocr/jobs": {"image": "aGk="},
}
_FIELDS = (
    *("max_tokens", "temperature", "top_p", "n", "seed", "timeout", "priority", "stop", "logit_bias", "top_k", "user"),
    *("metadata", "tools", "tool_choice", "response_format", "reasoning_effort", "pages", "dpi", "language", "format"),
    *("previous_response_id", "dimensions", "service_tier", "stream_options", "cache_salt", "lora"),
)
_HEADERS = (
    *("X-Request-Id", "X-Priority", "X-Request-Timeout", "Last-Event-ID", "X-Forwarded-For", "Origin", "User-Agent"),
    *("Cookie", "Prefer", "Cache-Control", "X-Api-Key", "Accept", "If-None-Match", "Range", "Idempotency-Key"),
)


class Nonsense:
    """A source of requests; the same seed gives the same."""

    def __init__(self, seed: int, key: str) -> None:
        self._chance = random.Random(seed)
        self._key = key

    def request(self) -> bytes:
        make: Callable[[], bytes] = self._chance.choices([self._get, self._post, self._good], [45, 50, 5])[0]
        return make()

    def _text(self, alphabet: str = _ALPHABET) -> str:
        length = self._chance.choice((1, 5, 20, 20, 20, 255, 600))
        return MARK + "".join(self._chance.choices(alphabet, k=length))

    def _get(self) -> bytes:
        method = self._chance.choices(["GET", "DELETE", "PUT", "BREW"], [80, 14, 3, 3])[0]
        path = self._chance.choice(_PATHS)
        return self._head(method, path.replace("{}", quote(self._text(), safe=""))) + b"\r\n"

    def _post(self) -> bytes:
        path = self._chance.choice(list(_POSTS))
        name = "model_name" if path.startswith("/v1/models") else "model"
        served = "demo" if name == "model" else self._text()  # nobody is to load it and unload it meanwhile
        body = {**_POSTS[path], name: self._text() if self._chance.random() < 0.7 else served}
        for _ in range(self._chance.randrange(4)):
            field = self._chance.choice([*_FIELDS, self._text()])
            body[field] = self._chance.choice([*_NUMBERS, self._text(), {self._text(): self._text()}])
        return self._with_body(path, body)

    def _good(self) -> bytes:
        """What is answered: fields that nobody knows are set aside, names that mean nothing are passed on."""
        body = {**_POSTS["/v1/chat/completions"], "user": self._text(), self._text(): 1, "max_tokens": 3}
        return self._with_body("/v1/chat/completions", body)

    def _with_body(self, path: str, body: dict[str, Any]) -> bytes:
        data = json.dumps(body).encode()
        head = self._head("POST", path, good=b"max_tokens" in data)
        return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data

    def _head(self, method: str, path: str, *, good: bool = False) -> bytes:
        key = self._key if good or self._chance.random() < 0.9 else self._text(_HEADER_ALPHABET)
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}"]
        names = self._chance.sample(_HEADERS, 0 if good else self._chance.randrange(3))
        values = (self._text(_HEADER_ALPHABET), "1" * 5000, "1" + "0" * 20)
        lines += [f"{name}: {self._chance.choice(values)}" for name in names]
        if self._chance.random() < 0.2:
            lines.append(f"X-{MARK}-{self._chance.randrange(10**9)}: 1")
        return "\r\n".join(lines).encode() + b"\r\n"


class Connection:
    """One kept alive, as long as the service likes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock: socket.socket | None = None

    def ask(self, request: bytes) -> int:
        """The status. A kept connection that has just been closed is tried once more."""
        kept = self._sock is not None
        try:
            return self._ask(request)
        except (ConnectionError, EOFError):
            self.close()
            if not kept:
                raise
        return self._ask(request)

    def _ask(self, request: bytes) -> int:
        if self._sock is None:
            self._sock = socket.create_connection(("127.0.0.1", self._port), 30)
        self._sock.sendall(request)
        head, _, body = self._until(b"", lambda data: b"\r\n\r\n" in data).partition(b"\r\n\r\n")
        fields = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in head.split(b"\r\n")[1:]}
        length = int(fields.get(b"content-length", b"0"))
        self._until(body, lambda data: len(data) >= length)
        if fields.get(b"connection", b"").lower() == b"close" or b"transfer-encoding" in fields:
            self.close()
        return int(head[9:12])

    def _until(self, data: bytes, done: Callable[[bytes], bool]) -> bytes:
        assert self._sock is not None
        while not done(data):
            more = self._sock.recv(65536)
            if not more:
                raise EOFError
            data += more
        return data

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None


def attack(port: int, source: Nonsense, count: int, seconds: float) -> Counter[int]:
    """Send so many, or as many as fit in so many seconds; the answers by status."""
    connection, statuses = Connection(port), Counter[int]()
    deadline = time.monotonic() + seconds
    try:
        while statuses.total() < count and time.monotonic() < deadline:
            statuses[connection.ask(source.request())] += 1
    finally:
        connection.close()
    return statuses
