"""Where the code and what is written lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from src import installation

SHIPPED_MODELS = installation.ROOT / "models"  # found by name wherever MODELS_DIR is
ROOT = installation.ROOT  # of the code; what is written belongs below `home()`


def home() -> Path:
    """The folder of `.env` and of relative paths in settings: the checkout, or a user's own beside a package."""
    return installation.home(os.environ, sys.platform)


def service_directories() -> list[Path]:
    """Runtime directories that the shipped units use: the system's, instances of `stoker@`, this user's."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    return [Path("/run/stoker"), *sorted(Path("/run").glob("stoker-*")), *([Path(own) / "stoker"] if own else [])]
