"""What a trace is told of a request, what its span says in the end, and what happens without a collector."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from src.api.generation.recorder import Uncounted
from src.api.tracing import attributes, traces
from src.api.tracing.otlp import OtlpTracing
from src.api.tracing.traces import TRACE_KEY, Off, TracedRecorder
from src.errors import EngineCrashed
from src.ipc.messages.chat import EmbedRequest, RawPrompt, Sampling
from src.settings import SettingsError, WebSettings, load
from tests.unit.api.fakes import REQUEST, FakeClock, delta, finished


class Case:
    """A traced request, its clock, and the spans that were written."""

    def __init__(self) -> None:
        self.clock, self.written = FakeClock(), InMemorySpanExporter()
        self.tracing = OtlpTracing(SimpleSpanProcessor(self.written), self.clock)
        self.http = self.tracing.request({})
        trace = traces.of({TRACE_KEY: self.http}, REQUEST, "fake")
        assert trace is not None
        self.trace = trace
        self.record = TracedRecorder(Uncounted(), trace)

    def span(self, name: str) -> ReadableSpan:
        return {span.name: span for span in self.written.get_finished_spans()}[name]

    def names(self) -> list[str]:
        return [span.name for span in self.written.get_finished_spans()]


def told(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_an_answer() -> None:
    """Nothing is written before its end, however long it streams."""
    case = Case()
    case.trace.connected()
    case.clock.now += 2
    case.record.events([delta(1)])
    case.record.events([delta(2)])
    assert case.names() == []
    case.clock.now += 3
    case.record.events([finished("length", prompt=5, completion=2)])
    assert case.names() == ["lease", "queue", "prefill", "first_token", "decode", "chat demo"]
    said = told(case.span("chat demo"))
    assert said["gen_ai.response.finish_reasons"] == ("length",)
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (5, 2)
    first = case.span("first_token")
    assert ((first.end_time or 0) - (first.start_time or 0)) / 1e9 == pytest.approx(2)


def test_a_failure_and_a_client_that_left() -> None:
    """The error's code is its type; leaving is no error."""
    failed, left = Case(), Case()
    failed.record.failed(EngineCrashed("The engine died."))
    left.record.left()
    assert told(failed.span("chat demo"))["error.type"] == "engine_crashed"
    assert not failed.span("chat demo").status.is_ok
    assert told(left.span("chat demo"))["stoker.outcome"] == "abort"
    assert left.span("chat demo").status.is_unset


@pytest.mark.parametrize(("status", "is_error"), [(200, False), (404, False), (503, True)])
def test_a_servers_span_fails_by_the_servers_fault(status: int, *, is_error: bool) -> None:
    case = Case()
    case.http.ended("GET", "/v1/models", status)
    span = case.span("GET /v1/models")
    assert told(span)["http.response.status_code"] == status
    assert (not span.status.is_ok and not span.status.is_unset) == is_error


def test_what_was_left_to_the_model_is_left_out() -> None:
    """A seed that the server drew is no client's wish."""
    said = attributes.of_request(REQUEST, "mlx")
    assert said.keys() & {"gen_ai.request.temperature", "gen_ai.request.seed", "gen_ai.request.choice.count"} == set()
    sampling = Sampling(seed=7, seeded=True, top_k=3)
    chosen = attributes.of_request(type(REQUEST)("r", "demo", (), sampling, raw_prompt=RawPrompt("x")), "mlx")
    assert (chosen["gen_ai.request.seed"], chosen["gen_ai.request.top_k"]) == (7, 3)
    assert chosen["gen_ai.operation.name"] == "text_completion"
    assert attributes.operation(EmbedRequest("r", "demo", ())) == "embeddings"


def test_without_the_packages_the_service_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "src.api.tracing.otlp", None)
    assert isinstance(traces.connect(WebSettings(otel_exporter_otlp_endpoint="http://127.0.0.1:1")), Off)
    assert isinstance(traces.connect(WebSettings()), Off)


def test_an_endpoint_is_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317")
    with pytest.raises(SettingsError, match="begins with http"):
        load()
