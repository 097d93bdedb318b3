"""Which models can be named, and what is seen of their folders without loading them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from src import catalog
from tests.conftest import MakeSettings


def weights(folder: Path, name: str = "model.safetensors", size: int = 64, cut: int = 0) -> None:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    (folder / name).write_bytes((struct.pack("<Q", len(header)) + header + bytes(size))[: None if not cut else -cut])


def model(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", **config}))
    weights(folder)
    return folder


def test_what_may_be_named(make_settings: MakeSettings, tmp_path: Path) -> None:
    """The default first; local folders by their name or owner/name; ids of the allow-list. Nothing else."""
    model(tmp_path / "one", max_position_embeddings=32768)
    model(tmp_path / "owner" / "two")
    model(tmp_path / "reader", vision_config={})
    (tmp_path / "empty").mkdir()
    found = catalog.entries(
        make_settings(models_dir=tmp_path, default_model="owner/two", allowed_models="hub/three, ", pinned_models="one")
    )
    assert list(found) == ["owner/two", "one", "hub/three", "reader"]
    assert found["one"].context_length == 32768
    assert found["one"].size > 64
    assert found["hub/three"].folder is None


def test_a_path_in_the_settings_is_a_name(make_settings: MakeSettings, tmp_path: Path) -> None:
    folder = model(tmp_path / "somewhere" / "mine")
    found = catalog.entries(make_settings(models_dir=tmp_path / "none", default_model=str(folder)))
    assert found[str(folder)].folder == folder


def test_the_context_is_bounded_by_its_setting() -> None:
    assert catalog.context_length({"max_position_embeddings": 4096}, 1024) == 1024
    assert catalog.context_length({"text_config": {"max_position_embeddings": 512}}, 0) == 512
    assert catalog.context_length({}, 0) == 4096


def test_a_whole_checkpoint_has_no_damage(tmp_path: Path) -> None:
    assert catalog.damage(model(tmp_path / "m")) is None


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: weights(f, cut=1), "cut short"),
        (lambda f: (f / "model.safetensors").write_bytes(b"not weights"), "cut short or damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is damaged"),
        (lambda f: (f / "config.json").write_text("{}"), "model_type"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}'),
            "model-2.safetensors",
        ),
    ],
)
def test_damage_is_named(harm: Any, words: str, tmp_path: Path) -> None:
    """Seen before anything is loaded, so that no other model makes room for this one."""
    folder = model(tmp_path / "m")
    harm(folder)
    assert words in (catalog.damage(folder) or "")


def test_the_demo_model_is_whole(make_settings: MakeSettings) -> None:
    entry = catalog.entries(make_settings())["demo"]
    assert entry.folder is not None
    assert catalog.damage(entry.folder) is None


@pytest.mark.parametrize(
    "config",
    [
        {"max_position_embeddings": "many"},
        {"max_position_embeddings": {"of": 3}},
        {"text_config": "none"},
        {"text_config": [1]},
    ],
)
def test_a_strange_config_hides_no_other_model(
    config: dict[str, Any], make_settings: MakeSettings, tmp_path: Path
) -> None:
    model(tmp_path / "good")
    model(tmp_path / "strange", **config)
    found = catalog.entries(make_settings(models_dir=tmp_path, default_model="good"))
    assert list(found) == ["good", "strange"]
    assert found["strange"].context_length == 4096


def test_links_to_nothing_and_closed_folders_hide_no_other_model(make_settings: MakeSettings, tmp_path: Path) -> None:
    """As a hub cache that was cleaned leaves them, and as `lost+found` is."""
    model(tmp_path / "good")
    broken = model(tmp_path / "broken")
    (broken / "model.safetensors").unlink()
    (broken / "model.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "closed").mkdir(mode=0o000)
    found = catalog.entries(make_settings(models_dir=tmp_path, default_model="good"))
    assert [(entry.name, entry.size > 0) for entry in found.values()] == [("good", True), ("broken", False)]
    assert catalog.damage(broken) == "model.safetensors is cut short or damaged"


def test_no_folder_of_models_at_all(make_settings: MakeSettings, tmp_path: Path) -> None:
    found = catalog.entries(make_settings(models_dir=tmp_path / "none", default_model="good"))
    assert list(found) == ["good"]


def test_gguf_files_are_models(make_settings: MakeSettings, tmp_path: Path) -> None:
    """A file by its name, a folder with one by the folder's; pieces count together, one beside a checkpoint is none."""
    sizes = {
        "small.gguf": 5,
        "one/model.gguf": 7,
        "owner/big/big-00001-of-00002.gguf": 11,
        "owner/big/big-00002-of-00002.gguf": 13,
        "owner/big/mmproj.gguf": 1,
        "two/q4.gguf": 3,
        "two/q8.gguf": 4,
        "both/model.gguf": 2,
    }
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "both" / "config.json").write_text("{}")
    found = catalog.entries(make_settings(models_dir=tmp_path, default_model="small.gguf"))
    local = {name: entry.size for name, entry in found.items() if entry.folder is None}
    assert local == {"small.gguf": 5, "one": 7, "owner/big": 24, "two/q4.gguf": 3, "two/q8.gguf": 4}


@pytest.mark.parametrize("name", ["~nosuchuser/x", "/", "a" * 300, "\0", "demo\n"])
def test_a_setting_that_is_no_path(make_settings: MakeSettings, tmp_path: Path, name: str) -> None:
    """It is listed as a model that is not here; nothing is raised."""
    found = catalog.entries(make_settings(models_dir=tmp_path, default_model=name))
    assert found[name].folder is None


def test_folders_whose_names_cannot_be_shown(make_settings: MakeSettings, tmp_path: Path) -> None:
    """A line break in a folder's name would be one in logs, labels and headers."""
    model(tmp_path / "a\nb")
    model(tmp_path / "good")
    assert list(catalog.entries(make_settings(models_dir=tmp_path, default_model="good"))) == ["good"]


def test_a_configuration_without_end(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Nested deeper than the parser goes: a model of which nothing is known."""
    model(tmp_path / "deep")
    (tmp_path / "deep" / "config.json").write_text('{"a":' * 100_000)
    assert catalog.entries(make_settings(models_dir=tmp_path, default_model="deep"))["deep"].context_length == 4096


@pytest.mark.parametrize(
    ("config", "sees"),
    [
        ({"model_type": "qwen2_vl", "vision_config": {}}, True),
        ({"model_type": "phi3_v"}, True),
        ({"model_type": "llava-qwen2", "mm_vision_tower": "google/siglip"}, True),
        ({"model_type": "qwen3"}, False),
        ({"model_type": "qwen3", "mm_vision_tower": None}, False),
    ],
)
def test_which_models_read_images(config: dict[str, Any], sees: bool) -> None:
    """Some families say it in other fields than `vision_config`."""
    assert catalog.reads_images(config) is sees
