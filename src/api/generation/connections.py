"""The web process's way to the other processes: connections to engine and broker, and the supervisor's table.

Serving needs no supervisor: sockets have known places. Only status questions go to its control socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from src import catalog, encoders, selection
from src.api.generation.model_lease import ModelLease
from src.api.generation.readings import readings
from src.api.generation.resume import LeasePending, Resumable, ResumableStream, StreamWatcher, TerminalErrors
from src.api.generation.suspects import Suspects
from src.catalog import CatalogEntry
from src.effective_settings import EffectiveSetting
from src.errors import (
    BackendUnavailable,
    EngineCrashed,
    InvalidRequest,
    ModelNotFound,
    OcrCrashed,
    ServiceError,
    UnsupportedValue,
)
from src.ipc import client, runtime
from src.ipc.client import Stream
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import DetokenizeRequest, EmbedRequest, GenerateRequest, ScoreRequest, TokenizeRequest
from src.ipc.messages.control import (
    AcquireModel,
    MoveModel,
    PauseBackground,
    SetIdleTimeout,
    SettingsRequest,
    SettingsTable,
    StatusRequest,
)
from src.ipc.messages.ocr import OcrDocument, OcrJobRequest, OcrRequest
from src.ipc.messages.status import ModelInfo, SystemStatus
from src.metrics import UNKNOWN, ModelReading, Readings
from src.settings import Settings

_CONNECT_S = 2.0
_SEND_S = 30.0
_STATUS_S = 2.0
_SCAN_S = 1.0
_RETRY_S = 3.0
_FAILED_RETRY_S = 30.0


class Backends:
    """Opens one stream per request. `on_resume` is told of each request that went on in a fresh process."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._entries: dict[str, CatalogEntry] = {}
        self._engines: dict[str, str] = {}
        self._scanned_at = self._told_at = float("-inf")
        self._loaded: dict[str, ModelInfo] = {}
        self._directory = settings.runtime_path
        self._suspects: dict[str, Suspects] = {}  # by back end
        self.on_resume: Callable[[str], None] = lambda _: None

    @property
    def models(self) -> tuple[str, ...]:
        """Names a request may use."""
        return tuple(self.catalog())

    def catalog(self) -> dict[str, CatalogEntry]:
        """The models there are, looked for once a second at most."""
        if self._clock() - self._scanned_at >= _SCAN_S:
            self._entries, self._scanned_at = catalog.entries(self._settings), self._clock()
            self._engines = {}
        return self._entries

    def check_model(self, name: str) -> CatalogEntry:
        """The catalogue's entry, also of an alias. Asked first: until then a name is a client's text.

        Raises:
            InvalidRequest: it can be no model's name.
            ModelNotFound: naming the models there are.
        """
        known = self.catalog()
        if (entry := known.get(catalog.resolve(name, known, self._settings.model_aliases))) is not None:
            return entry
        if not catalog.is_name(name):
            text = f"Invalid value for 'model': at most {catalog.MAX_NAME} characters, and none that cannot be printed."
            raise InvalidRequest(text, param="model")
        available = ", ".join(self.models)
        raise ModelNotFound(f"The model {name!r} is not served here. Available: {available}.", param="model")

    def engine_name(self, model: str) -> str:
        """The name of a model's engine; `unknown` for a name that is not in the catalogue."""
        return self._engine_of(model) if model in self.catalog() else UNKNOWN

    def reads_images(self, entry: CatalogEntry) -> bool | None:
        """By what its upstream server says, once that runs, or its files; None: nobody tells."""
        engine, setting = self.engine_name(entry.name), self._settings.upstream_vision
        if engine not in ("vllm", "llama.cpp"):
            return entry.reads_images
        if setting != "auto":
            return setting == "true"
        model = self._loaded_model(entry.name)
        if engine == "llama.cpp" or (model is not None and model.reads_images is not None):
            return model.reads_images if model is not None else None
        return entry.reads_images or (None if self._settings.upstream_url else entry.reads_images)

    def is_shown_pages(self, entry: CatalogEntry) -> bool:
        """Whether a PDF's pages are pictures for this model."""
        return self.engine_name(entry.name) != "fake" and self.reads_images(entry) is True

    def labels(self, model: str) -> tuple[str, str]:
        """A model's name and engine as metric labels, which are kept for good: never a text that a client made up."""
        return (model, self._engine_of(model)) if model in self.catalog() else (UNKNOWN, UNKNOWN)

    def _engine_of(self, model: str) -> str:
        """Of a model of the catalogue or of the supervisor's table: it is looked for on the disk."""
        if model not in self._engines:
            self._engines[model] = selection.select(model, self._settings).engine
        return self._engines[model]

    def revision(self, model: str) -> str | None:
        """What the model's engine says that it has loaded, asked for once a second at most; None: no engine tells."""
        loaded = self._loaded_model(model)
        return loaded.revision or None if loaded is not None else None

    def _loaded_model(self, name: str) -> ModelInfo | None:
        if self._clock() - self._told_at >= _SCAN_S:
            self._loaded, self._told_at = _loaded(self.status()), self._clock()
        return self._loaded.get(name)

    def open_chat(
        self, request: GenerateRequest | EmbedRequest, watcher: StreamWatcher | None = None
    ) -> ResumableStream:
        """A request for its model's engine; it connects when it is read, and again when the engine dies.

        Raises:
            ModelNotFound: naming the models there are.
            UnsupportedValue: the model was made for something else.
        """
        _check_kind(self.check_model(request.model), request)
        route = self._engine(request.model, AcquireModel(request.model, background=request.priority == "background"))
        return self._resumable(request, route, EngineCrashed, watcher)

    def open_question(self, model: str, question: TokenizeRequest | DetokenizeRequest) -> ResumableStream:
        """What an engine computes nothing for; the model is loaded for it.

        It is one of the model's suspects: a text may kill a tokenizer, too.

        Raises:
            ModelNotFound: naming the models there are.
        """
        self.check_model(model)
        return self._resumable(question, self._engine(model, AcquireModel(model)), EngineCrashed)

    def load(self, model: str, check_connected: Callable[[], None], *, retry: bool) -> None:
        """Have a model brought to the device; returns when it is there.

        `retry` is an admin's: also when that failed a moment ago, past the circuit breaker. Without it this is a lease
        like every request's, refused with the model's failure. `check_connected` is called while it waits, and may
        raise what ends the wait.

        Raises:
            ServiceError: why it is not.
        """
        self.check_model(model)
        lease = ModelLease(runtime.control_socket(self._directory), AcquireModel(model, retry=retry))
        try:
            lease.wait(self._settings.queue_timeout + self._settings.start_timeout, check_connected)
            if not lease.granted:
                raise BackendUnavailable("The supervisor does not answer.", retry_after_s=_RETRY_S)
            if (failure := self.failure_of(f"engine:{model}")) is not None:
                raise failure
        finally:
            lease.close()

    def order(self, message: MoveModel | SetIdleTimeout | PauseBackground) -> None:
        """Something the supervisor decides on.

        Raises:
            ServiceError: it does not, or does not answer.
        """
        try:
            answer = client.ask(runtime.control_socket(self._directory), message, _STATUS_S)
        except client.Unanswered:
            raise BackendUnavailable("The supervisor does not answer.", retry_after_s=_RETRY_S) from None
        if isinstance(answer, Failed):
            raise answer.error()

    def _engine(self, model: str, wish: AcquireModel) -> _BackendConnector:
        lease = ModelLease(runtime.control_socket(self._directory), wish)
        return _BackendConnector(self, f"engine:{model}", runtime.engine_socket(self._directory, model), lease)

    def open_ocr(self, request: OcrRequest | OcrDocument | OcrJobRequest) -> ResumableStream | Stream:
        """A page, a document or a question for the broker.

        What is answered on this connection is put again when the broker dies; a job is the broker's own to keep.

        Raises:
            BackendUnavailable: when OCR is turned off, or not there to be asked about a job.
        """
        if self._settings.ocr_workers == 0:
            raise BackendUnavailable("OCR is turned off (OCR_WORKERS=0).")
        path = runtime.ocr_socket(self._directory)
        if isinstance(request, OcrJobRequest) or (isinstance(request, OcrDocument) and request.as_job != "never"):
            return _BackendConnector(self, "ocr", path).open(request)
        quiet = request.priority == "background"
        lease = (
            ModelLease(runtime.control_socket(self._directory), AcquireModel(None, background=True)) if quiet else None
        )
        route = _BackendConnector(self, "ocr", path, lease)
        return self._resumable(request, route, OcrCrashed)

    def _resumable(
        self,
        request: Resumable,
        route: _BackendConnector,
        crash: type[ServiceError],
        watcher: StreamWatcher | None = None,
    ) -> ResumableStream:
        suspects = self._suspects.setdefault(route.child, Suspects(self._settings.resume_progress_tokens))
        kind = "chat" if isinstance(request, GenerateRequest | EmbedRequest) else "ocr"
        return ResumableStream(
            request,
            route,
            suspects,
            max_wait_s=self._settings.resume_max_wait,
            errors=_terminal_errors(route.child.partition(":")[0], crash),
            on_resume=lambda: self.on_resume(kind),
            watcher=watcher,
        )

    def status(self) -> SystemStatus | None:
        """The supervisor's table; None when it does not answer."""
        try:
            answer = client.ask(runtime.control_socket(self._directory), StatusRequest(), _STATUS_S)
        except client.Unanswered:
            return None
        return answer if isinstance(answer, SystemStatus) else None

    def settings(self) -> tuple[EffectiveSetting, ...]:
        """What the service runs with.

        Raises:
            BackendUnavailable: the supervisor does not answer.
        """
        with suppress(client.Unanswered):
            answer = client.ask(runtime.control_socket(self._directory), SettingsRequest(), _STATUS_S)
            if isinstance(answer, SettingsTable):
                return answer.settings
        raise BackendUnavailable("The supervisor does not answer.", retry_after_s=_RETRY_S)

    def failure_of(self, child: str) -> BackendUnavailable | None:
        """Why a back end will not come back by itself; None while it may."""
        status = self.status()
        row = status.child(child) if status is not None else None
        if row is None or row.state != "failed":
            return None
        return BackendUnavailable(f"{child} has failed: {row.detail}", retry_after_s=_FAILED_RETRY_S)

    def readings(self) -> Readings:
        """The table as metrics."""
        status = self.status()
        if status is None:
            down = tuple(ModelReading(name, self._engine_of(name), up=False, state="unknown") for name in self.models)
            return Readings(down)
        return readings(status, self._engine_of)


