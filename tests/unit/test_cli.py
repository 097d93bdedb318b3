"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from src import cli, effective_settings
from src.commands import check, config
from src.errors import ExitCode
from src.settings import ROOT, VERSION, Settings, example
from src.supervisor import instance, preflight
from src.supervisor.preflight import Finding, engine_findings
from tests.unit.supervisor import harness
from tests.unit.supervisor.harness import Service, eventually


@pytest.fixture
def own_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test looks at a service that runs on this machine."""
    with tempfile.TemporaryDirectory(prefix="stoker-test-") as directory:  # tmp_path is too long for a socket
        monkeypatch.setenv("RUNTIME_DIR", directory)
        yield Path(directory)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with harness.service() as running:
        monkeypatch.setenv("RUNTIME_DIR", str(running.directory))
        yield running


# ---- arguments and settings


def test_without_arguments_it_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Every mode and command is named."""
    assert cli.main([]) == ExitCode.OK
    text = capsys.readouterr().out
    assert all(word in text for word in ("prod", "dev", "backends", "check", "config", "status", "stop"))


def test_an_unknown_argument_is_refused() -> None:
    """Nothing is ignored in silence."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--mode", "prod", "--prot", "80"])
    assert stopped.value.code == 2


@pytest.mark.parametrize("arguments", [["--mode", "prod"], ["check"], ["config"], ["status"], ["stop"]])
def test_wrong_settings_are_all_listed_and_nothing_starts(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two problems, two lines, exit CONFIG, whatever the command."""
    monkeypatch.setenv("PORT", "99999")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    assert cli.main(arguments) == ExitCode.CONFIG
    text = capsys.readouterr().err
    assert "PORT: " in text
    assert "LOG_LEVEL: " in text


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("prod", {"with_web": True, "reload": False, "lifeline": None}),
        ("dev", {"with_web": True, "reload": True, "lifeline": None}),
        ("backends", {"with_web": False, "reload": False, "lifeline": 7}),
    ],
)
def test_each_mode_starts_what_it_says(mode: str, expected: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """prod: all; dev: all, with DEBUG and reload; backends: no web, and a lifeline."""
    seen: dict[str, object] = {}

    def run(settings: Settings, **options: object) -> ExitCode:
        seen.update(options, debug=settings.debug)
        return ExitCode.OK

    monkeypatch.setattr("src.supervisor.main.run", run)
    lifeline = ["--lifeline", "7"] if mode == "backends" else []
    assert cli.main(["--mode", mode, *lifeline]) == ExitCode.OK
    assert seen == expected | {"debug": mode == "dev"}


# ---- config


def test_config_shows_every_setting_with_its_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes from the environment is said to."""
    monkeypatch.setenv("MAX_NUM_SEQS", "7")
    assert cli.main(["config"]) == ExitCode.OK
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["MAX_NUM_SEQS"] == ["environment", "7"]
    assert len(lines) == len(Settings.model_fields) + 1


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("api_keys", "abc", "********"),
        ("api_keys", "", ""),
        ("redis_password", "abc", "********"),
        ("default_max_tokens", 1024, "1024"),
        ("redis_url", "redis://me:secret@host:6379/0", "redis://********@host:6379/0"),
        ("models_dir", Path("models"), "models"),
        ("debug", True, "true"),
        ("runtime_dir", None, ""),
    ],
)
def test_secrets_are_masked_and_nothing_else(name: str, value: object, shown: str) -> None:
    """By the setting's name, or inside a URL; numbers are no secrets."""
    assert effective_settings.masked(name, value) == shown


def test_the_example_is_written(tmp_path: Path) -> None:
    """`config --example` writes what settings generate."""
    assert config.write_example(tmp_path / ".env.example") == ExitCode.OK
    assert (tmp_path / ".env.example").read_text() == example()


# ---- status and stop


@pytest.mark.parametrize("command", ["status", "stop"])
def test_without_a_service_it_says_so(command: str, own_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, and where it looked."""
    assert cli.main([command]) == ExitCode.FAILURE
    assert f"No service is running in {own_directory}" in capsys.readouterr().err


@pytest.mark.e2e
def test_status_and_stop_of_a_running_service(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """The table, the same as JSON, and a stop that returns when the supervisor is gone."""
    supervisor = service.start()
    eventually(service.ready, 20, "ready")
    assert cli.main(["status"]) == ExitCode.OK
    table = capsys.readouterr().out
    assert f"supervisor pid {supervisor.pid}" in table
    processes = table.split("\n\n")[1]
    assert [line.split()[:2] for line in processes.splitlines()[1:]] == [
        ["engine", "ready"],
        ["ocr", "ready"],
        ["web", "ready"],
    ]
    assert cli.main(["status", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["pid"] == supervisor.pid
    assert cli.main(["stop"]) == ExitCode.OK
    assert supervisor.wait(5) == ExitCode.OK
    assert service.all_gone()


@pytest.mark.e2e
def test_watch_goes_on_until_interrupted(service: Service) -> None:
    """^C ends it with 0, and leaves the service alone."""
    service.start()
    eventually(service.ready, 20, "ready")
    # who was started in the background ignores ^C, and so do its children, unless they are told otherwise
    code = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "runpy.run_path('run.py', run_name='__main__')"
    command = [sys.executable, "-c", code, "status", "--watch"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first = watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == ExitCode.OK
    assert "supervisor pid" in first
    assert service.ready()


def test_a_service_of_a_unit_is_found(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell without the unit's environment: the running service left a file that says where it is."""
    service.start()
    eventually(service.ready, 20, "ready")
    monkeypatch.delenv("RUNTIME_DIR")
    monkeypatch.setattr("src.commands.asking.service_directories", lambda: [Path("/nonexistent"), service.directory])
    monkeypatch.setattr("src.commands.asking.runtime.control_socket", _Elsewhere(service.directory))
    assert cli.main(["stop"]) == ExitCode.OK
    assert f"the service in {service.directory}" in capsys.readouterr().err
    assert service.all_gone()
    assert not (service.directory / instance.FILE).exists()


class _Elsewhere:
    """Control sockets, as if no other service ran on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, directory: Path) -> Path:
        return (directory if directory == self._directory else Path("/nonexistent")) / "control.sock"


def test_a_service_without_a_unit_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--service` where none is installed."""
    monkeypatch.setattr("src.commands.unit.PATH", Path("/nonexistent/stoker.service"))
    monkeypatch.setattr("src.commands.unit.installed", lambda: None)
    assert cli.main(["--service", "status"]) == ExitCode.FAILURE
    assert "No service is installed here" in capsys.readouterr().err


_INTERRUPTED = (
    'import src.cli as c; c._run = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt); exit(c.main(["config"]))'
)


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("run.py config | true", ExitCode.CLOSED_PIPE),
        (f"-c '{_INTERRUPTED}'", ExitCode.INTERRUPTED),
    ],
)
def test_a_closed_pipe_and_an_interrupt_leave_no_traceback(shell: str, code: int) -> None:
    """Whoever reads has gone, or ^C: exit codes as shells count them, and not a line of Python."""
    command = f"set -o pipefail; '{sys.executable}' {shell}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, "")


