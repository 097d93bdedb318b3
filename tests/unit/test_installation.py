"""Where a checkout and an installed package keep what they write, and how they tell an operator to call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from src import installation

CHECKOUT = Path("/home/ann/stoker")
PACKAGE = Path("/usr/lib/python3/site-packages/stoker_server/_app")


@pytest.mark.parametrize(
    ("root", "environment", "platform", "home"),
    [
        (CHECKOUT, {}, "linux", CHECKOUT),
        (CHECKOUT, {"XDG_DATA_HOME": "/data"}, "darwin", CHECKOUT),
        (CHECKOUT, {"STOKER_HOME": "/srv/stoker"}, "linux", Path("/srv/stoker")),
        (PACKAGE, {}, "linux", Path.home() / ".local/share/stoker"),
        (PACKAGE, {"XDG_DATA_HOME": "/data"}, "linux", Path("/data/stoker")),
        (PACKAGE, {"XDG_DATA_HOME": "relative"}, "linux", Path.home() / ".local/share/stoker"),
        (PACKAGE, {}, "darwin", Path.home() / "Library/Application Support/stoker"),
        (PACKAGE, {"STOKER_HOME": "~/stoker"}, "darwin", Path.home() / "stoker"),
    ],
)
def test_the_home_is_never_in_site_packages(root: Path, environment: dict[str, str], platform: str, home: Path) -> None:
    assert installation.home(environment, platform, root) == home


def test_commands_are_those_of_the_installation() -> None:
    """A message of a package names `stoker`, one of a checkout run.py."""
    assert installation.command("status", PACKAGE) == "stoker status"
    assert installation.command("status", CHECKOUT) == "python run.py status"
    assert (installation.program(PACKAGE), installation.program(CHECKOUT)) == ("stoker", "run.py")


@pytest.mark.parametrize("variant", ["cpu", "cuda12", "cuda13"])
def test_another_build_of_mlx_needs_another_environment(variant: installation.MlxVariant) -> None:
    """pip leaves the old build's files there; `make venv` takes them away first."""
    assert f"stoker-server[{variant}]" in installation.mlx_command(variant, PACKAGE)
    assert installation.mlx_command(variant, CHECKOUT).startswith("make venv CUDA=")
