"""The demo model with room for an agent's first turn, which is ten times what the model was made for.

What it says there makes no sense and has no end, so that many of its tokens are ends, none is
repeated for long, and one layer is enough.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.numpy import load_file, save_file

from src.settings import ROOT

CONTEXT = 65_536
ENDS_EVERY = 8
RARE_ENDS = 512


def widened_demo(folder: Path, ends_every: int = ENDS_EVERY) -> Path:
    """A copy of the demo model whose context is CONTEXT tokens; an answer has about `ends_every` of them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "models" / "demo", folder)
    config = json.loads((folder / "config.json").read_text())
    ends = config["eos_token_id"] + list(range(0, config["vocab_size"], ends_every))
    config |= {"max_position_embeddings": CONTEXT, "eos_token_id": ends, "num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    kept = {name: each for name, each in weights.items() if ".layers." not in name or ".layers.0." in name}
    save_file(kept, folder / "model.safetensors", {"format": "mlx"})
    drawn = {"eos_token_id": ends, "do_sample": True, "temperature": 1.0, "repetition_penalty": 1.5}
    (folder / "generation_config.json").write_text(json.dumps(drawn))
    return folder
