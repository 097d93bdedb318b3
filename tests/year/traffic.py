"""Light traffic under one key that lasts the whole year: whatever is not a whole answer is a failure."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

_DEADLINE_S = 60.0
_PAUSE_S = 0.25


@dataclass
class Traffic:
    """`answered` by kind, `failed` by kind and reason, `slowest_s` by kind.

    Each kind has a thread and a connection that it keeps.
    """

    url: str
    key: str
    model: str
    page: bytes
    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, Callable[[httpx.Client], bool]]:
        return {"chat": self._chat, "stream": self._stream, "tokens": self._tokens, "page": self._read_page}

    def repeat(self, kind: str, over: threading.Event) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=_DEADLINE_S) as http:
            while not over.wait(_PAUSE_S):
                began = time.monotonic()
                problem = _problem(self.kinds[kind], http)
                self.slowest_s[kind] = max(self.slowest_s.get(kind, 0.0), time.monotonic() - began)
                if problem is None:
                    self.answered[kind] += 1
                else:
                    self.failed[f"{kind}: {problem}"] += 1

    def _chat(self, http: httpx.Client) -> bool:
        reply = http.post("/v1/chat/completions", json=self._body()).raise_for_status()
        return bool(reply.json()["choices"][0]["message"]["content"])

    def _stream(self, http: httpx.Client) -> bool:
        reply = http.post("/v1/chat/completions", json=self._body(stream=True)).raise_for_status()
        return reply.text.endswith("data: [DONE]\n\n") and '"error"' not in reply.text

    def _tokens(self, http: httpx.Client) -> bool:
        reply = http.post("/tokenize", json={"model": self.model, "prompt": "hello"}).raise_for_status()
        return int(reply.json()["count"]) > 0

    def _read_page(self, http: httpx.Client) -> bool:
        reply = http.post("/v1/ocr", files={"file": ("page.png", self.page)}).raise_for_status()
        return bool(reply.json()["text"])

    def _body(self, **more: object) -> dict[str, object]:
        question = {"role": "user", "content": "Where are the logs?"}
        return {"model": self.model, "messages": [question], "max_tokens": 8, "temperature": 0, **more}


def _problem(ask: Callable[[httpx.Client], bool], http: httpx.Client) -> str | None:
    try:
        return None if ask(http) else "not whole"
    except httpx.HTTPStatusError as error:
        return f"{error.response.status_code} {error.response.text[:200]}"
    except httpx.HTTPError as error:
        return repr(error)
