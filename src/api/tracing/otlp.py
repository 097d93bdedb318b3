"""Traces through OpenTelemetry's SDK to a collector, by OTLP over HTTP. Nothing else imports the SDK. Web process.

A span is written when its request has ended, with the times that were seen: a stream pays nothing for each token. The
SDK's thread that sends them is a greenlet here, as gevent has replaced threads and sockets before this is imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from src.api.tracing import attributes
from src.api.tracing.phases import Moments, phases
from src.ipc.messages.chat import EmbedRequest, Finished, GenerateRequest
from src.settings import VERSION

# a batch is encoded in one go, while streams wait: 64 spans are some milliseconds, the SDK's default of 512 are not
_BATCH = 64
_QUEUE = 2048
_DELAY_MS = 1000.0
_EXPORT_S = 10.0
_CARRIED = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE"}
_PROPAGATOR = TraceContextTextMapPropagator()
_PLANNED = frozenset({"stop", "length", "tool_calls", "abort"})  # outcomes that are no errors


class OtlpTracing:
    """Where spans go. Other settings are OpenTelemetry's standard variables (sampler, headers, resource)."""

    def __init__(self, processor: SpanProcessor, clock: Callable[[], float] = time.monotonic) -> None:
        own = Resource({"service.name": "stoker", "service.version": VERSION})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("stoker", VERSION)
        self._clock = clock

    @classmethod
    def over_http(cls, endpoint: str) -> OtlpTracing:
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_S)
        return cls(
            BatchSpanProcessor(
                exporter, max_queue_size=_QUEUE, schedule_delay_millis=_DELAY_MS, max_export_batch_size=_BATCH
            )
        )

    def request(self, environ: Mapping[str, Any]) -> HttpSpan:
        """Goes on with the caller's trace, if it sent one."""
        return HttpSpan(self._tracer, environ, self._clock)

    def close(self) -> None:
        self._provider.shutdown()


class HttpSpan:
    """A `RequestTrace`."""

    def __init__(self, tracer: Tracer, environ: Mapping[str, Any], clock: Callable[[], float]) -> None:
        carried = {name: environ[key] for name, key in _CARRIED.items() if key in environ}
        self._tracer, self._clock = tracer, clock
        self._span = tracer.start_span("HTTP", _PROPAGATOR.extract(carried), SpanKind.SERVER)

    def generation(self, asked: GenerateRequest | EmbedRequest, engine: str) -> GenerationSpan:
        return GenerationSpan(self._tracer, self._span, asked, engine, self._clock)

    def ended(self, method: str, route: str, status: int) -> None:
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(attributes.of_http(method, route, status))
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class GenerationSpan:
    """A `GenerationTrace`."""

    def __init__(
        self,
        tracer: Tracer,
        parent: Span,
        asked: GenerateRequest | EmbedRequest,
        engine: str,
        clock: Callable[[], float],
    ) -> None:
        self._tracer, self._asked, self._clock = tracer, asked, clock
        self._moments = Moments(clock())
        self._epoch_ns = time.time_ns() - int(self._moments.began * 1e9)  # of the clock's zero
        self._span = tracer.start_span(
            f"{attributes.operation(asked)} {asked.model}",
            trace.set_span_in_context(parent),
            SpanKind.CLIENT,
            attributes.of_request(asked, engine),
            start_time=self._at(self._moments.began),
        )

    @property
    def traceparent(self) -> str:
        carried: dict[str, str] = {}
        _PROPAGATOR.inject(carried, trace.set_span_in_context(self._span))
        return carried.get("traceparent", "")

    def connected(self) -> None:
        self._moments.connected.append(self._clock())

    def detached(self) -> None:
        self._moments.detached.append(self._clock())

    def first_token(self) -> None:
        self._moments.first_token = self._clock()

    def ended(self, outcome: str, finished: Finished | None = None) -> None:
        now = self._clock()
        self._write_phases(now, finished)
        if finished is not None:
            self._span.set_attributes(attributes.of_answer(self._asked, finished))
        first = self._moments.first_token
        if first is not None and isinstance(self._asked, GenerateRequest) and self._asked.stream:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", first - self._moments.began)
        self._span.set_attributes({"stoker.outcome": outcome, "stoker.resumed": len(self._moments.connected[1:])})
        if outcome not in _PLANNED:
            self._span.set_attribute("error.type", outcome)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(self._at(now))

    def _write_phases(self, now: float, finished: Finished | None) -> None:
        context = trace.set_span_in_context(self._span)
        for phase in phases(self._moments, now, finished.timings if finished is not None else None):
            child = self._tracer.start_span(phase.name, context, start_time=self._at(phase.began))
            child.end(self._at(phase.ended))

    def _at(self, moment: float) -> int:
        return self._epoch_ns + int(moment * 1e9)
