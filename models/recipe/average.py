"""The mean of checkpoints of one training, often better than each: `python -m models.recipe.average A B --out C`."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from models.recipe.checkpoint import build_model, write_weights

FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def weights(folder: Path) -> dict[str, mx.array]:
    """The weights of a checkpoint in fp32."""
    model = build_model(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    model.load_weights(str(folder / "model.safetensors"))
    model.set_dtype(mx.float32)
    return dict(tree_flatten(model.parameters()))


def average(folders: list[Path], out: Path) -> None:
    """Write the mean; the other files are those of the first checkpoint."""
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(folders[0] / name, out / name)
    found = [weights(folder) for folder in folders]
    mean = {name: sum((each[name] for each in found), mx.zeros(1)) / len(found) for name in found[0]}
    model = build_model(json.loads((out / "config.json").read_text(encoding="utf-8")))
    model.update(tree_unflatten(list(mean.items())))
    write_weights(out, model)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    average(args.folders, args.out)


if __name__ == "__main__":
    main()
