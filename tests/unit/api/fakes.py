"""Stand-ins for what a request meets: a clock that only the test moves, and a back end's stream from a script."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import cast

from src.api.generation.connections import Backends
from src.ipc.client import Cancelled, Disconnected, Stream, WaitTimeout
from src.ipc.messages.chat import Delta, Finished, FinishReason, GenerateRequest, Timings, Usage
from src.ipc.messages.status import (
    ChildState,
    ChildStatus,
    DeviceReading,
    EngineLoad,
    Health,
    MemoryReading,
    ModelInfo,
    ModelState,
    ModelStatus,
    OcrLoad,
    SystemStatus,
)
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings

REQUEST = GenerateRequest("req-1", "demo", ())


class FakeClock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeStream:
    """Gives the batches of its script one by one; an empty one is a silence for as long as the caller waits."""

    def __init__(self, clock: FakeClock, *script: list[AnyMessage] | Exception) -> None:
        self._clock = clock
        self._script = deque(script)
        self.waits: list[float] = []
        self.cancelled = False
        self.closed = 0
        self.on_receive: Callable[[], None] = lambda: None  # what another greenlet does meanwhile

    def receive_all(self, timeout_s: float) -> list[AnyMessage]:
        self.waits.append(timeout_s)
        self.on_receive()
        if self.cancelled or self.closed:
            raise Cancelled
        if not self._script:
            raise Disconnected("connection closed")
        batch = self._script.popleft()
        if isinstance(batch, Exception):
            raise batch
        if not batch:
            self._clock.now += max(0.0, timeout_s)
            raise WaitTimeout
        return batch

    def cancel(self) -> None:
        self.cancelled = True

    def close(self) -> None:
        self.closed += 1

    @property
    def stream(self) -> Stream:
        return cast(Stream, self)


def delta(*tokens: int, text: str = "x") -> Delta:
    return Delta(tokens, text)


def finished(reason: FinishReason = "stop", prompt: int = 5, completion: int = 3) -> Finished:
    return Finished(reason, Usage(prompt, completion), Timings(0.5, 0.25, 2.0))


HEALTH = Health(
    "ready",
    42,
    MemoryReading(1000, mlx_active_bytes=10, mlx_cache_bytes=None, mlx_peak_bytes=20, mlx_limit_bytes=30),
    engine="fake",
    model=ModelInfo("demo", 2048, parameters=7),
    device=DeviceReading("cpu", "a cpu", "OpenBLAS", 64 << 30, "0.32.4"),
    load=EngineLoad(running=3, waiting=2, step_age_s=0.1, steps=10, tokens=20),
)
OCR_HEALTH = Health("ready", 43, MemoryReading(2000), ocr=OcrLoad(2, 1, 5, 2, 10, 0, 3))


_MODEL_STATES: dict[ChildState, ModelState] = {"starting": "loading", "failed": "failed"}


def table(engine: ChildState = "ready", ocr: ChildState = "ready", detail: str | None = None) -> SystemStatus:
    """The supervisor's table with both back ends in the given states."""
    return SystemStatus(
        "0.1.0",
        1,
        60.0,
        (
            ChildStatus("web", "starting", 41, 5.0, {}),
            ChildStatus("engine:demo", engine, 42, 5.0, {"stall": 2}, detail, HEALTH if engine == "ready" else None),
            ChildStatus("ocr", ocr, 43, 5.0, {}, None, OCR_HEALTH if ocr == "ready" else None),
        ),
        models=(ModelStatus("demo", _MODEL_STATES.get(engine, "gpu"), "engine:demo", 100, detail=detail),),
        restarts={"engine:demo": {"stall": 2}, "engine:gone": {"exit": 1}},
    )


class TableBackends(Backends):
    """The real one, but for the supervisor's answer."""

    def __init__(self, settings: Settings, answer: SystemStatus | None) -> None:
        super().__init__(settings)
        self.answer = answer

    def status(self) -> SystemStatus | None:
        return self.answer
