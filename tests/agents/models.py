"""The demo model with room for an agent's first turn, which is ten times what the model was made for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from src.settings import ROOT

CONTEXT = 65_536


def widened_demo(folder: Path) -> Path:
    """A copy of the demo model whose context is CONTEXT tokens: what it says there is no matter."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "models" / "demo", folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = CONTEXT
    (folder / "config.json").write_text(json.dumps(config))
    return folder
