"""What the figures were measured on: processor, versions, BLAS, load."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from src.settings import ROOT
from tests.bench.chat.servers import PACKAGES, VENV

_PACKAGES = ("mlx", "mlx-lm", "mlx-vlm")
_VERSIONS = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
_ASK_S = 60.0


def load() -> float:
    return float(psutil.getloadavg()[0])


def described(library: Path | None, before: float) -> list[str]:
    """Lines for the reader; `before` is the load when the run began."""
    return [
        f"{_processor()}, {psutil.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}; "
        f"load {before:.1f} before, {load():.1f} after",
        f"stoker at {_commit()}: {', '.join(f'{name} {version(name)}' for name in _PACKAGES)}; "
        f"BLAS: {library.name if library is not None else 'the one MLX brings'}",
        f"peers: {_peers()}; “OpenBLAS” is the same library, preloaded",
        "tokens/s: output tokens from the first request to the last token; times in seconds; medians (ranges)",
    ]


def _processor() -> str:
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = [line.partition(":")[2].strip() for line in facts.splitlines() if line.startswith("model name")]
    return found[0] if found else platform.machine()


def _commit() -> str:
    return _said(["git", "describe", "--always", "--dirty"]) or "an unknown commit"


def _peers() -> str:
    return _said([str(VENV / "bin" / "python"), "-c", _VERSIONS, *_PACKAGES]) or ", ".join(PACKAGES)


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_ASK_S).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return ""
