"""`run.py pull` against a hub on loopback: what comes, what is kept when it breaks off, what is said when it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from src.errors import ExitCode
from src.hub import download, inventory, pull, snapshot
from src.hub.place import ModelFolder
from src.hub.snapshot import Source
from src.settings import ROOT, Settings
from tests.conftest import MakeSettings
from tests.unit.hub.loopback import MODEL, Repository, hub, safetensors, sharded

SOURCES: tuple[Source, ...] = ("huggingface", "modelscope")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


class Here(NamedTuple):
    """A hub, and the settings of a machine that reaches it."""

    repository: Repository
    settings: Settings
    url: str

    @property
    def folder(self) -> Path:
        return self.settings.models_path / MODEL

    @property
    def half(self) -> Path:
        return ModelFolder(self.settings.models_path, MODEL).next

    def pull(self, source: Source | None = None, bits: int | None = None, *, update: bool = False) -> ExitCode:
        return pull.run(pull.PullOptions(MODEL, source, bits, update), self.settings)


@pytest.fixture
def here(make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    repository = Repository()
    with hub(repository) as url:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        files = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr("src.hub.huggingface.get_token", lambda: "hf_secret")
        monkeypatch.setattr(download, "_MAX_FAILURES", 1)
        monkeypatch.setattr(download, "_PAUSE_MAX_S", 0.0)
        (tmp_path / "models").mkdir()
        yield Here(repository, make_settings(models_dir=tmp_path / "models", modelscope_endpoint=url), url)


# ---- what comes


@pytest.mark.parametrize("source", SOURCES)
def test_a_model_lies_under_its_id_with_what_it_needs(
    here: Here, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights, configuration and tokenizer, checked; no code, no pickle, no folder, nothing hidden; the revision."""
    assert here.pull(source) == ExitCode.OK
    wanted = {name for name in here.repository.files if name.endswith((".json", ".safetensors")) and "/" not in name}
    assert {path.name for path in here.folder.iterdir()} == wanted | {"stoker.json"}
    assert all((here.folder / name).read_bytes() == here.repository.files[name] for name in wanted)
    record = snapshot.read(here.folder)
    assert record is not None
    assert (record.source, record.model) == (source, MODEL)
    assert source == "modelscope" or record.revision == here.repository.revision
    assert f"DEFAULT_MODEL={MODEL}" in capsys.readouterr().out
    assert [path.name for path in here.settings.models_path.iterdir()] == ["owner"]


