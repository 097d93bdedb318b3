"""Models that do not fit are refused with both numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.engine.mlx import weights
from src.errors import ModelLoadFailed


def test_weights_beyond_the_engines_budget_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """What it needs, what the engine may take, and which settings change that."""
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(300 << 20)  # a hole: no disk is taken
    weights.refuse_too_large(tmp_path, "large", 301 << 20)
    with pytest.raises(ModelLoadFailed, match=r"needs 300 MB; its engine may take 299 MB.*MLX_MEMORY_FRACTION"):
        weights.refuse_too_large(tmp_path, "large", 299 << 20)
