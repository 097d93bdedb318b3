"""A GGUF file in the engine mlx: what holds for a checkpoint holds for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from src.engine import loading
from src.engine.backend import Backend
from src.engine.check import examine
from src.engine.mlx.speculation.depth import Costs
from src.engine.mlx.text import tokenizer
from src.engine.progress import LoadMeter
from src.engine.revision import FilesChanged
from src.errors import InvalidRequest, ModelLoadFailed
from src.ipc.messages.chat import ChatMessage, Sampling
from src.settings import Settings
from tests.conftest import MakeSettings
from tests.gguf_models import TinyModel, vocabulary

GREEDY = Sampling(temperature=0.0)


@pytest.fixture
def settings(make_settings: MakeSettings, tmp_path: Path) -> Settings:
    TinyModel().write(tmp_path / "models" / "tiny.gguf")
    return make_settings(models_dir=tmp_path / "models", inference_engine="mlx", memory_budget_mb=512)


@pytest.fixture
def backend(settings: Settings) -> Iterator[Backend]:
    loaded = loading.load("tiny.gguf", settings, LoadMeter())
    yield loaded
    loaded.close()


def generate(backend: Backend, *prompts: list[int], prefix: int = 0) -> list[list[int]]:
    """Greedy tokens of prompts that are computed together."""
    made = {backend.insert(prompt, 12, GREEDY, prefix): list[int]() for prompt in prompts}
    left = set(made)
    while left:
        for token in backend.step().tokens:
            made[token.uid].append(token.token)
            left -= {token.uid} if token.finish else set()
    return list(made.values())


def test_alone_in_a_batch_resumed_and_back_from_the_host(backend: Backend) -> None:
    """The same tokens each time."""
    first, second = [1, 2, 3, 4, 5], [9, 8, 7]
    alone = generate(backend, first)[0]
    assert generate(backend, second, first)[1] == alone
    assert alone[:4] + generate(backend, [*first, *alone[:4]], prefix=4)[0][: len(alone) - 4] == alone
    backend.to_host()
    backend.to_device()
    assert generate(backend, first)[0] == alone


def drafting(model: str, settings: Settings, draft: str) -> Backend:
    """With a draft model that guesses whatever steps cost here."""
    chosen = {"speculative_method": "draft_model", "draft_model": draft, "default_model": model}
    loaded: Any = loading.load(model, settings.model_copy(update=chosen), LoadMeter())
    loaded._resident.speculator.costs = Costs(1.0, 0.0)
    return cast(Backend, loaded)


def test_it_drafts_for_a_gguf_and_for_a_checkpoint(backend: Backend, settings: Settings) -> None:
    """The same tokens in fewer steps; a file that pads its vocabulary further drafts for them, too."""
    expected = generate(backend, [1, 2, 3, 4, 5])
    shutil.copytree(next((settings.state_path / "gguf").glob("tiny-*")), settings.models_path / "checkpoint")
    TinyModel().write(settings.models_path / "same.gguf")
    TinyModel(tokens=[*vocabulary(), "[PAD900]"]).write(settings.models_path / "padded.gguf")
    for target in ("tiny.gguf", "checkpoint"):
        for draft in ("same.gguf", "padded.gguf"):
            guessing = drafting(target, settings, draft)
            assert generate(guessing, [1, 2, 3, 4, 5]) == expected
            guessing.close()


def test_a_draft_file_of_another_vocabulary_is_refused(settings: Settings) -> None:
    """With the number of tokens that differ."""
    words = vocabulary()
    words[5], words[6] = words[6], words[5]
    TinyModel(tokens=words).write(settings.models_path / "other.gguf")
    with pytest.raises(
        ModelLoadFailed, match=r"other\.gguf' has another vocabulary than 'tiny\.gguf' \(2 of 3\d\d tokens"
    ):
        drafting("tiny.gguf", settings, "other.gguf")
    with pytest.raises(ModelLoadFailed, match="its own DRAFT_MODEL"):
        drafting("tiny.gguf", settings, "tiny.gguf")


def test_its_template_makes_a_prompt(backend: Backend) -> None:
    """From the file's own metadata."""
    prompt = backend.tokenizer.encode_chat([ChatMessage("user", "hello")])
    assert backend.tokenizer.decode(prompt) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"


def test_a_template_that_loops_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hostile file, for example: a clear line, and the tokenizer thread is free again."""
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a %}{% endfor %}{% endfor %}"
    TinyModel(template=loop).write(settings.models_path / "tiny.gguf")
    monkeypatch.setattr(tokenizer, "RENDER_S", 0.1)
    backend = loading.load("tiny.gguf", settings, LoadMeter())
    with pytest.raises(InvalidRequest, match="did not finish within"):
        backend.tokenizer.encode_chat([ChatMessage("user", "hello")])
    backend.close()


def test_a_file_that_was_replaced_is_not_mixed(backend: Backend, settings: Settings) -> None:
    """Coming back from the host with another file in its place ends the process; the next one has it."""
    os.utime(settings.models_path / "tiny.gguf", (1, 1))
    backend.to_host()
    with pytest.raises(FilesChanged):
        backend.to_device()


def test_run_check_reads_the_header_alone(settings: Settings) -> None:
    """`run.py check` names the architecture and converts nothing."""
    facts = examine("tiny.gguf", settings)
    assert (facts["engine"], facts["architecture"], facts["problem"]) == ("mlx", "llama", None)
    assert not (settings.state_path / "gguf").exists()


def test_a_cut_file_is_one_clear_line(settings: Settings) -> None:
    """The engine reports it as the model's failure."""
    file = settings.models_path / "tiny.gguf"
    file.write_bytes(file.read_bytes()[:-4096])
    with pytest.raises(ModelLoadFailed, match=r"tiny\.gguf is cut short: .* are missing"):
        loading.load("tiny.gguf", settings, LoadMeter())
