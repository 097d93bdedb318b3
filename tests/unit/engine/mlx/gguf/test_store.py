"""Conversions that are kept: made once, again when the file has changed, removed when it is gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from src.engine.mlx.gguf import checkpoint, store
from src.engine.progress import LoadMeter
from src.errors import ModelLoadFailed
from src.settings import Settings
from tests.conftest import MakeSettings
from tests.gguf_models import TinyModel


@pytest.fixture
def settings(make_settings: MakeSettings, tmp_path: Path) -> Settings:
    return make_settings(models_dir=tmp_path / "models")


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were converted."""
    made: list[str] = []
    write = checkpoint.write

    def recorded(files: list[Path], *rest: Any) -> str:
        made.append(files[0].name)
        return write(files, *rest)

    monkeypatch.setattr(checkpoint, "write", recorded)
    return made


def test_a_file_is_converted_once(settings: Settings, conversions: list[str]) -> None:
    """The next engine finds it; one that was replaced is converted again."""
    file = TinyModel().write(settings.models_path / "tiny.gguf")
    folder = store.located("tiny.gguf", settings, LoadMeter())
    assert store.located("tiny", settings, LoadMeter()) == folder
    assert (folder / "model.safetensors").is_file()
    assert conversions == ["tiny.gguf"]
    TinyModel(seed=2).write(file)
    os.utime(file, (1, 1))
    assert store.located("tiny.gguf", settings, LoadMeter()) == folder
    assert len(conversions) == 2


def test_what_is_gone_leaves_nothing(settings: Settings, conversions: list[str]) -> None:
    """Also a conversion that was interrupted."""
    first = TinyModel().write(settings.models_path / "first.gguf")
    left = store.located("first.gguf", settings, LoadMeter())
    half = left.with_name(".half-12345678")
    half.mkdir()
    first.unlink()
    TinyModel().write(settings.models_path / "second.gguf")
    kept = store.located("second.gguf", settings, LoadMeter())
    assert [folder.name for folder in left.parent.iterdir()] == [kept.name]
    assert conversions == ["first.gguf", "second.gguf"]


def test_a_file_that_cannot_be_converted_leaves_nothing(settings: Settings) -> None:
    """The reason is for the operator."""
    file = TinyModel().write(settings.models_path / "tiny.gguf")
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelLoadFailed, match="cut short"):
        store.located("tiny.gguf", settings, LoadMeter())
    assert list((settings.state_path / "gguf").iterdir()) == []


def test_other_formats_stay_where_they_are(settings: Settings) -> None:
    """A folder with a config.json is found as before."""
    folder = settings.models_path / "plain"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert store.located("plain", settings, LoadMeter()) == folder
    assert not (settings.state_path / "gguf").exists()
