"""deploy/container, where no container engine runs: parsed, checked against the checkout, and its steps run by hand.

`make venv`, the image's one build step of ours, is what CI itself runs from a clean clone; here the image's command is
started with the image's environment and asked by the image's health check.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src.settings import ROOT
from tests.deploy import tools
from tests.running import free_port, service

_FOLDER = tools.DEPLOY / "container"


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction, comments left out and continued lines joined."""
    text = re.sub(r"^#.*\n", "", (_FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


def environment() -> dict[str, str]:
    found: dict[str, str] = {}
    for word, rest in instructions():
        if word == "ENV":
            found |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    return found


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """Each COPY names files of the checkout that .dockerignore lets through; nothing else is sent, no .env, no keys."""
    allowed = [line[1:] for line in (_FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    sources = [source for word, rest in instructions() if word == "COPY" for source in rest.split()[:-1]]
    assert sources
    assert all(list(ROOT.glob(source)) for source in sources)
    assert set(sources) <= set(allowed)
    assert (_FOLDER / "Dockerfile.dockerignore").read_text().startswith("*\n")


def test_the_image_is_made_as_one_should_be() -> None:
    """A pinned base, no root, no package lists left, one make target of ours, a health check, signals that arrive."""
    words = [word for word, _ in instructions()]
    base = next(rest for word, rest in instructions() if word == "FROM")
    assert re.match(r"\S+:\d+\.\d+-slim-\w+ ", base)
    assert [rest for word, rest in instructions() if word == "USER"] == ["stoker"]
    assert {"HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD"} <= set(words)
    runs = [rest for word, rest in instructions() if word == "RUN"]
    assert all("rm -rf /var/lib/apt/lists" in run for run in runs if "apt-get" in run)
    assert any(run.startswith("make venv") for run in runs)
    for run in runs:
        assert subprocess.run(["bash", "-n", "-c", run]).returncode == 0


def test_compose_mounts_what_exists_and_is_closed() -> None:
    """Every mounted path exists (but the key one makes), ports are on loopback, nothing starts without keys."""
    compose = yaml.safe_load((_FOLDER / "compose.yml").read_text())
    services = compose["services"]
    mounts = [volume.split(":")[0] for one in services.values() for volume in one.get("volumes", ())]
    paths = [_FOLDER / mount for mount in mounts if mount.startswith(".") and not mount.endswith(".key")]
    assert [path for path in paths if not path.exists()] == []
    assert {mount for mount in mounts if not mount.startswith(".")} == set(compose["volumes"])
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one.get("ports", ()))
    assert ":?" in services["stoker"]["environment"]["API_KEYS"]
    assert services["stoker"]["cap_drop"] == ["ALL"]
    cuda = yaml.safe_load((_FOLDER / "compose.cuda.yml").read_text())["services"]["stoker"]
    assert (ROOT / f"requirements-cuda{cuda['build']['args']['CUDA']}.lock").exists()


def test_promtool_accepts_the_compose_scrape_configuration(folder: Path) -> None:
    """It finds its rules where compose mounts them."""
    (folder / "rules").symlink_to(tools.DEPLOY / "prometheus" / "rules")
    text = (_FOLDER / "prometheus.yml").read_text()
    (folder / "stoker.key").write_text("sk-0123456789abcdef")
    (folder / "prometheus.yml").write_text(text.replace("/etc/prometheus", str(folder)))
    done = tools.run(tools.need("promtool"), "check", "config", folder / "prometheus.yml")
    assert done.returncode == 0, done.stderr


@pytest.mark.e2e
def test_the_images_command_serves_and_its_health_check_agrees(folder: Path) -> None:
    """CMD with the image's environment comes up; HEALTHCHECK says yes while it serves, and no afterwards."""
    command = json.loads(next(rest for word, rest in instructions() if word == "CMD"))
    health = json.loads(next(rest for word, rest in instructions() if word == "HEALTHCHECK").partition("CMD ")[2])
    port = free_port()
    changes = {name.lower(): value for name, value in environment().items() if name in ("HOST",)}
    check = [sys.executable, *health[1:]]
    with service(
        command=tuple(command[1:]),
        port=port,
        inference_engine="fake",
        ocr_workers=0,
        api_keys="sk-0123456789abcdef",
        **changes,
    ):
        assert subprocess.run(check, env={"PORT": str(port)}, capture_output=True).returncode == 0
    assert subprocess.run(check, env={"PORT": str(port)}, capture_output=True).returncode != 0
