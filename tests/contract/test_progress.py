"""How much of a prompt is computed, in streams that ask for it, on every wire that can say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.conftest import Service, StartService, text_of

PROMPT = "fake:prefill=0.03 " + "x" * 100
STEP = 40


@pytest.fixture
def service(start_service: StartService) -> Service:
    """Its prompts take several steps."""
    return start_service(prefill_step_size=STEP)


def told(events: list[Any]) -> list[dict[str, int]]:
    return [event["prompt_progress"] for event in events if isinstance(event, dict) and "prompt_progress" in event]


@pytest.mark.parametrize("asked", [{"return_progress": True}, {"stream_options": {"include_progress": True}}])
def test_chat(asked: dict[str, Any], service: Service) -> None:
    """As llama.cpp's server says it: after each chunk, and at the end. The text is as without."""
    stream = service.stream(PROMPT, **asked)
    steps = told(stream)
    assert [step["processed"] for step in steps] == sorted({step["processed"] for step in steps})
    assert steps[0]["processed"] < steps[-1]["processed"] == steps[-1]["total"] >= len(PROMPT)
    assert {tuple(step) for step in steps} == {("total", "cache", "processed", "time_ms")}
    assert text_of(stream) == PROMPT
    said = next(event for event in stream if "prompt_progress" in event)
    assert said["choices"] == [{"index": 0, "delta": {}, "finish_reason": None, "logprobs": None}]
    assert told(service.stream(PROMPT)) == []


def test_choices_share_one_progress(service: Service) -> None:
    steps = [step["processed"] for step in told(service.stream(PROMPT, n=3, return_progress=True))]
    assert steps == sorted(set(steps))


def test_a_whole_answer_has_none(service: Service) -> None:
    """As with llama.cpp, it is a matter of streams."""
    reply = service.chat(PROMPT, return_progress=True)
    assert reply.status_code == 200
    assert "prompt_progress" not in reply.text
    assert "X-Ignored-Fields" not in reply.headers


def stream(service: Service, path: str, **body: Any) -> list[Any]:
    reply = service.http.post(path, json={"stream": True, **body})
    assert reply.status_code == 200, reply.text
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]


def test_completions(service: Service) -> None:
    for asked in ({"return_progress": True}, {"stream_options": {"include_progress": True}}):
        events = stream(service, "/v1/completions", prompt=PROMPT, **asked)
        assert told(events)[-1]["processed"] == len(PROMPT)
    assert told(stream(service, "/v1/completions", prompt=PROMPT)) == []


def test_responses(service: Service) -> None:
    events = stream(service, "/v1/responses", input=PROMPT, stream_options={"include_progress": True})
    assert len(told(events)) > 1
    assert {event["type"] for event in events if "prompt_progress" in event} == {"response.prompt_progress"}
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert told(stream(service, "/v1/responses", input=PROMPT)) == []


def test_messages_have_pings_alone(service: Service) -> None:
    """That wire has no way to say it; the wish is disclosed as unknown."""
    body = {"max_tokens": 500, "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    reply = service.http.post("/v1/messages", json={**body, "return_progress": True})
    assert reply.headers["X-Ignored-Fields"] == "return_progress"
    assert "prompt_progress" not in reply.text


def test_silences_have_a_percentage(start_service: StartService) -> None:
    """A comment, without being asked; Anthropic's pings stay as they are."""
    service = start_service(prefill_step_size=STEP, sse_ping_seconds=0.05)
    slow = PROMPT.replace("0.03", "0.2")
    comments = [line for line in service.chat(slow, stream=True).text.splitlines() if line.startswith(":")]
    assert any(line.startswith(": prompt ") and line.endswith("%") for line in comments)
    body = {"max_tokens": 500, "stream": True, "messages": [{"role": "user", "content": slow}]}
    anthropic = service.http.post("/v1/messages", json=body).text
    assert 'data: {"type":"ping"}' in anthropic
    assert ": prompt" not in anthropic
