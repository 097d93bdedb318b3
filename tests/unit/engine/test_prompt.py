"""The length check, and where a checkpoint is found."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from src import catalog
from src.engine import checkpoint, prompt
from src.engine.fake import FakeBackend, FakeTokenizer
from src.engine.prompt import answer_budget
from src.errors import ContextLengthExceeded, ModelLoadFailed
from src.ipc.messages.chat import ChatMessage, Choice, GenerateRequest
from tests.conftest import MakeSettings


@pytest.mark.parametrize(
    ("prompt", "asked", "budget"), [(10, None, 50), (80, None, 20), (10, 90, 90), (99, 1, 1), (10, 7, 7), (10, 91, 90)]
)
def test_answer_budget(prompt: int, asked: int | None, budget: int) -> None:
    """What was asked, or the default, but no more than the context leaves."""
    assert answer_budget(prompt, asked, default=50, context=100) == budget


@pytest.mark.parametrize(("prompt", "asked", "param"), [(100, None, "messages"), (10, 91, "max_tokens")])
def test_what_does_not_fit_is_refused_with_its_numbers(prompt: int, asked: int | None, param: str) -> None:
    """A prompt or a wish beyond the context is an error naming the parameter and the figures."""
    with pytest.raises(ContextLengthExceeded, match=f"{prompt} tokens.*100") as caught:
        answer_budget(prompt, asked, default=50, context=100, strict=True)
    assert caught.value.param == param


def test_the_choices_of_a_request_share_its_prompt(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is encoded once however many answers are asked for; what was sent of one goes behind its own."""
    settings, encoded = make_settings(), []

    def encode(tokenizer: FakeTokenizer, request: GenerateRequest) -> list[int]:
        encoded.append(request.id)
        return tokenizer.encode_chat(request.messages)

    monkeypatch.setattr(FakeTokenizer, "encode", encode)
    wanted = (Choice(0), Choice(1, (104,)), Choice(2))
    request = GenerateRequest("r", "m", (ChatMessage("user", "hello"),), choices=wanted)
    first, second, third = prompt.make_sequences(request, FakeBackend("m", settings), settings, lambda: 0.0, None)
    assert encoded == ["r"]
    assert first.prompt is third.prompt
    assert second.prompt == [*first.prompt, 104]
    assert {each.request.sampling.seed for each in (first, second, third)} != {0}


@pytest.mark.parametrize(("asked", "predicted", "kept", "length"), [
    (None, 10, 10, 5 + 1024),  # a usual answer is longer
    (None, 3000, 3000, 5 + 3000),  # it tells how long the answer will be
    (40, 10, 10, 45),
    (40, 3000, 45, 45),  # more could be of no answer's
])  # fmt: skip
def test_a_prediction_is_counted_as_memory(
    asked: int | None, predicted: int, kept: int, length: int, make_settings: MakeSettings
) -> None:
    """It has no more tokens than the sequence is charged for."""
    request = GenerateRequest("r", "m", (ChatMessage("user", "hello"),), max_tokens=asked)
    given = prompt.Prompt([1] * 5, None, 0.0, [7] * predicted)
    settings = make_settings(default_max_tokens=0)
    backend = FakeBackend("m", settings)
    backend.info = msgspec.structs.replace(backend.info, context_length=8192)
    sequence = prompt.prepare(request, given, backend, settings, None)
    assert (len(sequence.prediction), sequence.length) == (kept, length)
    assert sequence.predicted is not None


def folder(base: Path, config: object = None) -> Path:
    base.mkdir(parents=True)
    (base / "config.json").write_text(json.dumps({} if config is None else config))
    return base


def test_local_folders_come_first(tmp_path: Path) -> None:
    """A name is a folder under MODELS_DIR or a path; of an id that is not here the error says how to get it."""
    local = folder(tmp_path / "owner" / "name")
    assert checkpoint.locate("owner/name", tmp_path) == local
    assert checkpoint.locate(str(local), Path("/nowhere")) == local
    with pytest.raises(ModelLoadFailed, match=r"run\.py pull other/name"):
        checkpoint.locate("other/name", tmp_path)


@pytest.mark.parametrize("name", ["nothing-here", "../etc", "a/b/c", "/absent", "a b/c"])
def test_a_name_that_is_nothing_is_refused(name: str, tmp_path: Path) -> None:
    """No folder and no hub id: the error says what to set."""
    with pytest.raises(ModelLoadFailed, match="DEFAULT_MODEL"):
        checkpoint.locate(name, tmp_path)


@pytest.mark.parametrize(
    ("config", "limit", "length"),
    [
        ({"max_position_embeddings": 2048}, 0, 2048),
        ({"max_position_embeddings": 2048}, 512, 512),
        ({"text_config": {"max_position_embeddings": 8192}}, 0, 8192),
        ({}, 0, 4096),
    ],
)
def test_context_length(config: dict[str, object], limit: int, length: int) -> None:
    """The model's own, bounded by MAX_MODEL_LEN."""
    assert catalog.context_length(config, limit) == length


@pytest.mark.parametrize(
    ("per_token", "room", "context"), [(1000, 10_000_000, 2048), (1000, 500_000, 500), (0, 1, 2048), (10, 0, 1)]
)
def test_a_context_that_memory_holds(per_token: int, room: int, context: int) -> None:
    """What memory cannot hold is not promised: a request beyond it gets context_length_exceeded."""
    assert checkpoint.fitting_context(2048, per_token, room) == context


@pytest.mark.parametrize(
    ("generation", "sampling"),
    [
        (None, (1.0, 1.0, 0)),
        ({"temperature": 0.6, "top_p": 0.95, "top_k": 20}, (0.6, 0.95, 20)),
        ({"do_sample": False, "temperature": 0.6}, (0.0, 1.0, 0)),
    ],
)
def test_default_sampling(
    generation: dict[str, object] | None, sampling: tuple[float, float, int], tmp_path: Path
) -> None:
    """A request that names no temperature gets what the model's makers recommend."""
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    found = checkpoint.default_sampling(tmp_path)
    assert (found.temperature, found.top_p, found.top_k) == sampling


def test_a_broken_config_is_named(tmp_path: Path) -> None:
    """A damaged config.json is a reason, not a stack trace."""
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelLoadFailed, match=r"config\.json"):
        checkpoint.read_config(tmp_path)
