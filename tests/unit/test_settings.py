"""Settings: bounds, problems, sources, and the texts generated from them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError

from src import settings
from src.settings import GROUPS, ROOT, Settings, SettingsError
from src.settings.shares import names_for
from tests import docs
from tests.conftest import MakeSettings

FIELDS = {name: field for group in GROUPS for name, field in group.model_fields.items()}
NUMBERS = [name for name, field in FIELDS.items() if field.annotation in (int, float)]

# fields that only a property of Settings reads, and what others read instead
READ_AS = {
    "prefix_cache_dir": "prefix_cache_path",
    "debug": "level",
    "log_level": "level",
    "models_dir": "models_path",
    "runtime_dir": "runtime_path",
    "api_keys_file": "api_keys_path",
    "trusted_proxies": "trusted_networks",
}
# fields with one allowed value: they say what is so, and refuse a wish for anything else
ONE_VALUE = {"worker_class"}


def attributes() -> Iterator[str]:
    """Every attribute the sources read. Asked at collection: CPython 3.11 may fail to parse after deep recursion."""
    sources = [file for file in (ROOT / "src").rglob("*.py") if file.parent.name != "settings"]
    for file in [*sources, ROOT / "gunicorn.conf.py"]:
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        yield from (node.attr for node in nodes if isinstance(node, ast.Attribute))


ATTRIBUTES = set(attributes())


def out_of_bounds() -> Iterator[tuple[str, float]]:
    """For every bound, a value just beyond it."""
    for name in NUMBERS:
        for bound in FIELDS[name].metadata:
            if isinstance(bound, Ge):
                yield name, bound.ge - 1  # type: ignore[operator]  # the bounds of numbers are numbers
            elif isinstance(bound, Gt):
                yield name, bound.gt  # type: ignore[misc]
            elif isinstance(bound, Le):
                yield name, bound.le + 1  # type: ignore[operator]


def write(folder: Path, *lines: str) -> Path:
    file = folder / ".env"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_is_bounded(name: str) -> None:
    """No number can be set so low or so high that the service cannot work."""
    bounds = FIELDS[name].metadata
    assert any(isinstance(bound, Ge | Gt) for bound in bounds)
    assert any(isinstance(bound, Le | Lt) for bound in bounds)


@pytest.mark.parametrize(("name", "value"), list(out_of_bounds()))
def test_a_value_beyond_its_bound_is_refused(name: str, value: float, make_settings: MakeSettings) -> None:
    """A value just beyond a bound stops the start, and the error names the setting."""
    with pytest.raises(ValidationError) as caught:
        make_settings(**{name: value})
    assert [problem["loc"] for problem in caught.value.errors()] == [(name,)]


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_says_what_it_is_for(name: str) -> None:
    """Each field has one line of help."""
    help_text = FIELDS[name].description or ""
    assert help_text.endswith(".")
    assert "\n" not in help_text
    assert len(help_text) > 10


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    """Whoever wrote a bad file fixes it in one go: each problem is one line that names its setting and its value."""
    file = write(tmp_path, "PORT=99999", "LOG_LEVEL=LOUD", "OCR_WORKERS=many", "ENABLE_LOG_FILE=perhaps")
    with pytest.raises(SettingsError) as caught:
        settings.load(file)
    found = {name: reason for name, _, reason in (line.partition(": ") for line in caught.value.problems)}
    assert sorted(found) == ["ENABLE_LOG_FILE", "LOG_LEVEL", "OCR_WORKERS", "PORT"]
    assert found["PORT"].endswith("(got '99999')")
    assert str(caught.value).splitlines() == caught.value.problems


def test_an_unknown_name_is_a_problem(tmp_path: Path) -> None:
    """A misspelt setting is named, never silently ignored."""
    with pytest.raises(SettingsError) as caught:
        settings.load(write(tmp_path, "MAX_CONCURENT_REQUESTS=5"))
    assert caught.value.problems == ["MAX_CONCURENT_REQUESTS: no such setting (in .env)"]


def test_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is environment, `.env`, default, and `source_of` tells which it was."""
    file = write(tmp_path, "PORT=9001", "HOST=0.0.0.0")
    monkeypatch.setenv("PORT", "9002")
    loaded = settings.load(file)
    assert (loaded.port, loaded.host, loaded.workers) == (9002, "0.0.0.0", 1)
    assert settings.source_of("port", file) == "environment"
    assert settings.source_of("host", file) == ".env"
    assert settings.source_of("workers", file) == "default"