def test_what_is_here_is_not_asked_for_again(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --update the hub hears nothing."""
    assert here.pull() == ExitCode.OK
    here.repository.asked.clear()
    assert here.pull() == ExitCode.OK
    assert here.repository.asked == []
    assert "is complete already" in capsys.readouterr().out


def test_progress_is_said_in_lines_where_nobody_watches(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """The size before, tenths on the way; each tenth once."""
    here.repository.files = sharded(size=5_000_000)
    assert here.pull() == ExitCode.OK
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("10 MB, 10 MB to download")
    assert lines[-1] == "10 MB of 10 MB"
    assert 2 < len(lines) <= 11


def test_the_token_goes_to_the_hub_and_not_to_where_it_points(here: Here) -> None:
    """Weights lie with somebody else; the key to the hub is none of their business."""
    elsewhere = Repository(here.repository.files)
    with hub(elsewhere) as cdn:
        here.repository.cdn = cdn
        assert here.pull() == ExitCode.OK
    resolved = [headers for path, headers in here.repository.asked if "/resolve/" in path]
    assert {headers["authorization"] for headers in resolved} == {"Bearer hf_secret"}
    assert len(elsewhere.asked) == len(resolved) > 0
    assert not any("authorization" in headers for _, headers in elsewhere.asked)


# ---- what breaks off


def test_a_connection_that_ends_is_taken_up_where_it_ended(here: Here) -> None:
    """Every byte comes once, although each shard breaks off four times."""
    here.repository.cut_after = 50_000
    assert here.pull() == ExitCode.OK
    assert len(here.repository.ranges()) == 8
    assert "bytes=50000-" in here.repository.ranges()


def break_off(here: Here) -> list[str]:
    """Shards come in part, then the hub is down: the ranges that are still to be asked for."""
    here.repository.cut_after, here.repository.cut_once = 70_000, True
    assert here.pull(update=True) == ExitCode.FAILURE
    here.repository.cut_after = None
    here.repository.asked.clear()
    begun = [part.stat().st_size for part in here.half.glob(".*.part")]
    assert 70_000 in begun
    return sorted(f"bytes={size}-" for size in begun if size)


def test_the_next_run_goes_on(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """The hub goes away in the middle; what came stays, is listed as not whole, and is not fetched twice."""
    left = break_off(here)
    assert "run this again to resume" in capsys.readouterr().err
    assert not here.folder.exists()
    (half,) = inventory.models(here.settings.models_path)
    assert (half.name, half.missing) == (MODEL, SHARDS)

    assert here.pull() == ExitCode.OK
    assert sorted(here.repository.ranges()) == left
    assert set(here.repository.fetched()) == set(SHARDS)
    assert not list(here.folder.glob(".*"))
    assert not here.half.exists()


def test_a_hub_that_knows_no_ranges_begins_anew(here: Here) -> None:
    """A whole answer to a question for the rest is not put behind the first part."""
    break_off(here)
    here.repository.whole_only = True
    assert here.pull() == ExitCode.OK
    assert (here.folder / SHARDS[0]).read_bytes() == here.repository.files[SHARDS[0]]


def test_a_shard_that_is_not_what_was_listed_is_not_kept(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """Right in size, wrong in a byte: thrown away, and right the next time."""
    here.repository.lies = True
    assert here.pull() == ExitCode.FAILURE
    assert "does not match the hub's digest" in capsys.readouterr().err
    assert not here.folder.exists()
    here.repository.lies = False
    assert here.pull() == ExitCode.OK


def test_what_an_earlier_run_left_is_not_trusted(here: Here) -> None:
    """Whole in size or in part, with wrong bytes: the file comes anew, in the same run."""
    break_off(here)
    for partial in here.half.glob(".*.part"):
        partial.write_bytes(bytes(partial.stat().st_size))
    assert here.pull() == ExitCode.OK
    assert (here.folder / SHARDS[0]).read_bytes() == here.repository.files[SHARDS[0]]


def test_two_do_not_fetch_the_same(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is told, and harms nothing."""
    with ModelFolder(here.settings.models_path, MODEL).exclusive():
        assert here.pull() == ExitCode.ALREADY_RUNNING
    assert "is being downloaded by another process" in capsys.readouterr().err
    assert here.pull() == ExitCode.OK


# ---- what cannot be had


def test_a_full_disk_is_said_before_anything_comes(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it needs and what is free; not a byte of weights."""
    usage = shutil.disk_usage(here.settings.models_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000_000))
    assert here.pull() == ExitCode.FAILURE
    assert "269 MB needed, 100 MB free" in capsys.readouterr().err
    assert here.repository.fetched() == []


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(404, ExitCode.MODEL, "not found|no such model"), (503, ExitCode.FAILURE, "returned 503; try again later")],
)
def test_a_refusal_says_what_it_means(
    here: Here, source: Source, status: int, code: ExitCode, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown, or the hub is ill: the operator does different things about each."""
    here.repository.status = status
    here.repository.error_code = "RepoNotFound" if status == 404 else ""
    assert here.pull(source) == code
    assert re.search(said, capsys.readouterr().err)
    assert not list(here.settings.models_path.iterdir())


@pytest.mark.parametrize(("source", "said"), [("huggingface", "then set HF_TOKEN"), ("modelscope", "it is not public")])
@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_says_where_its_terms_are(
    here: Here, source: Source, said: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """401 and 403 name the way in, if there is one."""
    here.repository.status, here.repository.error_code = status, "GatedRepo"
    assert here.pull(source) == ExitCode.MODEL
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("source", SOURCES)
def test_a_page_of_a_proxy_is_not_taken_for_the_hub(
    here: Here, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 and HTML, as hotels answer."""
    here.repository.status = 200
    assert here.pull(source) == ExitCode.FAILURE
    assert "is a proxy in between?" in capsys.readouterr().err


@pytest.mark.parametrize("source", SOURCES)
def test_offline_says_what_to_do(here: Here, source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens: which address was tried, and how else the model comes here."""
    with hub(Repository()) as gone:
        pass
    settings = here.settings.model_copy(update={"modelscope_endpoint": gone})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", gone)
        assert pull.run(pull.PullOptions(MODEL, source), settings) == ExitCode.FAILURE
    said = capsys.readouterr().err
    assert f"{gone} cannot be reached (ConnectError" in said
    assert "copy the model's folder" in said


@pytest.mark.parametrize("left_out", ["config.json", "*.safetensors"])
def test_a_repository_without_a_model_is_refused(here: Here, left_out: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is fetched."""
    keep = {name: data for name, data in here.repository.files.items() if not name.endswith(left_out.lstrip("*"))}
    here.repository.files = keep
    assert here.pull() == ExitCode.MODEL
    assert "no config.json with model*.safetensors" in capsys.readouterr().err
    assert here.repository.fetched() == []


def test_a_model_that_is_not_whole_on_the_hub_is_not_served(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """The index names a shard nobody uploaded."""
    del here.repository.files[SHARDS[1]]
    assert here.pull() == ExitCode.MODEL
    assert f"incomplete on the hub: {SHARDS[1]}" in capsys.readouterr().err
    assert not here.folder.exists()


@pytest.mark.parametrize(
    "model", ["..", "owner/..", "a/b/c", "/etc/passwd", "owner/.hidden", "https://x/y", "a\\b/c", ""]
)
def test_a_name_that_leaves_its_folder_is_no_model(model: str, here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """Only OWNER/NAME reaches a hub or the disk."""
    assert pull.run(pull.PullOptions(model), here.settings) == ExitCode.MODEL
    assert "is not a hub id (OWNER/NAME)" in capsys.readouterr().err
    assert list(here.settings.models_path.iterdir()) == []
    assert here.repository.asked == []


@pytest.mark.parametrize(
    "name", ["../config.json", "sub/config.json", "a\\config.json", ".config.json", "modeling_x.py", "stoker.json"]
)
def test_a_file_a_hub_cannot_put_here(name: str) -> None:
    """No listing names a place outside the model's folder, code, or our own record."""
    assert not snapshot.wanted(name)


# ---- newer revisions


def test_an_update_fetches_what_changed(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """One shard and the configuration are new; the other shard is taken from what is here."""
    assert here.pull() == ExitCode.OK
    here.repository.files = sharded(seed=1)
    here.repository.asked.clear()
    assert here.pull(update=True) == ExitCode.OK
    assert set(here.repository.fetched()) == {"config.json", SHARDS[1]}
    assert (here.folder / SHARDS[1]).read_bytes() == here.repository.files[SHARDS[1]]
    record = snapshot.read(here.folder)
    assert record is not None
    assert record.revision == here.repository.revision
    assert here.pull(update=True) == ExitCode.OK
    assert "is up to date" in capsys.readouterr().out


def test_an_update_asks_where_the_model_came_from(here: Here) -> None:
    """Nobody has to remember --source."""
    assert here.pull("modelscope") == ExitCode.OK
    here.repository.files = sharded(seed=1)
    assert here.pull(update=True) == ExitCode.OK
    record = snapshot.read(here.folder)
    assert record is not None
    assert record.source == "modelscope"


def test_an_update_that_breaks_off_leaves_the_old_one(here: Here) -> None:
    """It stays whole and listed; the next update goes on, and only then takes its place."""
    assert here.pull() == ExitCode.OK
    old = {path.name: path.read_bytes() for path in here.folder.iterdir()}
    here.repository.files = sharded(seed=1, size=300_000)
    left = break_off(here)
    assert {path.name: path.read_bytes() for path in here.folder.iterdir()} == old
    (listed,) = inventory.models(here.settings.models_path)
    assert listed.missing == ()

    assert here.pull(update=True) == ExitCode.OK
    assert sorted(here.repository.ranges()) == left
    assert (here.folder / SHARDS[0]).read_bytes() == here.repository.files[SHARDS[0]]
    assert not here.half.exists()


def test_what_was_begun_of_another_revision_is_not_mixed_in(here: Here) -> None:
    """Half of the old shards, then a new revision: nothing of the old remains."""
    break_off(here)
    here.repository.files = sharded(seed=1, size=300_000)
    assert here.pull() == ExitCode.OK
    assert here.repository.ranges() == []
    assert inventory.missing(here.folder) == ()
    assert not list(here.folder.glob(".*"))


def test_a_crash_between_two_renames_loses_nothing(here: Here) -> None:
    """The old model lies aside and no new one is there: it is put back."""
    assert here.pull() == ExitCode.OK
    here.half.parent.mkdir(parents=True)
    here.folder.rename(here.half.with_name("old"))
    with ModelFolder(here.settings.models_path, MODEL).exclusive():
        assert inventory.missing(here.folder) == ()
    assert not here.half.exists()


# ---- in 4 or 8 bits


@pytest.mark.parametrize(("bits", "on_hub"), [(4, True), (8, False)])
def test_a_model_is_quantised_on_its_way(
    here: Here, bits: int, on_hub: bool, random_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the hub, nothing but the result stays; from a folder, the folder stays as well."""
    if on_hub:
        here.repository.files = {path.name: path.read_bytes() for path in random_model.iterdir() if path.is_file()}
    else:
        shutil.copytree(random_model, here.folder)
    assert here.pull(bits=bits) == ExitCode.OK
    made = here.folder.with_name(f"tiny-{bits}bit")
    assert json.loads((made / "config.json").read_text())["quantization"]["bits"] == bits
    assert inventory.missing(made) == ()
    assert {path.name for path in made.parent.iterdir()} == {made.name} | (set() if on_hub else {"tiny"})
    assert [path.name for path in here.settings.models_path.iterdir()] == ["owner"]
    assert f"DEFAULT_MODEL={MODEL}-{bits}bit" in capsys.readouterr().out
    assert here.pull(bits=bits) == ExitCode.OK
    assert "is complete already" in capsys.readouterr().out
    record = snapshot.read(made)
    assert (record is not None) == on_hub
    assert record is None or record.revision == here.repository.revision


def test_quantising_what_is_quantised_costs_no_weights(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """The configuration says so; it comes first."""
    here.repository.files["config.json"] = json.dumps({"quantization": {"bits": 4, "group_size": 64}}).encode()
    assert here.pull(bits=4) == ExitCode.MODEL
    assert "is already quantised (4-bit)" in capsys.readouterr().err
    assert not set(here.repository.fetched()) & set(SHARDS)


def test_a_conversion_that_fails_says_why(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """These shards hold no model: the converter's last line, and nothing is put in place."""
    assert here.pull(bits=4) == ExitCode.MODEL
    assert "The conversion failed: " in capsys.readouterr().err
    assert not here.folder.with_name("tiny-4bit").exists()


# ---- the command


def test_the_command_as_it_is_typed(here: Here) -> None:
    """`run.py pull` finds the hub by HF_ENDPOINT, `run.py models` lists what came."""
    names = {"HF_ENDPOINT": here.url, "MODELS_DIR": str(here.settings.models_path), "HF_HUB_OFFLINE": "0"}

    def run(*argv: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | names | changes
        argv = (sys.executable, "run.py", *argv)
        return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    offline = run("pull", MODEL, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stderr) == (ExitCode.FAILURE, "HF_HUB_OFFLINE is set: nothing is downloaded.\n")
    pulled = run("pull", MODEL)
    assert (pulled.returncode, pulled.stdout.split()[:3]) == (ExitCode.OK, [MODEL, "is", "in"])
    (listed,) = json.loads(run("models", "--json").stdout)
    assert (listed["name"], listed["architecture"], listed["missing"]) == (MODEL, "qwen3", [])
    assert listed["revision"] == here.repository.revision
    assert here.repository.revision[:12] in run("models").stdout


# ---- what is here


def test_what_a_folder_lacks_is_named(here: Here) -> None:
    """A shard that is gone, one that is cut short, no tokenizer."""
    assert here.pull() == ExitCode.OK
    (here.folder / SHARDS[0]).unlink()
    short = here.folder / SHARDS[1]
    short.write_bytes(short.read_bytes()[:-1])
    (here.folder / "tokenizer.json").unlink()
    (listed,) = inventory.models(here.settings.models_path)
    assert listed.missing == (SHARDS[0], f"{SHARDS[1]} (truncated)", "tokenizer.json")
    assert "incomplete: model-00001" in inventory.render([listed])


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 64, safetensors(b"abc") + b"x"])
def test_what_is_no_weight_file_is_not_whole(data: bytes, tmp_path: Path) -> None:
    """Empty, too short for a head, a head of nonsense, more than it says."""
    (tmp_path / "model.safetensors").write_bytes(data)
    assert "model.safetensors (truncated)" in inventory.missing(tmp_path)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, None),
        ({"quantization": {"group_size": 64, "bits": 4}}, "4-bit"),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
    ],
)
def test_quantisation_is_read_from_the_configuration(config: dict[str, object], said: str | None) -> None:
    """mlx-lm's entry, or the one of transformers."""
    assert inventory.quantization(config) == said