# ---- check


def test_check_fails_when_something_is_missing(
    own_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every finding is shown, the problems again at the end, exit 1."""
    shown = [Finding("platform", "Linux"), Finding("models", "models", "models is no folder")]
    monkeypatch.setattr(check, "findings", lambda _: iter(shown))
    assert cli.main(["check"]) == ExitCode.FAILURE
    text = capsys.readouterr().out
    assert "Linux" in text
    assert "Cannot serve: models is no folder" in text
    monkeypatch.setattr(check, "findings", lambda _: iter(shown[:1]))
    assert cli.main(["check"]) == ExitCode.OK


def test_what_the_engine_found_is_shown_also_what_is_new() -> None:
    """The last line is the object; keys nobody knows yet are shown; null is left out."""
    output = (
        'noise\n{"engine": "mlx", "why": "Metal", "mlx_version": "1", "problem": null, "new_fact": "x", "blas": null}\n'
    )
    assert list(engine_findings(output, "")) == [
        Finding("engine", "mlx"),
        Finding("  why", "Metal"),
        Finding("  mlx version", "1"),
        Finding("  new fact", "x"),
    ]


@pytest.mark.parametrize(
    ("output", "errors", "problem"),
    [
        ('{"engine": "mlx", "problem": "no such model"}', "", "no such model"),
        ("", "Traceback\nImportError: no mlx", "its check failed: ImportError: no mlx"),
        ("half an obj", "", "its check failed: it printed nothing"),
    ],
)
def test_an_engine_that_cannot_serve_is_a_problem(output: str, errors: str, problem: str) -> None:
    """Its own reason, or the last line of its crash."""
    assert [finding.problem for finding in engine_findings(output, errors)] == [problem]


def test_the_machine_ocr_and_places_are_looked_at(own_directory: Path, tmp_path: Path) -> None:
    """Each of them has its line, and a place that cannot be used is a problem."""
    blocked = tmp_path / "file"
    blocked.touch()
    settings = Settings.model_validate(
        {"models_dir": str(tmp_path), "log_dir": str(blocked / "logs"), "inference_engine": "fake"}
    )
    found = {finding.label: finding for finding in preflight.findings(settings)}
    assert {"platform", "python", "memory", "engine", "ocr", "runtime", "logs", "models", "port"} <= set(found)
    assert found["models"].problem is None
    assert found["runtime"].problem is None
    assert found["logs"].problem is not None


# ---- what the process is made of


def test_the_command_line_imports_neither_mlx_nor_flask() -> None:
    """`run.py` becomes the supervisor: whatever it imports, the supervisor carries for months."""
    heavy = ("mlx", "flask", "gevent", "numpy", "transformers", "onnxruntime")
    code = f"import src.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_the_checkouts_command_needs_nothing_activated(tmp_path: Path) -> None:
    """`./stoker`, also through a link; without an environment it says how to make one."""
    (tmp_path / "link").symlink_to(ROOT / "stoker")
    bare = tmp_path / "bare" / "stoker"
    bare.parent.mkdir()
    shutil.copy(ROOT / "stoker", bare)
    said = [
        subprocess.run(
            [path, "--version"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
        )
        for path in (tmp_path / "link", bare)
    ]
    assert (said[0].returncode, said[0].stdout) == (0, f"stoker {VERSION}\n")
    assert (said[1].returncode, "make venv" in said[1].stderr) == (1, True)


def test_run_py_answers_from_any_folder(tmp_path: Path) -> None:
    """The import path is the checkout's, not the shell's."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "--mode" in done.stdout