def _check_kind(entry: CatalogEntry, request: GenerateRequest | EmbedRequest) -> None:
    """Before a model is loaded for what it cannot do."""
    if "rerank" in entry.capabilities and not _is_pair(request):
        makes = isinstance(request, EmbedRequest) and not isinstance(request, ScoreRequest)
        raise UnsupportedValue(encoders.NO_VECTORS if makes else encoders.NO_CHAT["rerank"], param="model")
    if "embeddings" in entry.capabilities and isinstance(request, GenerateRequest | ScoreRequest):
        raise UnsupportedValue(encoders.NO_CHAT["embedding"], param="model")


def _is_pair(request: GenerateRequest | EmbedRequest) -> bool:
    return isinstance(request, EmbedRequest) and request.reading.query is not None


def _loaded(status: SystemStatus | None) -> dict[str, ModelInfo]:
    """What the engines that are ready say of their models, by model."""
    ready = [child for child in status.children if child.state == "ready"] if status is not None else []
    loaded = [child.health.model for child in ready if child.health is not None and child.health.model is not None]
    return {model.name: model for model in loaded}


def _terminal_errors(child: str, crash: type[ServiceError]) -> TerminalErrors:
    return TerminalErrors(
        unavailable=BackendUnavailable(f"{child} is not running; it is (re)started.", retry_after_s=_RETRY_S),
        not_recovered=crash(f"{child} died under this request and did not come back in time.", retry_after_s=_RETRY_S),
        not_resumable=crash(
            f"{child} died while it answered, and its answers cannot be resumed. Send the request again.",
            retry_after_s=_RETRY_S,
        ),
        poisonous=crash(f"{child} died twice with this request alone in it. Do not send it again."),
        replaced=crash(
            f"{child} ended in the middle of this answer, and its model's files were replaced meanwhile: the rest would"
            " be another model's. Send the request again.",
            retry_after_s=_RETRY_S,
        ),
    )


