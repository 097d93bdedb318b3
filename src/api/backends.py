"""The web process's way to the other processes: connections to engine and broker, and the supervisor's table.

Serving needs no supervisor: sockets have known places. Only status questions go to its control socket.
"""

from __future__ import annotations

from pathlib import Path

from src.errors import BackendUnavailable, ModelNotFound, from_code
from src.ipc import client, runtime
from src.ipc.client import Stream
from src.ipc.messages import (
    AnyMessage,
    ChildStatus,
    Detokenized,
    DetokenizeRequest,
    Failed,
    GenerateRequest,
    OcrRequest,
    StatusRequest,
    SystemStatus,
    Tokenized,
    TokenizeRequest,
)
from src.metrics import ModelReading, Readings
from src.settings import Settings

_CONNECT_S = 2.0
_SEND_S = 30.0
_STATUS_S = 2.0
_QUESTION_S = 30.0
_RETRY_S = 3.0


class Backends:
    """Opens one connection per request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = settings.runtime_path

    @property
    def models(self) -> tuple[str, ...]:
        """Names a request may use."""
        return (self._settings.default_model,)

    def engine_name(self) -> str:
        """The engine's name as a metric label; `auto` is what it stands for on every machine today."""
        return "mlx" if self._settings.inference_engine == "auto" else self._settings.inference_engine

    def open_chat(self, request: GenerateRequest) -> Stream:
        """Send a request to its model's engine.

        Raises:
            ModelNotFound: naming the models there are.
            BackendUnavailable: when the engine is not there.
        """
        if request.model not in self.models:
            available = ", ".join(self.models)
            raise ModelNotFound(
                f"The model {request.model!r} is not served here. Available: {available}.", param="model"
            )
        return _open(runtime.engine_socket(self._directory, request.model), request, "The engine is not running")

    def ask_engine(self, model: str, message: TokenizeRequest | DetokenizeRequest) -> Tokenized | Detokenized:
        """One question to a model's engine that computes nothing.

        Raises:
            ModelNotFound: naming the models there are.
            BackendUnavailable: when the engine is not there.
        """
        if model not in self.models:
            raise ModelNotFound(f"No such model. Available: {', '.join(self.models)}.", param="model")
        missing = BackendUnavailable("The engine is not running at the moment.", retry_after_s=_RETRY_S)
        try:
            answer = client.ask(runtime.engine_socket(self._directory, model), message, _QUESTION_S)
        except (client.ConnectError, client.Disconnected, client.WaitTimeout):
            raise missing from None
        if isinstance(answer, Failed):
            raise from_code(answer.code, answer.message, param=answer.param, retry_after_s=answer.retry_after_s)
        if not isinstance(answer, Tokenized | Detokenized):
            raise missing
        return answer

    def open_ocr(self, request: OcrRequest) -> Stream:
        """Send a page to the broker; raises as `open_chat`."""
        if self._settings.ocr_workers == 0:
            raise BackendUnavailable("OCR is turned off (OCR_WORKERS=0).")
        return _open(runtime.ocr_socket(self._directory), request, "OCR is not running")

    def status(self) -> SystemStatus | None:
        """The supervisor's table; None when it does not answer."""
        try:
            answer = client.ask(runtime.control_socket(self._directory), StatusRequest(), _STATUS_S)
        except (client.ConnectError, client.Disconnected, client.WaitTimeout):
            return None
        return answer if isinstance(answer, SystemStatus) else None

    def readings(self) -> Readings:
        """The table as metrics."""
        status = self.status()
        if status is None:
            return Readings(models=tuple(ModelReading(name, self.engine_name(), up=False) for name in self.models))
        model = _model_reading(self._settings.default_model, self.engine_name(), status.child("engine"))
        restarts = {(c.name, reason): n for c in status.children for reason, n in c.restarts.items()}
        memory = {c.name: c.health.memory.rss_bytes for c in status.children if c.health is not None}
        return Readings((model,), restarts, memory, _ocr(status))


def _open(path: Path, request: AnyMessage, missing: str) -> Stream:
    try:
        stream = client.connect(path, _CONNECT_S)
    except client.ConnectError:
        raise BackendUnavailable(f"{missing} at the moment; it is (re)started.", retry_after_s=_RETRY_S) from None
    try:
        stream.send(request, _SEND_S)
    except client.Disconnected:
        stream.close()
        raise BackendUnavailable(f"{missing} any more; it is restarted.", retry_after_s=_RETRY_S) from None
    return stream


def _model_reading(name: str, engine: str, child: ChildStatus | None) -> ModelReading:
    """Under the same labels whether it is up or down: a dead engine's gauges go to 0, they do not vanish."""
    health = child.health if child is not None else None
    if child is None or health is None or child.state != "ready":
        return ModelReading(name, engine, up=False)
    memory, load = health.memory, health.load
    kinds = {
        "active": memory.mlx_active_bytes,
        "cache": memory.mlx_cache_bytes,
        "peak": memory.mlx_peak_bytes,
        "limit": memory.mlx_limit_bytes,
    }
    return ModelReading(
        name,
        engine,
        up=True,
        running=load.running if load else 0,
        waiting=load.waiting if load else 0,
        memory_bytes={kind: value for kind, value in kinds.items() if value is not None},
    )


def _ocr(status: SystemStatus) -> dict[str, int]:
    child = status.child("ocr")
    load = child.health.ocr if child is not None and child.health is not None else None
    if load is None:
        return {}
    return {
        "workers": load.workers,
        "workers_busy": load.busy,
        "queue_depth": load.waiting,
        "model_loads": load.model_loads,
        "worker_restarts": load.worker_restarts,
    }
