"""The line of a request in the access log: what its work came to, against what the client was told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from loguru import logger

from tests.contract.conftest import Service, StartService, broker_of
from tests.contract.test_ocr_route import DOCUMENTS, PNG, Broker

WORK = ("model", "outcome", "prompt_tokens", "cached_tokens", "completion_tokens", "pages", "resumed")


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []

    def take(message: Any) -> None:
        if message.record["extra"].get("stream") == "api":
            found.append({name: value for name, value in message.record["extra"].items() if value is not None})

    sink = logger.add(take, level="DEBUG")
    yield found
    logger.remove(sink)


def work(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in WORK if name in line}


def test_a_chat_has_its_tokens_and_times(service: Service, lines: list[dict[str, Any]]) -> None:
    """Whole, streamed, of two prompts, cut; a request without work has none of it."""
    usage = service.chat("hello", max_tokens=20).json()["usage"]
    service.stream("hello", max_tokens=3)
    both = service.http.post("/v1/completions", json={"prompt": ["one", "two"]}).json()["usage"]
    service.http.get("/v1/models")
    service.chat("hello", temperature=-1)
    whole, streamed, twice, models, refused = lines
    common = {"model": "demo", "cached_tokens": 0}
    assert work(whole) == common | {
        "outcome": "stop",
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"],
    }
    assert work(streamed) == common | {
        "outcome": "length",
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": 3,
    }
    assert (twice["prompt_tokens"], twice["completion_tokens"]) == (both["prompt_tokens"], both["completion_tokens"])
    assert all(0 <= line["queue_ms"] <= line["ms"] and 0 <= line["ttft_ms"] <= line["ms"] for line in (whole, streamed))
    assert (work(models), work(refused), refused["status"]) == ({}, {}, 400)


def test_a_client_that_leaves_is_an_abort(service: Service, lines: list[dict[str, Any]]) -> None:
    body = {"messages": [{"role": "user", "content": "fake:count=500 fake:delay=0.005"}], "stream": True}
    with service.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
    (line,) = lines
    assert (line["outcome"], line["status"]) == ("abort", 200)


def test_a_resumed_answer_says_how_often(service: Service, lines: list[dict[str, Any]]) -> None:
    """Its engine dies in the middle, and another goes on."""
    assert service.engine is not None
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(service.chat, "fake:count=60 fake:delay=0.005", max_tokens=60)
        assert service.engine.becomes_busy()
        service.engine.stop()
        service.start_engine()
        assert answer.result(20).json()["usage"]["completion_tokens"] == 60
    (line,) = lines
    assert work(line).items() >= {"resumed": 1, "completion_tokens": 60, "outcome": "length"}.items()


def test_pages_are_counted(start_service: StartService, lines: list[dict[str, Any]]) -> None:
    service = start_service(engine=False)
    with broker_of(service, Broker()):
        for name, data in (("a.png", PNG), ("b.pdf", DOCUMENTS["pdf"])):
            assert service.http.post("/v1/ocr", files={"file": (name, data)}).status_code == 200
    assert [work(line) for line in lines] == [{"model": "ocr", "outcome": "ok", "pages": pages} for pages in (1, 2)]