class _BackendConnector:
    """One request's way to a back end: its socket, its row in the supervisor's table, and the lease it needs there."""

    def __init__(self, backends: Backends, child: str, path: Path, lease: ModelLease | None = None) -> None:
        self._backends = backends
        self.child = child
        self._path = path
        self._lease = lease

    def open(self, request: OcrDocument | OcrJobRequest) -> Stream:
        """Connect once; raises BackendUnavailable."""
        try:
            return self.connect(request)
        except client.ConnectError:
            raise BackendUnavailable(
                f"{self.child} is not running; it is (re)started.", retry_after_s=_RETRY_S
            ) from None

    def connect(self, request: Resumable | OcrJobRequest) -> Stream:
        if self._lease is not None and not self._lease.acquire():
            raise LeasePending
        return self._connect(request)

    def close(self) -> None:
        if self._lease is not None:
            self._lease.close()

    def _connect(self, request: Resumable | OcrJobRequest) -> Stream:
        stream = client.connect(self._path, _CONNECT_S)
        try:
            stream.send(request, _SEND_S)
        except client.Disconnected:
            stream.close()
            raise client.ConnectError(f"{self._path.name} went away") from None
        return stream

    def hopeless(self) -> ServiceError | None:
        return self._backends.failure_of(self.child)
