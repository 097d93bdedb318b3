"""Traces of the running service at a collector on loopback: under gevent, over a crash, at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.collector import Collector, TakenSpan, collector
from tests.running import Running, service

pytestmark = pytest.mark.e2e

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collected() -> Iterator[Collector]:
    with collector() as taken:
        yield taken


@pytest.fixture(scope="module")
def running(collected: Collector) -> Iterator[Running]:
    with service(
        inference_engine="fake", ocr_workers=0, heartbeat_interval=0.2, otel_exporter_otlp_endpoint=collected.url
    ) as running:
        yield running


def ask(running: Running, content: str, trace: str, *, stream: bool = True) -> str:
    body = {"messages": [{"role": "user", "content": content}], "stream": stream, "max_tokens": 50, "temperature": 0.5}
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=headers, timeout=60).text


def of(collected: Collector, trace: str) -> dict[str, TakenSpan]:
    """The spans of one trace by name, once its outermost has come."""
    spans = collected.wait(lambda spans: any(span.trace == trace and span.parent == CALLER for span in spans))
    return {span.name: span for span in spans if span.trace == trace}


def test_a_request_is_a_span_with_its_phases(running: Running, collected: Collector) -> None:
    """In the caller's trace; children lie within their parents; the conventions' names, and nothing that was said."""
    ask(running, "MY-SECRET fake:prefill=0.2 fake:delay=0.01 fake:count=20", TRACE)
    spans = of(collected, TRACE)
    root, chat = spans["POST /v1/chat/completions"], spans["chat demo"]
    assert set(spans) == {root.name, chat.name, "lease", "queue", "prefill", "first_token", "decode"}
    assert chat.parent == root.id
    assert {span.parent for name, span in spans.items() if span not in (root, chat)} == {chat.id}
    assert all(chat.began <= span.began <= span.ended <= chat.ended for span in spans.values() if span is not root)
    assert spans["prefill"].ended - spans["prefill"].began >= 0.2
    assert root.attributes["http.response.status_code"] == 200
    told = chat.attributes
    assert (told["gen_ai.operation.name"], told["gen_ai.request.model"], told["stoker.engine"]) == (
        "chat",
        "demo",
        "fake",
    )
    assert (told["gen_ai.request.max_tokens"], told["gen_ai.request.temperature"]) == (50, 0.5)
    assert (told["gen_ai.usage.output_tokens"], told["gen_ai.response.finish_reasons"]) == (21, ["stop"])
    assert told["gen_ai.response.time_to_first_chunk"] == pytest.approx(
        spans["first_token"].ended - spans["first_token"].began, abs=0.001
    )
    assert not root.failed
    assert not chat.failed
    assert "MY-SECRET" not in repr(collected.spans)
    assert collected.services == {"stoker"}


def test_a_crash_is_a_resume_in_the_same_span(running: Running, collected: Collector) -> None:
    trace = "1" * 32
    with httpx.stream(
        "POST",
        f"{running.url}/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "fake:delay=0.05 fake:count=30"}], "stream": True},
        headers={"traceparent": f"00-{trace}-{CALLER}-01"},
        timeout=60,
    ) as answer:
        lines = answer.iter_lines()
        while '"content":"a"' not in next(lines):
            continue
        os.kill(running.pid("engine"), signal.SIGKILL)
        rest = "".join(lines)
    assert "[DONE]" in rest
    spans = of(collected, trace)
    assert spans["chat demo"].attributes["stoker.resumed"] >= 1  # the dying engine may still take a connection
    assert spans["decode"].began < spans["resume"].began < spans["resume"].ended < spans["decode"].ended


def test_a_refusal_and_a_probe(running: Running, collected: Collector) -> None:
    """What no engine sees is one span; probes, every second, are none."""
    trace = "2" * 32
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    httpx.get(f"{running.url}/readyz", headers=headers)
    refused = httpx.post(f"{running.url}/v1/chat/completions", json={"messages": []}, headers=headers)
    spans = of(collected, trace)
    assert refused.status_code == 400
    assert [span.attributes["http.response.status_code"] for span in spans.values()] == [400]


def test_what_is_left_is_sent_when_the_service_stops(running: Running, collected: Collector) -> None:
    """Spans wait a second for others to be sent with; a stop does not lose them."""
    trace = "3" * 32
    ask(running, "hello", trace, stream=False)
    running.stop()
    assert "chat demo" in {span.name for span in collected.spans if span.trace == trace}
