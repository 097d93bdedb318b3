"""Quantised checkpoints of every kind, tiny: they load on a CPU, by kernel and in fp32, and their memory is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from src.engine.backend import Backend
from tests.contract.test_backends import Batch, load

MIXED = {"model.layers.0.mlp.down_proj": {"group_size": 32, "bits": 8, "mode": "affine"}}
KINDS: list[tuple[str, dict[str, Any]]] = [
    *((f"{bits}-bit", {"group_size": 32, "bits": bits, "mode": "affine"}) for bits in (2, 3, 4, 5, 6, 8)),
    ("mxfp4", {"group_size": 32, "bits": 4, "mode": "mxfp4"}),
    ("mxfp8", {"group_size": 32, "bits": 8, "mode": "mxfp8"}),
    ("nvfp4", {"group_size": 16, "bits": 4, "mode": "nvfp4"}),
    ("4-bit mixed", {"group_size": 32, "bits": 4, "mode": "affine", **MIXED}),
]


@pytest.fixture(scope="module")
def plain(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.architectures.tiny import write

    return write("llama", tmp_path_factory.mktemp("plain") / "llama", random_model, num_hidden_layers=1)


@pytest.fixture(scope="module")
def counted(plain: Path) -> int:
    backend = load(str(plain))
    backend.close()
    return parameters(backend)


def quantised(plain: Path, folder: Path, form: dict[str, Any]) -> str:
    """The same checkpoint with its matrices quantised, as `mlx_lm.convert` writes it."""
    import shutil

    import mlx.core as mx
    from mlx import nn
    from mlx.utils import tree_flatten
    from mlx_lm.utils import load_model

    shutil.copytree(plain, folder)
    model, config = load_model(plain)

    own = {path: kind for path, kind in form.items() if isinstance(kind, dict)}

    def chosen(path: str, module: Any) -> bool | dict[str, Any]:
        return hasattr(module, "to_quantized") and own.get(path, True)

    nn.quantize(model, form["group_size"], form["bits"], mode=form["mode"], class_predicate=chosen)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps({**config, "quantization": form}))
    return str(folder)


def parameters(backend: Backend) -> int:
    assert backend.info.parameters is not None
    return backend.info.parameters


@pytest.mark.parametrize(("label", "form"), KINDS, ids=[label for label, _ in KINDS])
def test_it_loads_by_kernel_and_in_fp32(
    label: str, form: dict[str, Any], plain: Path, counted: int, tmp_path: Path
) -> None:
    """Parameters are those of the model before; bytes are what is held; what it says of itself is its kind."""
    model = quantised(plain, tmp_path / "model", form)
    for policy in ("never", "always"):
        backend = load(model, cpu_dequantize=policy)
        batch = Batch(backend)
        first, second = batch.insert([1, 2, 3], 4), batch.insert(list(range(1, 20)), 4)
        assert all(made.tokens for made in batch.finish(first, second))
        assert parameters(backend) == counted
        held = backend.info.weight_bytes or 0
        assert (held == 4 * counted) is (policy == "always")
        assert held <= 4 * counted
        assert backend.info.quantization == label
        assert backend.info.kv_bytes_per_token
        backend.close()
