"""Each lock stays what its requirements ask for, and has MLX's library of one kind alone."""

from __future__ import annotations

import re
import subprocess

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from src.settings import ROOT

VARIANTS = ("requirements", "requirements-cuda12", "requirements-cuda13")


def locked(variant: str) -> dict[str, list[str]]:
    """Name → versions: one for each platform that asks for another."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / f"{variant}.lock").read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def asked(file: str) -> list[Requirement]:
    """What a file asks for, with the file that it includes."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    own = [Requirement(line) for line in lines if line and not line.startswith("-r ")]
    return own + [wish for line in lines if line.startswith("-r ") for wish in asked(line[3:])]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_requirement_is_locked_within_its_bounds(variant: str) -> None:
    """A bound that is raised without `make lock` is noticed."""
    wanted, pins = asked(f"{variant}.txt"), locked(variant)
    for requirement in wanted:
        assert any(map(requirement.specifier.contains, pins[canonicalize_name(requirement.name)])), requirement
    assert len(pins) > len(wanted) * 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_has_one_build_of_mlx(variant: str) -> None:
    """Two would own one file, and the last installed would win. All variants agree in everything else they share."""
    pins, cpu = locked(variant), locked("requirements")
    builds = dict(zip(VARIANTS, ("mlx-cpu", "mlx-cuda-12", "mlx-cuda-13"), strict=True))
    assert [name for name in pins if name in builds.values()] == [builds[variant]]
    assert {name: version for name, version in pins.items() if cpu.get(name, version) != version} == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_locked_has_a_hash(variant: str) -> None:
    """One without would let anything be installed in its place."""
    entries = re.split(r"^(?=[\w.-]+==)", (ROOT / f"{variant}.lock").read_text(), flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def commands(*more: str) -> list[str]:
    """What `make venv` would run."""
    argv = ["make", "--dry-run", "--always-make", "venv", *more]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return said.stdout.splitlines()


def test_a_variant_is_installed_by_its_lock_after_the_other_has_left() -> None:
    """And is remembered: a later `make serve` does not bring the CPU's library back."""
    ran = commands("CUDA=13")
    order = ["pip uninstall -qq --yes mlx-cpu mlx-cuda-12 mlx-cuda-13", "-r requirements-cuda13.lock", "echo 13 > "]
    found = [next(place for place, line in enumerate(ran) if part in line) for part in order]
    assert found == sorted(found)
    assert not [line for line in ran if "requirements.lock" in line]


def test_a_python_that_will_not_do_is_named() -> None:
    """With the versions that will, and the command to choose one."""
    argv = ["make", "venv", "VENV=/nonexistent/venv", "PYTHON=false"]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode != 0
    assert "Python 3.11 to 3.14 is needed (3.12 or newer on macOS): make PYTHON=python3.12 venv" in said.stdout


def test_what_make_installs_for_the_service_is_checked_by_hash() -> None:
    """No line of `make venv` takes a file that nobody has looked at; the headless OpenCV comes last."""
    installs = [line for line in commands("CUDA=") if "pip install" in line]
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
