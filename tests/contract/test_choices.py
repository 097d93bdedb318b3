"""Several answers to one request, log-probabilities and other fields of sampling, as the `openai` package sees them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.conftest import Service, StartService

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def test_several_choices(service: Service) -> None:
    """`n` answers come in order, each whole; the prompt counts once, the answers all."""
    answer = service.openai.chat.completions.create(model="demo", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"hello"}
    one = service.openai.chat.completions.create(model="demo", messages=HELLO)
    assert answer.usage is not None
    assert one.usage is not None
    assert answer.usage.prompt_tokens == one.usage.prompt_tokens
    assert answer.usage.completion_tokens == 3 * one.usage.completion_tokens


def test_several_choices_in_a_stream(service: Service) -> None:
    """Each choice has its role, its text and its end; the stream ends once."""
    events = service.stream("hello", n=3, stream_options={"include_usage": True})
    assert events.count("[DONE]") == 1
    choices = [choice for event in events[:-1] for choice in event["choices"]]
    for index in range(3):
        mine = [choice for choice in choices if choice["index"] == index]
        assert mine[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content", "") for choice in mine) == "hello"
        assert [choice["finish_reason"] for choice in mine].count("stop") == 1
    assert events[-2]["usage"]["completion_tokens"] == 18


def test_more_choices_than_places(start_service: StartService) -> None:
    """Choices wait for their turn like requests."""
    service = start_service(max_num_seqs=2)
    assert len(service.chat("hello", n=7).json()["choices"]) == 7


def test_log_probabilities_of_an_answer(service: Service) -> None:
    """Every token of the text has one, with its bytes; the end mark has none."""
    answer = service.openai.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "hé"}], logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].logprobs is not None
    content = answer.choices[0].logprobs.content or []
    assert bytes(byte for token in content for byte in token.bytes or []) == "hé".encode()
    assert all(token.logprob <= 0 and token.top_logprobs for token in content)
    assert service.chat("hello").json()["choices"][0]["logprobs"] is None


def test_log_probabilities_in_a_stream(service: Service) -> None:
    """Streamed, they are the same, also for tokens whose text is still held back."""
    whole = service.chat("hé!", logprobs=True).json()["choices"][0]["logprobs"]["content"]
    events = service.stream("hé!", logprobs=True)
    parts = [c["logprobs"]["content"] for e in events[:-1] for c in e["choices"] if c["logprobs"]]
    assert [token for part in parts for token in part] == whole


def test_top_logprobs_need_logprobs(service: Service) -> None:
    """What makes no sense alone is refused by name."""
    reply = service.chat("hello", top_logprobs=3)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "top_logprobs")


def test_a_time_of_ones_own(service: Service) -> None:
    """`timeout` shortens a request's time: past it, 504."""
    reply = service.chat("fake:count=100000 fake:delay=0.01", timeout=0.2, max_tokens=100_000)
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize("stream", [False, True])
def test_strict_fields(stream: bool, start_service: StartService) -> None:
    """Under STRICT_FIELDS a field nobody knows is a 400 that names it; those without effect still pass."""
    service = start_service(strict_fields=True)
    reply = service.chat("hello", stream=stream, temprature=1)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "temprature")
    assert service.chat("hello", stream=stream, user="me").status_code == 200


def test_the_fingerprint(service: Service) -> None:
    """It is the same for every answer of one model, whole and streamed."""
    prints = {service.chat("hello").json()["system_fingerprint"], service.stream("hello")[0]["system_fingerprint"]}
    assert len(prints) == 1
    assert str(prints.pop()).startswith("fp_")
