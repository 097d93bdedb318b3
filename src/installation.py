"""Where this installation's code and data lie, and how an operator calls it: a checkout, or an installed package.

Of a checkout both are its folder. Of a package (`stoker_server`, docs/adr/0024) the code lies in site-packages, where
nothing is ever written. Imported by `settings` in every process; reads no environment itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, DISTRIBUTION = "stoker_server", "stoker-server"
_APP = "_app"  # the folder in the package that stands for the checkout
OTEL_COMMAND = "pip install -r requirements-otel.txt (of a package: its extra [otel])"
MlxVariant = Literal["cpu", "cuda12", "cuda13", "metal"]
_MAKE: dict[MlxVariant, str] = {
    "cpu": "make venv CUDA=",
    "cuda12": "make venv CUDA=12",
    "cuda13": "make venv CUDA=13",
    "metal": "make venv",
}


def is_package(root: Path = ROOT) -> bool:
    return (root.parent.name, root.name) == (PACKAGE, _APP)


def home(environment: Mapping[str, str], platform: str, root: Path = ROOT) -> Path:
    """The folder of `.env`, logs, state and models: STOKER_HOME, else the checkout, else the user's own."""
    if chosen := environment.get("STOKER_HOME"):
        return Path(chosen).expanduser().absolute()
    return _user_folder(environment, platform) if is_package(root) else root


def _user_folder(environment: Mapping[str, str], platform: str) -> Path:
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "stoker"
    shared = Path(environment.get("XDG_DATA_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".local" / "share") / "stoker"


def program(root: Path = ROOT) -> str:
    """What the command line's own help calls it."""
    return "stoker" if is_package(root) else "run.py"


def command(words: str, root: Path = ROOT) -> str:
    """What to type for one of our commands."""
    return f"stoker {words}" if is_package(root) else f"python {program(root)} {words}"


def mlx_command(variant: MlxVariant, root: Path = ROOT) -> str:
    """What makes this installation one with that build of MLX; pip cannot replace one by another."""
    if not is_package(root):
        return _MAKE[variant]
    extra = "" if variant == "metal" else f"[{variant}]"
    return f"uninstall {DISTRIBUTION}, then install {DISTRIBUTION}{extra} (docs/install.md)"
