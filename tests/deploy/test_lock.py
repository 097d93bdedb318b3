"""requirements.lock stays what requirements.txt asks for."""

from __future__ import annotations

import re
import subprocess

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from src.settings import ROOT


def locked() -> dict[str, str]:
    """Name → version. A package locked twice, by platform, counts with its last."""
    text = (ROOT / "requirements.lock").read_text()
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def test_every_requirement_is_locked_within_its_bounds() -> None:
    """A bound that is raised without `make lock` is noticed."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    wanted = [Requirement(line) for line in lines if line]
    pins = locked()
    for requirement in wanted:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement
    assert len(pins) > len(wanted) * 2


def test_everything_locked_has_a_hash() -> None:
    """One without would let anything be installed in its place."""
    entries = re.split(r"^(?=[\w.-]+==)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_what_make_installs_for_the_service_is_checked_by_hash() -> None:
    """No line of `make venv` takes a file that nobody has looked at; the headless OpenCV comes last."""
    said = subprocess.run(
        ["make", "--dry-run", "--always-make", "venv"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    installs = [line for line in said.stdout.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert all("--require-hashes --no-deps" in line.replace(" --force-reinstall", "") for line in installs)
    picked = subprocess.run(
        ["sed", "-n", "/^opencv-python-headless==/,/# via/p", "requirements.lock"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert re.findall(r"^([\w-]+)==", picked.stdout, re.MULTILINE) == ["opencv-python-headless"]
    assert "--hash=sha256:" in picked.stdout
