"""The revision that an engine tells: equal for the same files, another one for any that differs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from src.engine.revision import FilesChanged, Revision, of_checkpoint, places
from src.engine.upstream import command
from src.settings import Settings
from tests.conftest import MakeSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint."""
    made = tmp_path / "one"
    made.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md"):
        (made / name).write_text(name)
    return made


def later(file: Path) -> None:
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


def nested(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "config.json").write_text("{}")


CHANGES: dict[str, Callable[[Path], object]] = {
    "time": lambda folder: later(folder / "model.safetensors"),
    "size": lambda folder: (folder / "tokenizer.json").write_text("longer than it was"),
    "template": lambda folder: later(folder / "chat_template.jinja"),
    "another": lambda folder: (folder / "adapters.safetensors").write_text("x"),
    "gone": lambda folder: (folder / "model.safetensors").unlink(),
    "name": lambda folder: (folder / "model.safetensors").rename(folder / "weights.safetensors"),
    "nested": nested,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_file_that_differs_makes_another(change: Callable[[Path], object], folder: Path) -> None:
    """Weights, tokenizer, template, adapters; by size, time, name and number."""
    before = Revision.of([folder])
    before.check()
    assert Revision.of([folder]).digest == before.digest
    change(folder)
    assert Revision.of([folder]).digest != before.digest
    with pytest.raises(FilesChanged, match="one"):
        before.check()


def test_the_configuration_counts_by_what_it_says(folder: Path) -> None:
    """Edited within the clock's grain, and put back to its time."""
    file = folder / "config.json"
    before, info = Revision.of([folder]), file.stat()
    file.write_text("CONFIG.json")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert Revision.of([folder]).digest != before.digest


def test_what_no_engine_reads_does_not_count(folder: Path) -> None:
    """A note beside the weights, and where the folder lies."""
    before = Revision.of([folder])
    (folder / "README.md").write_text("anything else")
    assert Revision.of([folder]).digest == before.digest
    assert Revision.of([folder.rename(folder.with_name("two"))]).digest == before.digest


def test_links_count_by_where_they_lead(tmp_path: Path) -> None:
    """As in a hub's cache: the snapshot's name stays, its link leads to another blob of the same size and time."""
    for blob in ("a", "b"):
        (tmp_path / blob).write_text("x")
        os.utime(tmp_path / blob, ns=(0, 0))
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    found = []
    for blob in ("a", "b"):
        (snapshot / "model.safetensors").unlink(missing_ok=True)
        (snapshot / "model.safetensors").symlink_to(tmp_path / blob)
        found.append(Revision.of([snapshot]).digest)
    (snapshot / "broken.safetensors").symlink_to(tmp_path / "nothing")
    assert Revision.of([snapshot]).digest == found[1] != found[0]


def test_a_draft_model_and_packing_count(folder: Path, make_settings: MakeSettings) -> None:
    """Whatever beside the weights decides what is said."""
    draft = folder.with_name("draft")
    draft.mkdir()
    (draft / "config.json").write_text("{}")
    drafted = {"speculative_method": "draft_model", "draft_model": "draft"}

    def made(**changes: object) -> str:
        settings: Settings = make_settings(models_dir=folder.parent, **changes)
        return of_checkpoint(folder, settings).digest

    first = [made(), made(kv_bits="8"), made(**drafted)]
    later(draft / "config.json")
    assert len({*first, made(**drafted)}) == 4
    assert made() == first[0]
    assert made(speculative_method="draft_model", draft_model="not there") == first[0]
    (folder.parent / "small.gguf").write_text("GGUF")
    packed = {"speculative_method": "draft_model", "draft_model": "small.gguf"}
    before = made(**packed)
    later(folder.parent / "small.gguf")
    assert len({first[0], before, made(**packed)}) == 3


def test_what_lies_under_a_name(tmp_path: Path) -> None:
    """A folder, or all pieces of a GGUF."""
    for name in ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "mmproj.gguf"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    assert places("folder", tmp_path) == [tmp_path / "folder"]
    assert [file.name for file in places("big-00001-of-00002.gguf", tmp_path)] == [
        "big-00001-of-00002.gguf",
        "big-00002-of-00002.gguf",
    ]
    assert places("nothing", tmp_path) == []


def test_what_a_command_names_counts(tmp_path: Path) -> None:
    """Projectors, adapters and templates in an upstream server's command; no program, and no folder of anything."""
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (tmp_path / "template.jinja").write_text("x")
    argv = ["/bin/sh", f"--chat-template={tmp_path / 'template.jinja'}", "--lora-modules", f"mine={adapter}", "/", "-c"]
    assert command.files(argv) == [tmp_path / "template.jinja", adapter]
