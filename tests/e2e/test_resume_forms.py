"""Engines die under answers of every form: several choices, JSON schema, tools, seeded sampling. Nobody notices."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e

LINES = {"type": "array", "items": {"type": "string", "minLength": 20, "maxLength": 24}, "minItems": 12, "maxItems": 12}
SHOPPING = {"type": "object", "properties": {"lines": LINES}, "required": ["lines"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "buy", "parameters": SHOPPING}}]
FORMAT = {"type": "json_schema", "json_schema": {"name": "lines", "schema": SHOPPING}}
FORMS: dict[str, dict[str, Any]] = {
    "several choices": {"n": 3, "temperature": 1, "top_p": 0.9},
    "penalties": {"temperature": 0.8, "frequency_penalty": 0.5, "repetition_penalty": 1.1},
    "JSON schema": {"temperature": 1, "response_format": FORMAT},
    "required tool": {"temperature": 1, "tools": TOOLS, "tool_choice": "required"},
    "named tool": {"temperature": 1, "tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "buy"}}},
}

_BEGUN = 10  # chunks of an answer before its engine is killed
_NOTICED_S = 60.0


@pytest.fixture(scope="module")
def running(random_model: Path) -> Iterator[Running]:
    with service(default_model=random_model, ocr_workers=0, speculative_method="ngram") as running:
        yield running


def told(running: Running, model: Path, form: str, stream: bool) -> Any:
    """What a client has in the end: text, calls without their ids, reasons."""
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=90) as client:
        body = {"model": str(model), "messages": [{"role": "user", "content": "hello"}], "max_tokens": 600, "seed": 11}
        create: Any = client.chat.completions.create
        fields = {name: value for name, value in FORMS[form].items() if name != "repetition_penalty"}
        extra = {"repetition_penalty": 1.1, "ignore_eos": True} if form == "penalties" else None
        answer = create(**body, **fields, stream=stream, extra_body=extra)
        if not stream:
            return [(c.message.content, _calls(c.message.tool_calls), c.finish_reason) for c in answer.choices]
        return _together(list(answer))


def _calls(calls: Any) -> list[tuple[str, str]]:
    return [(call.function.name, call.function.arguments) for call in calls or ()]


def _together(chunks: list[Any]) -> list[Any]:
    made: dict[int, tuple[list[str], dict[int, list[str]], list[str]]] = {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        text, calls, reasons = made.setdefault(choice.index, ([], {}, []))
        text.append(choice.delta.content or "")
        for call in choice.delta.tool_calls or ():
            calls.setdefault(call.index, []).append((call.function.name or "") + (call.function.arguments or ""))
        reasons += [choice.finish_reason] if choice.finish_reason else []
    return [("".join(t), ["".join(parts) for parts in c.values()], r) for _, (t, c, r) in sorted(made.items())]


@pytest.mark.parametrize("stream", [False, True])
def test_every_form_survives_its_engine(stream: bool, running: Running, random_model: Path) -> None:
    """Killed in the middle, each answer goes on: the same text, the same calls, one end each."""
    calm = {form: told(running, random_model, form, stream) for form in FORMS}
    before = running.pid("engine")
    with ThreadPoolExecutor(len(FORMS)) as crowd:
        answers = {form: crowd.submit(told, running, random_model, form, stream) for form in FORMS}
        time.sleep(0.35)
        assert not all(answer.done() for answer in answers.values()), "too quick to be killed"
        os.kill(before, signal.SIGKILL)
        found = {form: answer.result() for form, answer in answers.items()}
    assert found == calm
    assert running.pid("engine") != before


def test_a_predicted_answer_survives_its_engine(running: Running, random_model: Path) -> None:
    """Killed in the middle, it has the text of an answer without a prediction; usage tells of its drafts."""
    turns: list[Any] = [{"role": "user", "content": "hello"}]
    body: dict[str, Any] = {"model": str(random_model), "messages": turns, "max_tokens": 600, "temperature": 0}
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=90) as client:
        calm = client.chat.completions.create(**body).choices[0].message.content or ""
        body |= {"prediction": {"type": "content", "content": calm}, "stream_options": {"include_usage": True}}
        stream, before, pieces, usage = (
            client.chat.completions.create(**body, stream=True),
            running.pid("engine"),
            [],
            None,
        )
        for at, chunk in enumerate(stream):
            if at == _BEGUN:
                os.kill(before, signal.SIGKILL)
            pieces += [choice.delta.content or "" for choice in chunk.choices]
            usage = chunk.usage or usage
    assert "".join(pieces) == calm
    deadline = time.monotonic() + _NOTICED_S
    while running.status()["engine"]["pid"] in (before, None):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.rejected_prediction_tokens is not None


def test_embeddings_survive_their_engine(running: Running, random_model: Path) -> None:
    """Killed in the middle of many texts: the vectors come all the same, and are the same."""
    texts = [f"text {n}: " + "ships and harbours " * (n % 40) for n in range(400)]
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=90) as client:
        calm = client.embeddings.create(model=str(random_model), input=texts)
        before = running.pid("engine")
        with ThreadPoolExecutor(1) as crowd:
            answer = crowd.submit(client.embeddings.create, model=str(random_model), input=texts)
            time.sleep(0.2)
            assert not answer.done(), "too quick to be killed"
            os.kill(before, signal.SIGKILL)
            found = answer.result()
    assert found.usage == calm.usage
    for one, other in zip(found.data, calm.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-5)
    assert running.pid("engine") != before
