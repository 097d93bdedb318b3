"""Two instances behind deploy/nginx/three.conf, clients that ask again at once, and restarts of one after the other."""

from __future__ import annotations

import itertools
import json
import signal
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.deploy import tools
from tests.running import Running, service


@dataclass
class Counted:
    """What the clients saw; `failed` by status and code, or by the name of what was raised."""

    answered: int = 0
    streamed: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def measure(folder: Path, restarts: int, clients: int, streams: int, notice_s: float) -> Counted:
    """Restart the two in turn under load; a restart begins when the one before is ready again."""
    counted, done = Counted(), threading.Event()
    with ExitStack() as stack:
        pair = [stack.enter_context(_instance(notice_s)) for _ in range(2)]
        tls = stack.enter_context(tools.nginx("three.conf", folder, [one.port for one in pair]))
        context = ssl.create_default_context(cafile=str(folder / "stoker.crt"))
        limits = httpx.Limits(max_connections=clients + streams)
        http = stack.enter_context(httpx.Client(verify=context, timeout=60, limits=limits))
        site = _Site(http, f"https://localhost:{tls}/v1/chat/completions", counted)
        crowd = stack.enter_context(ThreadPoolExecutor(clients + streams))
        loops = [crowd.submit(_repeat, site.ask, done) for _ in range(clients)]
        loops += [crowd.submit(_repeat, site.stream, done) for _ in range(streams)]
        try:
            for _, one in zip(range(restarts), itertools.cycle(pair), strict=False):
                _restart(one)
        finally:
            done.set()
        for loop in loops:
            loop.result(90)
    return counted


def _instance(notice_s: float) -> AbstractContextManager[Running]:
    return service(
        inference_engine="fake",
        ocr_workers=0,
        trusted_proxies="127.0.0.1",
        graceful_timeout=20,
        drain_notice=notice_s,
    )


def _repeat(act: Callable[[], None], done: threading.Event) -> None:
    while not done.is_set():
        act()


def _restart(one: Running) -> None:
    one.process.send_signal(signal.SIGTERM)
    one.start_again()
    one.wait()


class _Site:
    """What one client does; each request has a share of nginx's limits of its own."""

    def __init__(self, http: httpx.Client, url: str, counted: Counted) -> None:
        self._http, self._url, self._counted = http, url, counted
        self._numbers = itertools.count()

    def ask(self) -> None:
        try:
            reply = self._http.post(self._url, json=_chat("fake:delay=0.01 fake:count=4 ok"), headers=self._headers())
        except httpx.HTTPError as error:
            self._fail(type(error).__name__)
            return
        if reply.status_code != 200:
            self._fail(f"{reply.status_code} {_code(reply.text)}")
        else:
            self._counted.answered += 1

    def stream(self) -> None:
        body = _chat("fake:delay=0.1 fake:count=25 abc", stream=True)
        try:
            with self._http.stream("POST", self._url, json=body, headers=self._headers()) as reply:
                lines = [line for line in reply.iter_lines() if line]
        except httpx.HTTPError as error:
            self._fail(f"stream {type(error).__name__}")
            return
        if not lines or lines[-1] != "data: [DONE]" or any('"error"' in line for line in lines):
            self._fail(f"stream {reply.status_code} {_code(lines[-1].removeprefix('data: ') if lines else '')}")
        else:
            self._counted.streamed += 1

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer client-{next(self._numbers)}"}

    def _fail(self, why: str) -> None:
        self._counted.failed[why] += 1


def _chat(text: str, **more: object) -> dict[str, object]:
    return {"model": "demo", "messages": [{"role": "user", "content": text}], "max_tokens": 1000, **more}


def _code(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return text[:80]
