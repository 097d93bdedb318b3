"""Whether each supported platform and Python gets the locked versions as wheels: `uv pip compile` installs nothing."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from src.settings import ROOT

_TIMEOUT_S = 300.0
_OLDEST_MACOS = "14.0"  # of MLX's wheels
_MAC, _X86, _ARM = "aarch64-apple-darwin", "x86_64-manylinux_2_35", "aarch64-manylinux_2_35"
# docs/platforms.md says so: there is no wheel, a C compiler is needed
_COMPILED = {_ARM: ("miniaudio",)}


@dataclass(frozen=True)
class Target:
    """One line of docs/platforms.md: a requirements file on a platform, under one Python."""

    requirements: str
    platform: str
    python: str

    def __str__(self) -> str:
        return f"{self.requirements} {self.platform} {self.python}"

    @property
    def compiled(self) -> tuple[str, ...]:
        """Packages that come as sources there."""
        return _COMPILED.get(self.platform, ())


def targets() -> Iterator[Target]:
    for python in ("3.12", "3.13", "3.14"):
        yield Target("requirements.txt", _MAC, python)
    for requirements in ("requirements.txt", "requirements-cuda12.txt", "requirements-cuda13.txt"):
        for platform in (_X86, _ARM):
            for python in ("3.11", "3.12", "3.13", "3.14"):
                yield Target(requirements, platform, python)


def resolve(uv: Path, target: Target) -> tuple[int, str]:
    """How many packages it gets; and why it gets none, in uv's words."""
    argv = [str(uv), "pip", "compile", target.requirements, "--no-header", "--no-annotate", "--quiet"]
    argv += ["--constraint", Path(target.requirements).with_suffix(".lock").name]
    argv += ["--python-platform", target.platform, "--python-version", target.python, "--only-binary", ":all:"]
    argv += [part for name in target.compiled for part in ("--no-binary", name)]
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": _OLDEST_MACOS}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S)
    problem = "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"
    return len(re.findall(r"^[\w.-]+(?:\[.*\])?==", done.stdout, re.MULTILINE)), problem
