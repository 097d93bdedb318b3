"""Traces of requests, as the rest of the web process sees them. OpenTelemetry itself is imported by `otlp.py`, and only
where OTEL_EXPORTER_OTLP_ENDPOINT names a collector (docs/adr/0025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

from loguru import logger

from src.api.generation.recorder import Recorder
from src.effective_settings import masked
from src.errors import ServiceError
from src.installation import OTEL_COMMAND
from src.ipc.messages.chat import Delta, EmbedRequest, Finished, GenerateRequest
from src.ipc.messages.wire import AnyMessage
from src.settings import WebSettings

TRACE_KEY = "stoker.trace"

E_contra = TypeVar("E_contra", bound=AnyMessage, contravariant=True)


class GenerationTrace(Protocol):
    """One request at an engine. `traceparent` is what an upstream server is told; empty if there is none."""

    @property
    def traceparent(self) -> str: ...

    def connected(self) -> None:
        """It is in an engine, for the first time or again."""

    def detached(self) -> None:
        """That engine is gone; it waits for the next."""

    def first_token(self) -> None: ...

    def ended(self, outcome: str, finished: Finished | None = None) -> None:
        """The one end: a finish reason, an error's code, or `abort`."""


class RequestTrace(Protocol):
    """One HTTP request."""

    def generation(self, asked: GenerateRequest | EmbedRequest, engine: str) -> GenerationTrace: ...

    def ended(self, method: str, route: str, status: int) -> None: ...


class Tracing(Protocol):
    """Where traces go."""

    def request(self, environ: Mapping[str, Any], /) -> RequestTrace | None: ...

    def close(self) -> None:
        """Send what is left. May take as long as the collector does."""


class Off:
    """No collector: nothing is recorded."""

    def request(self, _: Mapping[str, Any], /) -> None:
        return None

    def close(self) -> None: ...


def connect(settings: WebSettings) -> Tracing:
    """To the collector of the settings. Without OpenTelemetry's packages the service serves, and says so."""
    endpoint = settings.otel_exporter_otlp_endpoint
    if not endpoint:
        return Off()
    try:  # optional, and imported only where it is used
        otlp = import_module("src.api.tracing.otlp")
    except ImportError as error:
        shown = masked("otel_exporter_otlp_endpoint", endpoint)
        logger.error("no traces are sent to {}: {} is not installed. Run: {}", shown, error.name, OTEL_COMMAND)
        return Off()
    tracing: Tracing = otlp.OtlpTracing.over_http(endpoint)
    return tracing


def of(environ: Mapping[str, Any], asked: GenerateRequest | EmbedRequest, engine: str) -> GenerationTrace | None:
    """The trace of a request at an engine; None where nothing is traced."""
    request: RequestTrace | None = environ.get(TRACE_KEY)
    return request.generation(asked, engine) if request is not None else None


class TracedRecorder(Generic[E_contra]):
    """A request's recorder that tells its trace the same."""

    def __init__(self, recorder: Recorder[E_contra], trace: GenerationTrace) -> None:
        self._recorder, self._trace = recorder, trace
        self._begun = False

    def events(self, events: Sequence[E_contra]) -> None:
        if not self._begun and any(isinstance(event, Delta) and event.count for event in events):
            self._begun = True
            self._trace.first_token()
        self._recorder.events(events)
        if events and isinstance(last := events[-1], Finished):
            self._trace.ended(last.reason, last)

    def failed(self, error: ServiceError) -> None:
        self._recorder.failed(error)
        self._trace.ended(error.code)

    def left(self) -> None:
        self._recorder.left()
        self._trace.ended("abort")
