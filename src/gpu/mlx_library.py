"""Which distribution MLX's compiled library belongs to: the CPU's, CUDA's or Metal's. Imports no MLX.

They all own `mlx/lib/libmlx.so`, so that the one installed last wins and pip does not notice. Asked by `run.py check`
and by the engine at its start; `/api/gpu-status` shows it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from src.installation import MlxVariant, is_package, mlx_command

_VARIANTS: dict[str, MlxVariant] = {
    "mlx-cpu": "cpu",
    "mlx-cuda-12": "cuda12",
    "mlx-cuda-13": "cuda13",
    "mlx-metal": "metal",
}
_ANY = "mlx-metal" if sys.platform == "darwin" or not is_package() else "mlx-cpu"
_LIBRARIES = ("mlx/lib/libmlx.so", "mlx/lib/libmlx.dylib")
# the oldest driver of each, by NVIDIA's tables
_DRIVERS = {"mlx-cuda-12": (550, 54), "mlx-cuda-13": (580,)}


@dataclass(frozen=True)
class Owner:
    """An installed distribution that owns MLX's library: its version, and how long it wrote that file."""

    name: str
    version: str
    recorded_bytes: int | None


@dataclass(frozen=True)
class Library:
    """The library as found. `problem`: why it is not the one that was meant, and what to run."""

    name: str | None
    problem: str | None = None


def examine() -> Library:
    """The library of this environment."""
    return judge([owner for name in _VARIANTS if (owner := _owner(name)) is not None], _found_bytes(), _version("mlx"))


def judge(owners: Sequence[Owner], found_bytes: int | None, mlx: str | None) -> Library:
    """Compare the file with who claims it. Pure."""
    if not owners or mlx is None:
        return Library(None, None if mlx is None else f"MLX has no compiled library installed. Run: {_command(_ANY)}")
    by_size = next((owner for owner in owners if owner.recorded_bytes == found_bytes), None)
    shown = f"{by_size.name} {by_size.version}" if by_size is not None else None
    if len(owners) > 1:
        names = " and ".join(owner.name for owner in owners)
        commands = " or ".join(_command(owner.name) for owner in reversed(owners))
        text = f"{names} are both installed and own the same file; the one loaded is {shown or 'neither'}."
        return Library(shown, f"{text} Run: {commands}")
    (owner,) = owners
    if by_size is None:
        text = f"MLX's library has {found_bytes} bytes, that of {owner.name} {owner.version} {owner.recorded_bytes}."
        return Library(None, f"{text} Run: {_reinstall(owner)}")
    if owner.version != mlx:
        return Library(shown, f"mlx is {mlx}, its library {shown}. Run: {_command(owner.name)}")
    return Library(shown)


def driver_problem(library: str | None, driver: str | None) -> str | None:
    """Why NVIDIA's driver is too old for this build, if it is."""
    least = _DRIVERS.get((library or "").partition(" ")[0])
    parts = tuple(int(part) for part in (driver or "").split(".")[:2] if part.isdigit())
    if least is None or not parts or parts >= least:
        return None
    needed = ".".join(map(str, least))
    either = f", or: {_command('mlx-cuda-12')}" if parts >= _DRIVERS["mlx-cuda-12"] else ""
    return f"NVIDIA's driver {driver} is older than {needed}, which {library} needs. Update it{either}"


def _command(name: str) -> str:
    return mlx_command(_VARIANTS[name])


def _reinstall(owner: Owner) -> str:
    return f"python -m pip install --force-reinstall --no-deps {owner.name}=={owner.version}"


def _owner(name: str) -> Owner | None:
    if (found := _distribution(name)) is None:
        return None
    sizes = (file.size for file in found.files or () if str(file) in _LIBRARIES)
    return Owner(name, found.version, next(sizes, None))


def _found_bytes() -> int | None:
    if (mlx := _distribution("mlx")) is None:
        return None
    places = (Path(str(mlx.locate_file(library))) for library in _LIBRARIES)
    return next((place.stat().st_size for place in places if place.is_file()), None)


def _version(name: str) -> str | None:
    found = _distribution(name)
    return None if found is None else found.version


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
