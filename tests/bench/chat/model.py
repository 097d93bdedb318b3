"""The models of the benchmark: 40M parameters with random weights that never end an answer, in fp32 and in 4 bits.

`python -m tests.bench.chat.model FOLDER` makes both below FOLDER, once.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from src.gpu import blas

blas.preload()  # before MLX is imported

import mlx.core as mx  # noqa: E402
from mlx_lm.convert import convert  # noqa: E402

from training.demo.checkpoint import write_random_checkpoint  # noqa: E402

HIDDEN, LAYERS, VOCABULARY = 512, 12, 8192
CONTEXT = 8192


def make(folder: Path) -> None:
    """`fp32` and `4bit` below the folder; what is there already is left as it is."""
    full, small = folder / "fp32", folder / "4bit"
    if not full.is_dir():
        part = folder / "fp32.part"
        shutil.rmtree(part, ignore_errors=True)
        write_random_checkpoint(part, hidden=HIDDEN, layers=LAYERS, vocab=VOCABULARY)
        _to_fp32(part)
        part.rename(full)
    if not small.is_dir():
        shutil.rmtree(folder / "4bit.part", ignore_errors=True)
        convert(str(full), str(folder / "4bit.part"), quantize=True, q_bits=4, q_group_size=64)
        (folder / "4bit.part").rename(small)


def _to_fp32(folder: Path) -> None:
    """As the bench wants it: only fp32 products use a BLAS on a CPU."""
    file = folder / "model.safetensors"
    loaded = mx.load(str(file))
    assert isinstance(loaded, dict)
    weights = {name: array.astype(mx.float32) for name, array in loaded.items()}
    mx.eval(weights)
    mx.save_safetensors(str(file), weights, metadata={"format": "mlx"})
    config = json.loads((folder / "config.json").read_text())
    config |= {"torch_dtype": "float32", "max_position_embeddings": CONTEXT}
    (folder / "config.json").write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
