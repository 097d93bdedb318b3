"""The wheel: built, installed into an environment of its own, run from an empty folder, and what that writes where."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from src.settings import ROOT, VERSION
from tests.deploy.test_lock import asked
from tests.running import Running, free_port

pytestmark = pytest.mark.e2e


def run(*argv: object, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in argv],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    return folder / f"stoker_server-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean one with the wheel. What that requires lies in these tests' environment, so that it takes a second."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-compile", wheel)
    (site_packages(folder) / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python3*/site-packages")
    return found


def test_it_holds_what_the_service_reads_and_one_package_alone(wheel: Path) -> None:
    """No top-level `src` for other programs to meet; every tracked file of the service is there."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"stoker_server", f"stoker_server-{VERSION}.dist-info"}
    listed = run("git", "ls-files", "src", "run.py", "gunicorn.conf.py", "deploy", "models/demo", "models/ocr-tiny")
    wanted = {f"stoker_server/_app/{name}" for name in listed.splitlines() if not name.endswith("loss.png")}
    assert wanted - names == set()
    assert not [name for name in names if name.endswith((".pyc", ".env"))]


def bounds(requirement: Requirement) -> tuple[str, str]:
    return canonicalize_name(requirement.name), str(requirement.specifier)


def test_it_requires_what_the_requirements_files_say(wheel: Path) -> None:
    """One source. MLX's builds own the same files: a plain installation on Linux has none, each extra one."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"stoker_server-{VERSION}.dist-info/METADATA").decode())
    requires = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    plain = {bounds(one) for one in requires if "extra" not in str(one.marker)}
    assert {bounds(one) for one in asked("requirements-base.txt")} <= plain
    assert (metadata["Version"], metadata["License-Expression"]) == (VERSION, "MIT")
    for platform, extra, build in [
        ("linux", "", set()),
        ("linux", "cpu", {"cpu"}),
        ("linux", "cuda12", {"cuda12"}),
        ("linux", "cuda13", {"cuda13"}),
        ("darwin", "", {""}),
        ("darwin", "cpu", {""}),
    ]:
        known = {"extra": extra, "sys_platform": platform, "platform_machine": "arm64"}
        mlx = [one for one in requires if one.name == "mlx" and (one.marker is None or one.marker.evaluate(known))]
        assert {",".join(one.extras) for one in mlx} == build, (platform, extra)


@pytest.fixture
def installed(environment: Path, tmp_path: Path, runtime_dir: Path) -> Iterator[Running]:
    """The service that `stoker --mode prod` starts from an empty folder, for a user without any."""
    empty = tmp_path / "empty"
    empty.mkdir()
    port = free_port()
    chosen = {"HOME": str(tmp_path / "home"), "PORT": str(port), "OCR_WORKERS": "0", "ENGINE_STANDBY": "false"}
    chosen |= {"RUNTIME_DIR": str(runtime_dir), "STATE_DIR": "state", "LAZY_LOAD": "false", "DRAIN_NOTICE": "0"}
    chosen |= {"PYTHONDONTWRITEBYTECODE": "1"}  # so that any new file is the service's
    names = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")} | chosen

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "console").open("wb") as console:
            argv = [str(environment / "bin" / "stoker"), "--mode", "prod"]
            return subprocess.Popen(argv, cwd=empty, env=names, stdout=console, stderr=console)

    running = Running(start, port, tmp_path)
    try:
        running.wait()
        yield running
    finally:
        running.stop()


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_it_serves_from_an_empty_folder_and_writes_beside_its_code_nothing(
    environment: Path, installed: Running, tmp_path: Path
) -> None:
    """The shipped model answers; logs and state are the user's own."""
    before = files(site_packages(environment))
    chat = {"messages": [{"role": "user", "content": "Where are the logs?"}]}
    answer = httpx.post(f"{installed.url}/v1/chat/completions", json=chat, timeout=60).json()
    assert "logs" in answer["choices"][0]["message"]["content"]
    assert b"<html" in httpx.get(installed.url, headers={"Accept": "text/html"}).content.lower()
    installed.process.send_signal(signal.SIGTERM)
    assert installed.process.wait(30) == 0
    assert files(site_packages(environment)) == before
    assert list((tmp_path / "empty").iterdir()) == []
    home = tmp_path / "home" / ".local" / "share" / "stoker"
    assert {path.name for path in home.iterdir()} == {"logs", "state"}
    assert "/v1/chat/completions" in (home / "logs" / "api_requests.log").read_text()


def test_its_command_knows_its_version_and_where_settings_lie(environment: Path, tmp_path: Path) -> None:
    stoker = environment / "bin" / "stoker"
    assert run(stoker, "--version") == f"stoker {VERSION}\n"
    (tmp_path / ".env").write_text("PORT=8123\n")
    shown = run(stoker, "config", STOKER_HOME=str(tmp_path))
    assert [line.split()[1:] for line in shown.splitlines() if line.split()[0] == "PORT"] == [[".env", "8123"]]
    assert str(tmp_path / ".env") in run(stoker, "--help", STOKER_HOME=str(tmp_path)).replace("\n", "")


def test_its_unit_runs_the_command_from_its_home(environment: Path, tmp_path: Path) -> None:
    """By the environment's path, which a newer Python keeps; nothing is written into the package."""
    said = run(environment / "bin" / "stoker", "install-service", "--user", STOKER_HOME=str(tmp_path))
    unit = (tmp_path / "deploy" / "local" / "stoker.service").read_text()
    assert f"ExecStart={environment}/bin/python {environment}/bin/stoker --mode prod" in unit
    assert f"WorkingDirectory={tmp_path}\n" in unit
    assert f'Environment="STOKER_HOME={tmp_path}"' in unit
    assert str(tmp_path / "deploy" / "local" / "stoker.service") in said
