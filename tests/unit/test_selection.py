"""Which engine serves a model, and why."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from src import selection
from src.errors import ModelLoadFailed
from src.selection import Format, Machine, decide, gguf_file, model_format, select, unmet
from tests.conftest import MakeSettings

NVIDIA = Machine(nvidia=True, vllm=True)


@pytest.mark.parametrize(
    ("form", "machine", "engine", "reason"),
    [
        ("gguf", Machine(llama_cpp=True), "llama.cpp", "GGUF"),
        ("gguf", Machine(nvidia=True, vllm=True, llama_cpp=True), "llama.cpp", "GGUF"),
        ("gguf", Machine(), "mlx", "no llama.cpp server"),
        ("mlx", NVIDIA, "mlx", "MLX's own format"),
        ("safetensors", Machine(), "mlx", "this machine"),
        ("safetensors", NVIDIA, "vllm", "NVIDIA"),
        ("unknown", NVIDIA, "vllm", "NVIDIA"),
        ("safetensors", Machine(nvidia=True), "mlx", "this machine"),
        ("safetensors", Machine(nvidia=True, vllm=True, mlx_cuda=True), "mlx", "this machine"),
    ],
)
def test_auto(form: Format, machine: Machine, engine: str, reason: str) -> None:
    """By the model's format, then by the machine."""
    chosen = decide(form, machine)
    assert chosen.engine == engine
    assert reason in chosen.why


def test_what_is_named_is_taken(make_settings: MakeSettings) -> None:
    """A named engine needs no look at the model; a remote server is an upstream."""
    assert select("demo", make_settings(inference_engine="fake")).engine == "fake"
    settings = make_settings(upstream_url="http://there", default_model="theirs")
    assert (select("theirs", settings).engine, select("demo", settings).engine) == ("vllm", "mlx")
    assert select("demo", make_settings()).engine == "mlx"


def test_what_an_engine_cannot_do_is_named(make_settings: MakeSettings) -> None:
    """The engine mlx sees for itself which models can; the others have none of it."""
    wishes = make_settings(kv_bits="8", prefix_cache_dir="/there")
    assert unmet("vllm", wishes) == ("KV_BITS", "PREFIX_CACHE_DIR")
    assert unmet("mlx", wishes) == unmet("llama.cpp", make_settings()) == ()


def test_formats(tmp_path: Path) -> None:
    """A file, a folder with one, a name without its ending; a checkpoint with a GGUF beside it is a checkpoint."""
    for name in ("file.gguf", "folder/model.gguf", "both/model.gguf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name, config in (("both", {}), ("quantised", {"quantization": {"bits": 4}}), ("odd", [])):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    forms = {name: model_format(name, tmp_path) for name in ("file.gguf", "file", "folder", "both", "quantised", "odd")}
    assert forms == {
        "file.gguf": "gguf",
        "file": "gguf",
        "folder": "gguf",
        "both": "safetensors",
        "quantised": "mlx",
        "odd": "safetensors",
    }
    assert model_format("absent", tmp_path) == "unknown"


def test_one_file_of_a_folder(tmp_path: Path) -> None:
    """Pieces count as one model and projectors as none; two models are one too many to guess."""
    for name in ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "mmproj-big.gguf"):
        (tmp_path / "big").mkdir(exist_ok=True)
        (tmp_path / "big" / name).touch()
    assert gguf_file("big", tmp_path).name == "big-00001-of-00002.gguf"
    (tmp_path / "big" / "other.gguf").touch()
    with pytest.raises(ModelLoadFailed, match=r"other\.gguf"):
        gguf_file("big", tmp_path)
    with pytest.raises(ModelLoadFailed, match=r"No \.gguf file"):
        gguf_file("absent", tmp_path)


def test_what_is_installed_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the packages takes tens of milliseconds of the web process's event loop."""
    read = Mock(return_value=[])
    monkeypatch.setattr(selection, "distributions", read)
    selection._has_mlx_cuda.cache_clear()
    assert [selection._has_mlx_cuda() for _ in range(3)] == [False] * 3
    selection._has_mlx_cuda.cache_clear()
    assert read.call_count == 1
