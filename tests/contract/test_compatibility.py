"""docs/compatibility.md, cell by cell, for the engines that run here: what it says is honoured is taken with a plain
value, what it says is refused is a 400 that names the field. (tests/unit/engine/upstream has the upstream engines'.)"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.api.openai.fields import REFUSED as NOBODY_TAKES
from src.api.openai.fields import REFUSES, SETS_ASIDE
from src.api.openai.schemas import ChatCompletionRequest, Labels
from src.gpu import blas
from tests.contract.conftest import Service
from tests.contract.test_openai import TOOLS, start

HERE = ("mlx", "fake")
JSON = {"type": "json_object"}
FORMS: dict[str, tuple[Any, Any]] = {  # one that is kept, and one that cannot be
    "guided_json": ({"type": "object"}, {"not": {}}),
    "json_schema": ({"type": "object"}, {"not": {}}),
    "guided_regex": ("a+", "(?=a)"),
    "guided_choice": (["a"], ["a" * 90_000] * 9),
    "guided_grammar": ('start: "a"', "start: b"),
    "grammar": ('root ::= "a"', "start: b"),
    "structured_outputs": ({"choice": ["a"]}, {"regex": "(?=a)"}),
}
# a value of each field that every engine honours
PLAIN: dict[str, dict[str, Any]] = {
    "max_tokens": {"max_tokens": 5},
    "max_completion_tokens": {"max_completion_tokens": 5},
    "stream_options": {"stream": True, "stream_options": {"include_usage": True}},
    "top_logprobs": {"logprobs": True, "top_logprobs": 2},
    "tools": {"tools": TOOLS},
    "tool_choice": {"tools": TOOLS, "tool_choice": "auto"},
    "parallel_tool_calls": {"tools": TOOLS, "parallel_tool_calls": False},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "stop": {"stop": ["x"]},
    "stream": {"stream": True},
    "priority": {"priority": "low"},
    "n": {"n": 2},
    "seed": {"seed": 1},
    "logprobs": {"logprobs": True},
    "logit_bias": {"logit_bias": {"1": 1}},
    "frequency_penalty": {"frequency_penalty": 1},
    "presence_penalty": {"presence_penalty": 1},
    "repetition_penalty": {"repetition_penalty": 1.1},
    "top_k": {"top_k": 5},
    "min_p": {"min_p": 0.1},
    "ignore_eos": {"ignore_eos": True},
    "timeout": {"timeout": 60},
    "response_format": {"response_format": {"type": "text"}},
    **{name: {name: None} for name in FORMS},
    "reasoning_effort": {"reasoning_effort": "none"},
    "chat_template_kwargs": {"chat_template_kwargs": {"enable_thinking": False}},
    "continue_final_message": {"continue_final_message": False},
    "add_generation_prompt": {"add_generation_prompt": True},
    "return_progress": {"stream": True, "return_progress": True},
    "prediction": {"prediction": None},
    "metadata": {"metadata": {"a": "b"}},
    "store": {"store": False},
    "service_tier": {"service_tier": "flex"},
    "prompt_cache_options": {"prompt_cache_options": {}},
    **{
        name: {name: "x"}
        for name in Labels.model_fields.keys() - {"metadata", "store", "prompt_cache_options", "service_tier"}
    },
}
_DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
PICTURED = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": _DOT}}]}]
# what each engine refuses, and the field it names
REFUSED: dict[tuple[str, str], dict[str, Any]] = {
    ("mlx", "response_format"): {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}
    },
    ("mlx", "messages"): {"messages": PICTURED},
    **{("mlx", name): {name: broken} for name, (_, broken) in FORMS.items()},
    **{("fake", name): {name: kept} for name, (kept, _) in FORMS.items()},
    ("fake", "messages"): {"messages": PICTURED},
    ("fake", "response_format"): {"response_format": JSON},
    ("fake", "tool_choice"): {"tools": TOOLS, "tool_choice": "required"},
}
# what each engine sets aside, and the name it is disclosed by
ASIDE: dict[tuple[str, str], tuple[dict[str, Any], str]] = {
    **{(engine, "max_tokens"): ({"max_tokens": 9_000_000}, "max_tokens") for engine in HERE},
    **{
        (engine, "max_completion_tokens"): ({"max_completion_tokens": 9_000_000}, "max_completion_tokens")
        for engine in HERE
    },
    **{
        (engine, "prediction"): ({"prediction": {"type": "content", "content": "hello"}}, "prediction")
        for engine in HERE
    },
    ("mlx", "reasoning_effort"): ({"reasoning_effort": "high"}, "reasoning_effort"),
    ("mlx", "chat_template_kwargs"): (
        {"chat_template_kwargs": {"preserve_thinking": True}},
        "chat_template_kwargs.preserve_thinking",
    ),
}
# shown elsewhere: these need a model of another kind
ELSEWHERE = {
    *{
        ("mlx", "suffix"),
        ("fake", "suffix"),
        ("mlx", "tools"),
        ("mlx", "reasoning_effort"),
        ("mlx", "/v1/embeddings"),
        ("fake", "/v1/embeddings"),
    }
}


@pytest.fixture(scope="module", params=HERE)
def service(
    request: pytest.FixtureRequest, random_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    yield from start(request.param, random_model, tmp_path_factory)


def test_every_field_is_looked_at() -> None:
    """A field or a refusal that is added is added here."""
    assert {*PLAIN, "model", "messages"} == set(ChatCompletionRequest.model_fields)
    said = {(engine, field) for engine in HERE for field in REFUSES[engine]}
    assert said == {*REFUSED, *ELSEWHERE}
    assert set(ASIDE) == {(engine, field) for engine in HERE for field in SETS_ASIDE[engine]}


@pytest.mark.parametrize("field", sorted(PLAIN))
def test_what_is_honoured_is_taken(field: str, service: Service) -> None:
    """And not reported as ignored."""
    response = service.chat("hello", **{"max_tokens": 5, **PLAIN[field]})
    assert response.status_code == 200, response.text
    assert "X-Ignored-Fields" not in response.headers
    assert '"error"' not in response.text


@pytest.mark.parametrize(
    "field", sorted(field.name for field in NOBODY_TAKES if "chat" in field.wires and not field.paths)
)
def test_what_nobody_takes(field: str, service: Service) -> None:
    refused = service.chat("hello", **{field: {"something": "else"}})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(("engine", "field"), sorted(REFUSED))
def test_what_is_refused_is_named(engine: str, field: str, service: Service) -> None:
    """A 400 about the field, on the engine of which it is said."""
    if service.settings.inference_engine == engine:
        refused = service.chat("hello", max_tokens=5, **REFUSED[engine, field])
        assert refused.status_code == 400, refused.text
        assert str(refused.json()["error"]["param"]).startswith(field)


@pytest.mark.parametrize(("engine", "field"), sorted(ASIDE))
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_set_aside_is_disclosed(engine: str, field: str, stream: bool, service: Service) -> None:
    """In the header, by the client's own name, and in the metrics."""
    if service.settings.inference_engine == engine:
        fields, name = ASIDE[engine, field]
        taken = service.chat("hello", stream=stream, **{"stop": ["e"], **fields})
        assert (taken.status_code, taken.headers["X-Ignored-Fields"]) == (200, name), taken.text
        label = name.partition(".")[0]
        assert f'stoker_ignored_fields_total{{field="{label}"}}' in service.http.get("/metrics").text


def test_a_template_without_tools(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It refuses tools, but for a call that must be made, which is the grammar's matter."""
    bare = tmp_path_factory.mktemp("bare") / "model"
    shutil.copytree(random_model, bare)
    file = bare / "tokenizer_config.json"
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
    for service in start("mlx", bare, tmp_path_factory):
        refused = service.chat("hello", tools=TOOLS)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools")
        made = service.chat("hello", tools=TOOLS, tool_choice="required", parallel_tool_calls=False, max_tokens=200)
        assert made.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "weather"


def test_a_model_that_keeps_its_state_to_itself() -> None:
    """No vectors are made of a model whose layers are not where mlx-lm's are."""
    blas.preload()  # before anything imports MLX
    from src.engine.mlx.embedding import MeanPooler

    class Odd:
        """Its body wants more than tokens."""

        def model(self, one: object, two: object, *, cache: object) -> object:
            raise AssertionError

    assert MeanPooler.of(Odd()) is None
    assert MeanPooler.of(object()) is None
