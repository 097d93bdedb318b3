"""The service without its processes: the real engine stack on threads of this one, the real web application, and the
`openai` package as the client. Only HTTP's own wire and the supervisor are missing; tests/e2e has those."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import openai
import pytest
from flask import Flask

from src.api.app import create_app
from src.api.generation.inflight import InFlight
from src.api.service import EXTENSION
from src.engine import loading
from src.engine.fake import FakeBackend
from src.engine.main import warm_up
from src.engine.progress import LoadMeter
from src.engine.scheduler import Scheduler
from src.engine.server import EngineServer
from src.ipc import runtime
from src.ipc.messages.status import EngineLoad
from src.ipc.server import Handler, Server
from src.settings import Settings
from tests.conftest import MakeSettings

PATIENCE_S = 5.0
LOADING_S = 60.0
# the fake engine sleeps this long for `fake:hang`; here it breaks instead, which ends it after exactly N tokens
_HANG_S = 3600.0


class Engine:
    """What `engine.main` builds, with the owner thread beside the test's. It ends like a process: with its socket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        model = settings.default_model
        self._server = EngineServer(runtime.engine_socket(settings.runtime_path, model), model, settings)
        self._scheduler: Scheduler
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="owner")
        self._died = False

    def start(self) -> None:
        self._server.start()
        self._thread.start()
        assert self._ready.wait(LOADING_S), "the engine did not load"

    def stop(self) -> None:
        """End it; may be called again, and after it has died."""
        self._stopping.set()
        self._scheduler.stop()
        self._thread.join(PATIENCE_S)
        if not self._died:
            self._died = True
            self._server.stop()

    def becomes_busy(self, requests: int = 1) -> bool:
        """Whether that many requests are in the batch, after waiting a while for it."""
        return self._becomes(lambda load: load.running == requests)

    def becomes_idle(self) -> bool:
        """Whether there is nothing left to do, after waiting a while for it."""
        return self._becomes(lambda load: load.running + load.waiting == 0)

    def _becomes(self, what: Callable[[EngineLoad], bool]) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if what(self._scheduler.load()):
                return True
            time.sleep(0.005)
        return False

    def _load(self) -> None:
        """On the owner thread, where MLX wants to be loaded."""
        settings = self._settings
        fake = settings.inference_engine == "fake"
        model = settings.default_model
        backend = FakeBackend(model, settings, self._sleep) if fake else loading.load(model, settings, LoadMeter())
        self._scheduler = Scheduler(
            backend,
            max_num_seqs=settings.max_num_seqs,
            prefill_step_size=settings.prefill_step_size,
            publish=self._server.publish,
            clock=time.monotonic,
        )
        warm_up(backend, LoadMeter())
        self._server.ready(backend, self._scheduler)
        self._ready.set()

    def _run(self) -> None:
        self._load()
        try:
            self._scheduler.run()
        except RuntimeError:
            self._died = True
            self._server.stop()

    def _sleep(self, seconds: float) -> None:
        if seconds >= _HANG_S:
            raise RuntimeError("the engine was told to hang, and breaks")
        if seconds:
            self._stopping.wait(seconds)


class Service:
    """An application, its engine, and clients for both."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app: Flask = create_app(settings)
        self.engine: Engine | None = None
        self.http = httpx.Client(transport=httpx.WSGITransport(app=self.app), base_url="http://localhost")
        self.openai = openai.OpenAI(
            base_url="http://localhost/v1", api_key="none", max_retries=0, http_client=cast(Any, self.http)
        )

    @property
    def inflight(self) -> InFlight:
        return cast(InFlight, self.app.extensions[EXTENSION].inflight)

    def start_engine(self) -> Engine:
        self.engine = Engine(self.settings)
        self.engine.start()
        return self.engine

    def close(self) -> None:
        self.openai.close()
        self.http.close()
        if self.engine is not None:
            self.engine.stop()

    def chat(self, content: str = "hello", **fields: Any) -> httpx.Response:
        """A whole answer, as raw HTTP."""
        body = {"messages": [{"role": "user", "content": content}], **fields}
        return self.http.post("/v1/chat/completions", json=body)

    def stream(self, content: str = "hello", **fields: Any) -> list[Any]:
        """The events of a streamed answer, decoded; `[DONE]` is a string."""
        response = self.chat(content, stream=True, **fields)
        assert response.headers["Content-Type"].startswith("text/event-stream"), response.text
        return events(response.text)

    def works(self) -> bool:
        """Whether a request is answered as it should be."""
        response = self.chat("still here")
        return response.status_code == 200 and response.json()["choices"][0]["message"]["content"] == "still here"


def events(text: str) -> list[Any]:
    """A stream's events; anything that is not one is an error."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            continue
        assert block.startswith("data: ")
        assert "\n" not in block
        data = block.removeprefix("data: ")
        found.append(data if data == "[DONE]" else json.loads(data))
    return found


def text_of(stream: list[Any]) -> str:
    """The text that a stream's chunks make together."""
    return "".join(c["delta"].get("content", "") for e in stream if "choices" in e for c in e["choices"])


@contextmanager
def broker_of(service: Service, handle: Handler) -> Iterator[None]:
    """A stand-in for the OCR broker, on the service's socket."""
    loop = asyncio.new_event_loop()
    server = Server(runtime.ocr_socket(service.settings.runtime_path), handle)
    thread = threading.Thread(target=loop.run_forever, name="broker")
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(PATIENCE_S)
    yield
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(PATIENCE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE_S)
    loop.close()


StartService = Callable[..., Service]


@pytest.fixture
def start_service(make_settings: MakeSettings) -> Iterator[StartService]:
    """Starts services with settings of the test's choice, with an engine unless told otherwise."""
    started: list[Service] = []

    def start(*, engine: bool = True, **changes: Any) -> Service:
        service = Service(make_settings(**{"inference_engine": "fake", "max_body_mb": 1, **changes}))
        started.append(service)
        if engine:
            service.start_engine()
        return service

    yield start
    for service in started:
        service.close()


@pytest.fixture
def service(start_service: StartService) -> Service:
    return start_service()
