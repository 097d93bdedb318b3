"""Reasoning before an answer of a given form, on random weights: the thinking is free, what follows keeps to the form.

A bias makes the model end its thinking now and then; nothing else would.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from src.engine.backend import Backend
from src.engine.text import TextStream
from src.ipc.messages.chat import ChatMessage, GenerateRequest, Sampling, Tool, ToolChoice
from src.settings import Settings
from tests.contract.conftest import Service
from tests.contract.test_backends import Batch, Made, load
from tests.contract.test_forms import PERSON

ROOM = 900
SEEDS = range(6)
# what the two kinds of templates put behind the assistant's mark
ALWAYS = "<think>\n"
OPENS = (
    "{% if enable_thinking is not defined or enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}"
)
HYBRID = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
TOOLS = (Tool("person", None, json.dumps(PERSON)), Tool("stop"))


def _thinker(model: Path, copy: Path, behind: str) -> Path:
    """The same model with a template that knows thinking."""
    shutil.copytree(model, copy)
    file = copy / "tokenizer_config.json"
    config = json.loads(file.read_text())
    mark = "<|im_start|>assistant\n{% endif -%}"
    assert mark in config["chat_template"]
    template = config["chat_template"].replace(mark, mark.replace("{% endif", behind + "{% endif"))
    file.write_text(json.dumps(config | {"chat_template": template}))
    return copy


@pytest.fixture(scope="module")
def thinker(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("thinkers")
    kinds = {"opens": OPENS, "hybrid": HYBRID, "always": ALWAYS}
    models = {name: _thinker(random_model, folder / name, behind) for name, behind in kinds.items()}
    return models.__getitem__


@pytest.fixture(scope="module", params=["opens", "hybrid"])
def backend(request: pytest.FixtureRequest, thinker: Callable[[str], Path]) -> Iterator[Backend]:
    backend = load(str(thinker(request.param)))
    yield backend
    backend.close()


def asking(schema: dict[str, Any] | None = PERSON, **fields: Any) -> GenerateRequest:
    text = None if schema is None else json.dumps(schema)
    return GenerateRequest("r", "m", (ChatMessage("user", "hello"),), json_schema=text, **fields)


def bias(backend: Backend) -> dict[int, float]:
    wrapped = backend.tokenizer._wrapped  # type: ignore[attr-defined]  # only tests look at single tokens
    return {wrapped.think_start_id: 24.0, wrapped.think_end_id: 24.0}


def answers(backend: Backend, request: GenerateRequest, prefix: list[int] | None = None) -> list[Made]:
    """One for each seed, computed together; all of them begin with `prefix`."""
    batch, grammar, before = Batch(backend), backend.tokenizer.grammar(request), prefix or []
    prompt = [*backend.tokenizer.encode(request), *before]
    for seed in SEEDS:
        sampling = Sampling(temperature=1.0, seed=seed, logit_bias=bias(backend))
        uid = backend.insert(prompt, ROOM, sampling, len(before), grammar)
        batch.made[uid] = Made()
    return batch.finish(*batch.made)


def read(backend: Backend, request: GenerateRequest, made: Made) -> tuple[str, str, str]:
    """An answer's text, its thinking, and its calls' arguments."""
    reader = backend.tokenizer.reader(request, backend.tokenizer.encode(request))
    stream = TextStream(backend.tokenizer.detokenizer(), (), reader)
    text = "".join(stream.push(token) for token in made.tokens[:-1]) + stream.flush()
    aside = stream.aside()
    return text, aside.reasoning, "".join(call.arguments for call in aside.calls)


def test_a_schema_behind_the_thinking(backend: Backend) -> None:
    """Most answers think, all of them end with what the schema asks for, and the two are told apart."""
    request = asking()
    thought = 0
    for made in answers(backend, request):
        text, reasoning, _ = read(backend, request, made)
        assert made.finish == "stop"
        jsonschema.validate(json.loads(text), PERSON)
        assert text[0] == "{"
        thought += bool(reasoning.strip())
    assert thought > 0


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "person")])
def test_calls_behind_the_thinking(choice: ToolChoice, backend: Backend) -> None:
    """A call that must be made may be thought about first."""
    request = asking(None, tools=TOOLS, tool_choice=choice)
    thoughts = []
    for made in answers(backend, request):
        text, reasoning, arguments = read(backend, request, made)
        assert (made.finish, text) == ("stop", "")
        assert arguments
        thoughts.append(reasoning)
        if choice.mode == "named":
            jsonschema.validate(json.loads(arguments), PERSON)
    assert any(thought.strip() for thought in thoughts)


def test_it_goes_on_where_it_was_cut(backend: Backend) -> None:
    """In the thinking, at its end, in the form: a fresh engine gives the same rest."""
    request = asking()
    whole = answers(backend, request)[2]
    for cut in {1, 2, len(whole.tokens) // 2, len(whole.tokens) - 3}:
        rest = answers(backend, request, whole.tokens[:cut])[2]
        assert [*whole.tokens[:cut], *rest.tokens] == whole.tokens


def test_without_thinking(backend: Backend) -> None:
    """Asked not to, it does not: the form begins at once."""
    request = asking(thinking=False)
    for made in answers(backend, request):
        text, reasoning, _ = read(backend, request, made)
        jsonschema.validate(json.loads(text), PERSON)
        assert reasoning == ""


def test_marks_in_a_text_are_text(backend: Backend) -> None:
    """Behind the thinking its marks mean nothing any more."""
    request = asking({"type": "string", "minLength": 40, "maxLength": 60})
    for made in answers(backend, request):
        text, _, _ = read(backend, request, made)
        assert 40 <= len(json.loads(text)) <= 60


def test_a_model_that_always_thinks(thinker: Callable[[str], Path]) -> None:
    """It thinks before a form, or has its thinking closed; without a form it cannot be kept from it."""
    backend = load(str(thinker("always")))
    try:
        for request in (asking(), asking(thinking=False)):
            for made in answers(backend, request):
                jsonschema.validate(json.loads(read(backend, request, made)[0]), PERSON)
        unasked = asking(None, thinking=False)
        assert backend.tokenizer.set_aside(unasked, backend.tokenizer.encode(unasked)) == ("reasoning_effort",)
    finally:
        backend.close()


def test_a_model_that_knows_no_thinking(random_model: Path) -> None:
    """Marks in its vocabulary alone are no thinking: its forms begin at once, whatever it would like to say."""
    backend = load(str(random_model))
    try:
        request = asking()
        for made in answers(backend, request):
            assert read(backend, request, made)[1] == ""
        wished = asking(thinking=True)
        prompt = backend.tokenizer.encode(wished)
        assert prompt == backend.tokenizer.encode(request)
        assert backend.tokenizer.set_aside(wished, prompt) == ("reasoning_effort",)
        assert backend.tokenizer.set_aside(request, prompt) == ()
    finally:
        backend.close()


# ---- with the openai package


@pytest.fixture(scope="module")
def service(thinker: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("s")
    model = str(thinker("opens"))
    settings = Settings(
        _env_file=None, inference_engine="mlx", default_model=model, runtime_dir=folder, log_dir=folder / "logs"
    )
    service = Service(settings)
    service.start_engine()
    yield service
    service.close()


def test_a_client_sees_both(service: Service) -> None:
    """`reasoning_content` beside a `content` that parses, whole and streamed."""
    (end,) = service.http.post("/tokenize", json={"prompt": "</think>"}).json()["tokens"]
    format_: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    for seed in SEEDS:
        body: dict[str, Any] = {
            "model": service.settings.default_model,
            "messages": [{"role": "user", "content": "hello"}],
            "response_format": format_,
            "reasoning_effort": "low",
            "max_tokens": ROOM,
            "temperature": 1,
            "seed": seed,
            "logit_bias": {str(end): 24},
        }
        whole = service.openai.chat.completions.create(**body).choices[0].message
        jsonschema.validate(json.loads(whole.content or ""), PERSON)
        deltas = [chunk.choices[0].delta for chunk in service.openai.chat.completions.create(**body, stream=True)]
        assert "".join(delta.content or "" for delta in deltas) == whole.content
        thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        assert thought == (getattr(whole, "reasoning_content", None) or "")
