"""What the wheel requires, read from the requirements files, their one place. Called by hatchling (`make wheel`).

An extra can only add. MLX's builds for a CPU and for CUDA are the same files, so on Linux each is an extra of its own
and none is required; a Mac's comes without one.
"""

from __future__ import annotations

from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

_EXTRAS = {"cpu": "requirements.txt", "cuda12": "requirements-cuda12.txt", "cuda13": "requirements-cuda13.txt"}
_EXTRAS |= {"otel": "requirements-otel.txt"}


class RequirementsHook(MetadataHookInterface):
    """`[tool.hatch.metadata.hooks.custom]` of pyproject.toml."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, object]) -> None:
        root = Path(self.root)
        by_platform = requirements(root / "requirements.txt")
        mac = [line for line in by_platform if '"darwin"' in line]
        metadata["dependencies"] = [*requirements(root / "requirements-base.txt"), *mac]
        extras = {extra: requirements(root / file) for extra, file in _EXTRAS.items()}
        metadata["optional-dependencies"] = extras | {"cpu": [line for line in by_platform if line not in mac]}


def requirements(file: Path) -> list[str]:
    """Its own lines, without comments and without the files that it includes."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-r")]