def test_an_empty_value_means_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NAME=` in the file or the environment leaves the default in place."""
    file = write(tmp_path, "PORT=", "BLAS_LIBRARY=")
    monkeypatch.setenv("HOST", "")
    loaded = settings.load(file)
    assert (loaded.port, loaded.blas_library, loaded.host) == (8000, None, "127.0.0.1")
    assert {settings.source_of(name, file) for name in ("port", "host", "blas_library")} == {"default"}


def test_watermarks_are_known_by_their_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch on MPS calls them counts, unless ours is set too."""
    monkeypatch.setenv("PYTORCH_MPS_LOW_WATERMARK_RATIO", "0.3")
    monkeypatch.setenv("PYTORCH_MPS_HIGH_WATERMARK_RATIO", "0.4")
    monkeypatch.setenv("MEMORY_HIGH_WATERMARK", "0.6")
    loaded = settings.load(tmp_path / "none")
    assert (loaded.memory_low_watermark, loaded.memory_high_watermark) == (0.3, 0.6)


def test_settings_are_frozen(make_settings: MakeSettings) -> None:
    """Nobody can change a setting under a running process."""
    made = make_settings()
    with pytest.raises(ValidationError, match="frozen"):
        made.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "level"), [({"log_level": "warning"}, "WARNING"), ({"log_level": "ERROR", "debug": True}, "DEBUG")]
)
def test_the_level(changes: dict[str, Any], level: str, make_settings: MakeSettings) -> None:
    """LOG_LEVEL is taken in any case, and DEBUG beats it."""
    assert make_settings(**changes).level == level


def test_paths_are_inside_the_checkout(make_settings: MakeSettings) -> None:
    """Relative folders belong to the checkout, whatever folder the service is started in."""
    made = make_settings(models_dir=Path("models"), log_dir=Path("logs"), runtime_dir=Path("run"))
    assert (made.models_path, made.log_path, made.runtime_path) == (ROOT / "models", ROOT / "logs", ROOT / "run")


def test_the_default_runtime_folder_is_short(make_settings: MakeSettings) -> None:
    """The default leaves room for a socket's name in the 104 bytes that macOS gives its path."""
    path = make_settings(runtime_dir=None).runtime_path
    assert path.is_absolute()
    assert len(str(path)) < 40


def test_the_example_file_is_in_step() -> None:
    """`.env.example` is what the settings generate: `make example` writes it."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == settings.example()


def test_the_example_file_is_the_defaults() -> None:
    """Copying `.env.example` to `.env` changes nothing."""
    assert settings.load(ROOT / ".env.example") == Settings(_env_file=None)


@pytest.mark.parametrize("text", [settings.example(), docs.settings()], ids=["example", "page"])
def test_generated_texts_name_every_setting(text: str) -> None:
    """No setting is missing from what users read."""
    assert [name for name in FIELDS if name.upper() not in text] == []


def test_all_fields_belong_to_a_group() -> None:
    """The generated texts walk over the groups: a field outside of them would be hidden."""
    assert set(Settings.model_fields) == set(FIELDS)


def test_no_setting_without_a_reader() -> None:
    """A setting that nothing reads is a lie: each is read somewhere outside of src/settings."""
    assert [name for name in FIELDS if READ_AS.get(name, name) not in ATTRIBUTES | ONE_VALUE] == []


def test_children_do_not_inherit_what_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child gets our environment and the changes, but never systemd's sockets."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("STOKER_TEST", "kept")
    assert settings.notify_socket() == "/run/systemd/notify"
    made = settings.child_environment(STOKER_SUPERVISED="1")
    assert "NOTIFY_SOCKET" not in made
    assert (made["STOKER_TEST"], made["STOKER_SUPERVISED"]) == ("kept", "1")


def test_a_supervised_process_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The web process starts its own back ends only where no supervisor started it."""
    monkeypatch.delenv(settings.SUPERVISED, raising=False)
    assert not settings.supervised()
    monkeypatch.setenv(settings.SUPERVISED, "1")
    assert settings.supervised()


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "proxy.example.com", "10.0.0.0/33", "1.2.3.4:80", "all"])
def test_what_is_no_network_stops_the_start(make_settings: MakeSettings, entry: str) -> None:
    """TRUSTED_PROXIES is believed: each entry must say exactly who."""
    with pytest.raises(ValidationError, match="trusted_proxies"):
        make_settings(trusted_proxies=f"127.0.0.1,{entry}")


KEYS = {
    "API_KEYS": "alice:secret",
    "api_keys_file": "/etc/keys",
    "REDIS_URL": "redis://:secret@store",
    "STOKER_API_KEY": "secret",
    "BENCH_API_KEYS": "secret",
    "UPSTREAM_API_KEY": "secret",
    "UPSTREAM_URL": "http://user:secret@host",
    "HF_TOKEN": "secret",
    "CREDENTIALS_DIRECTORY": "/run/credentials",
}


@pytest.fixture
def secretive(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTORCH_MPS_LOW_WATERMARK_RATIO", "0.25")
    monkeypatch.setenv("HOST", "0.0.0.0")  # only read
    monkeypatch.setenv("STOKER_TEST", "kept")
    return settings.load()


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        ("ocr", set()),
        ("engine", {"UPSTREAM_API_KEY", "UPSTREAM_URL"}),
        ("web", set(KEYS) - {"STOKER_API_KEY", "BENCH_API_KEYS", "UPSTREAM_API_KEY"}),
    ],
)
def test_processes_get_the_settings_of_their_groups_alone(
    kind: settings.ProcessKind, held: set[str], secretive: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither their environment nor what they load of it holds others' keys or URLs of stores."""
    made = settings.process_environment(kind, secretive, CHANGE="1")
    assert set(KEYS) & set(made) == held
    assert (made["STOKER_TEST"], made["CHANGE"]) == ("kept", "1")
    for name in [*KEYS, "HOST", "PYTORCH_MPS_LOW_WATERMARK_RATIO"]:
        monkeypatch.delenv(name)
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    loaded = settings.load()
    assert loaded.memory_low_watermark == 0.25
    for name in set(KEYS) - {"HF_TOKEN", "CREDENTIALS_DIRECTORY"}:
        assert bool(getattr(loaded, name.lower())) == (name in held), name


def test_a_relative_home_is_the_same_folder_for_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children start where the code lies: in a package, that is site-packages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STOKER_HOME", "data")
    assert settings.home() == tmp_path / "data"
    assert settings.child_environment()["STOKER_HOME"] == str(tmp_path / "data")
    assert settings.load().state_path == tmp_path / "data" / "state"
    monkeypatch.delenv("STOKER_HOME")
    assert "STOKER_HOME" not in settings.child_environment()


def test_what_stands_in_the_file_reaches_the_back_ends_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They never read `.env`, where keys stand: the supervisor hands them what is theirs; web drops what is not."""
    file = tmp_path / ".env"
    file.write_text("API_KEYS=alice:secret\nUPSTREAM_API_KEY=secret\nMAX_NUM_SEQS=7\nLOG_DIR=elsewhere\n")
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    made = settings.process_environment("ocr", settings.load())
    assert (made["MAX_NUM_SEQS"], made["LOG_DIR"]) == ("7", "elsewhere")
    monkeypatch.setenv(settings.PROCESS, "ocr")
    assert (settings.load().api_keys, settings.load().max_num_seqs) == (
        "",
        Settings.model_fields["max_num_seqs"].default,
    )
    monkeypatch.setenv(settings.PROCESS, "web")
    assert (settings.load().api_keys, settings.load().upstream_api_key) == ("alice:secret", "")


@pytest.mark.parametrize(("kind", "folders"), [("engine", ("engine", "gpu")), ("ocr", ("ocr", "gpu"))])
def test_back_ends_read_no_setting_of_another_group(kind: settings.ProcessKind, folders: tuple[str, ...]) -> None:
    """They would see its default, whatever the operator has set."""
    files = [file for folder in folders for file in (settings.ROOT / "src" / folder).rglob("*.py")]
    words = {word for file in files for word in re.findall(r"(?:settings|config)\.([a-z_]+)", file.read_text())}
    read = words & set(Settings.model_fields)
    assert len(read) > 10
    assert read <= names_for(kind)
