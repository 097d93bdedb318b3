"""The `openai` package over both engines: what a strict client sees, on an echo and on random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from src.settings import Settings
from tests.contract.conftest import Service

TEXT = "The harbour at night: 你好，世界 👩‍👩‍👧‍👦 e\u0301 and a long quay"
PARAMETERS = {
    "type": "object",
    "properties": {"days": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]


@pytest.fixture(scope="module", params=["fake", "mlx"])
def service(
    request: pytest.FixtureRequest, random_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    yield from start(request.param, random_model, tmp_path_factory)


@pytest.fixture(scope="module")
def mlx(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from start("mlx", random_model, tmp_path_factory)


def start(engine: str, model: Path, folders: pytest.TempPathFactory) -> Iterator[Service]:
    folder = folders.mktemp("s")
    name = "demo" if engine == "fake" else str(model)
    settings = Settings(
        _env_file=None, inference_engine=engine, default_model=name, runtime_dir=folder, log_dir=folder / "logs"
    )
    service = Service(settings)
    service.start_engine()
    yield service
    service.close()


def ask(service: Service, content: str = TEXT, **fields: Any) -> Any:
    body: dict[str, Any] = {"max_tokens": 60, "temperature": 0, **fields}
    messages: Any = [{"role": "user", "content": content}]
    return service.openai.chat.completions.create(model=service.settings.default_model, messages=messages, **body)


def told(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def streamed(chunks: Any) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_stream_is_the_whole_answer(service: Service) -> None:
    """The same text, reason and usage; every piece whole characters; one role, at the beginning."""
    whole = ask(service)
    chunks = list(ask(service, stream=True, stream_options={"include_usage": True}))
    assert streamed(chunks) == told(whole)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert {chunk.usage for chunk in chunks[:-1]} == {None}
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert [chunk.choices[0].delta.role for chunk in chunks[:-1]] == ["assistant", *[None] * (len(chunks) - 2)]
    assert len({chunk.id for chunk in chunks}) == 1


def test_any_limit_is_exact(service: Service) -> None:
    """Cut at every token: what is told is the beginning of the whole, and never half a character."""
    whole = told(ask(service, max_tokens=40))
    for most in range(1, 40, 3):
        answer = ask(service, max_tokens=most)
        assert whole.startswith(told(answer))
        assert answer.usage.completion_tokens <= most


def test_stop_strings_anywhere(service: Service) -> None:
    """Cut out of the middle of the text, across tokens: it ends before the first, in a stream as well."""
    whole = told(ask(service))
    for at in range(1, len(whole) - 6, 7):
        stops = [whole[at + 2 : at + 6], "nowhere in it"]
        expected = whole[: whole.index(stops[0])]
        assert told(ask(service, stop=stops)) == expected
        assert streamed(ask(service, stop=stops, stream=True)) == expected


def test_log_probabilities(service: Service) -> None:
    """Their bytes are the text, whole and streamed; the likeliest of a greedy token is itself."""
    whole = ask(service, logprobs=True, top_logprobs=3)
    scores = whole.choices[0].logprobs.content
    raw = b"".join(bytes(score.bytes) for score in scores)
    text = told(whole).replace("\u0100", "\0")  # what mlx-lm's detokenizer makes of a zero byte
    assert raw.decode(errors="replace").startswith(text)
    assert all(score.top_logprobs[0].bytes == score.bytes and score.logprob <= 0 for score in scores)
    chunks = list(ask(service, logprobs=True, top_logprobs=3, stream=True))
    found = [
        score for chunk in chunks for choice in chunk.choices if choice.logprobs for score in choice.logprobs.content
    ]
    assert [score.token for score in found] == [score.token for score in scores]


def test_several_choices(service: Service) -> None:
    """As many as asked for, each numbered, the tokens of all counted."""
    answer = ask(service, n=3, temperature=1, seed=5, max_tokens=12)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    chunks = list(ask(service, n=3, temperature=1, seed=5, max_tokens=12, stream=True))
    for choice in answer.choices:
        parts = [c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == choice.index]
        assert "".join(parts) == choice.message.content


def test_errors_are_the_packages_own(service: Service) -> None:
    """Each status raises its class, and says what is wrong with what."""
    with pytest.raises(openai.NotFoundError) as missing:
        service.openai.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "x"}])
    assert missing.value.code == "model_not_found"
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"n": 0}, "n"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
    ]
    for fields, param in wrongs:
        with pytest.raises(openai.BadRequestError) as wrong:
            ask(service, **fields)
        assert wrong.value.param == param


def test_other_endpoints(service: Service) -> None:
    """Completions, responses and models, with the package."""
    name = service.settings.default_model
    assert service.openai.models.retrieve(name).id == name
    made = service.openai.completions.create(model=name, prompt="The harbour", max_tokens=8, temperature=0)
    pieces = service.openai.completions.create(
        model=name, prompt="The harbour", max_tokens=8, temperature=0, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in pieces if chunk.choices) == made.choices[0].text
    response = service.openai.responses.create(model=name, input=TEXT, max_output_tokens=60, temperature=0)
    assert response.output_text == told(ask(service))


# ---- what an echo cannot do


def test_samples(mlx: Service) -> None:
    """The same seed gives the same text, others differ, and so do the choices of one request."""
    first, again, other = (told(ask(mlx, temperature=1, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    answer = ask(mlx, temperature=1, n=4, seed=3)
    assert len({choice.message.content for choice in answer.choices}) == 4


class Berth(BaseModel):
    """What an answer is parsed into."""

    name: str = Field(max_length=10)
    number: int = Field(ge=0, le=99)
    kind: Literal["quay", "buoy"]


def test_parsed_answers(mlx: Service) -> None:
    """The package's own `parse`: strict schemas in, objects out."""
    answer = mlx.openai.chat.completions.parse(
        model=mlx.settings.default_model,
        messages=[{"role": "user", "content": "Berth 3"}],
        response_format=Berth,
        max_tokens=300,
        seed=1,
    )
    assert isinstance(answer.choices[0].message.parsed, Berth)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_calls(choice: Any, mlx: Service) -> None:
    """A call that must be made keeps to its schema; streamed, its name comes first and its arguments grow."""
    fields: Any = {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False, "max_tokens": 200}
    (call,) = ask(mlx, **fields).choices[0].message.tool_calls
    assert 0 <= json.loads(call.function.arguments)["days"] <= 99
    deltas = [chunk.choices[0].delta for chunk in ask(mlx, **fields, stream=True) if chunk.choices]
    pieces = [piece for delta in deltas for piece in delta.tool_calls or ()]
    assert (pieces[0].function.name, pieces[0].function.arguments) == ("weather", "")
    assert pieces[0].id
    assert len(pieces) > 3
    assert "".join(piece.function.arguments for piece in pieces) == call.function.arguments


