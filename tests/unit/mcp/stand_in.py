"""A service on loopback that answers as told, and remembers what it was asked."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

CARD = {"id": "demo", "object": "model", "state": "gpu", "context_length": 2048, "size_bytes": 6_823_784}
GPU = {
    "success": True,
    "gpu_status": {"device": "metal", "using_gpu": True, "memory_bytes": {"total": 64 << 30, "active": None}},
    "recommendations": {"max_concurrent": 8, "performance_warning": None},
}
PLACES = {"demo": {"location": "gpu", "idle_time_seconds": 3.2, "monitor_running": True, "gpu_memory": {}}}
SYSTEM = {"version": "0.1.0", "pid": 7, "uptime_s": 9.5, "children": [{"name": "web", "state": "ready"}]}
PAGE = {"index": 0, "text": "HARBOUR OFFICE", "confidence": 0.99, "lines": [{"text": "HARBOUR OFFICE"}]}


def healthy() -> dict[str, tuple[int, Any]]:
    """What each route answers when all is well."""
    moved = {"success": True, "models": {"demo": "cpu"}, "pending": []}
    return {
        "GET /v1/models": (200, {"object": "list", "data": [CARD]}),
        "GET /v1/system/status": (200, SYSTEM),
        "GET /api/gpu-status": (200, GPU),
        "GET /api/gpu/status": (200, PLACES),
        "POST /v1/models/load": (200, CARD),
        "POST /v1/models/unload": (202, CARD | {"state": "unloading"}),
        "POST /api/gpu/offload": (200, moved),
        "POST /api/gpu/release": (200, moved),
        "POST /api/gpu/timeout": (200, {"success": True, "timeout": 120.0}),
        "POST /v1/ocr": (200, {"id": "x", "model": "rapidocr", "text": "HARBOUR OFFICE", "pages": [PAGE]}),
    }


@dataclass
class Asked:
    route: str
    headers: dict[str, str]
    body: bytes


@dataclass
class StandIn:
    """`answers`: route → status and body; `delay_s` before each."""

    port: int = 0
    answers: dict[str, tuple[int, Any]] = field(default_factory=healthy)
    retry_after: str | None = None
    delay_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    told = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()}, body)
            told.asked.append(asked)
            time.sleep(told.delay_s)
            status, answer = told.answers.get(asked.route, (404, {"error": {"message": "no such route"}}))
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if told.retry_after is not None:
                self.send_header("Retry-After", told.retry_after)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.port = server.server_port
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