def test_thirty_two_at_once(mlx: Service) -> None:
    """Greedy text is what it is alone: in a crowd of other wishes, streamed or whole, and after a reload."""
    texts = [f"{n}: tell me of the sea" for n in range(8)]
    alone = [told(ask(mlx, text)) for text in texts]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS}}
    others: list[dict[str, Any]] = [
        {"temperature": 1.5, "seed": 1, "n": 2},
        {"temperature": 1, "top_p": 0.5, "logprobs": True},
        {"response_format": form},
        {"frequency_penalty": 1, "logit_bias": {"5": -100}},
    ]

    def one(at: int) -> str | None:
        text = texts[at % len(texts)]
        if at % 4 == 0:
            return told(ask(mlx, text))
        if at % 4 == 1:
            return streamed(ask(mlx, text, stream=True))
        if at % 8 == 2:
            mlx.openai.embeddings.create(model=mlx.settings.default_model, input=text)
        ask(mlx, text, **others[at % len(others)])
        return None

    with ThreadPoolExecutor(32) as crowd:
        for at, found in enumerate(crowd.map(one, range(32))):
            assert found is None or found == alone[at % len(texts)]
    assert mlx.engine is not None
    mlx.engine.stop()
    mlx.start_engine()
    assert [told(ask(mlx, text)) for text in texts[:3]] == alone[:3]
