"""`make bench-models`: what moving a model costs and frees, on a checkpoint of 850 MB made for it, as Markdown.

First load: a new process, file pages dropped (`posix_fadvise`). Return: from `cpu`, file pages warm. Memory: MLX's
own active figure, and the anonymous resident memory of the engine's process seen from outside.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from src.gpu import blas
from tests.running import Running, service

_ROUNDS = 5
_HIDDEN, _LAYERS = 1024, 17  # 213 million parameters, fp32 on the disk
_MB = 1 << 20


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as place:
        folder = Path(place) / "large"
        _write(folder)
        with service(
            models_dir=place, default_model="large", lazy_load=True, ocr_workers=0, heartbeat_interval=0.1
        ) as running:
            _measure(running, folder)


def _write(folder: Path) -> None:
    """As training.demo makes random checkpoints, but large and in fp32."""
    blas.preload()
    import mlx.core as mx
    from mlx.utils import tree_flatten

    from training.demo import checkpoint
    from training.demo.corpus import tokenizer_texts

    folder.mkdir()
    tokenizer = checkpoint.build_tokenizer(itertools.islice(tokenizer_texts(7), 6000), 2048)
    shape = checkpoint.Shape(_HIDDEN, _LAYERS, 3 * _HIDDEN, 16, 8, 64, tokenizer.get_vocab_size())
    model = checkpoint.build_model(checkpoint.write_config(folder, shape, tokenizer))
    checkpoint.write_tokenizer(folder, tokenizer)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"})


def _measure(running: Running, folder: Path) -> None:
    weights = (folder / "model.safetensors").stat().st_size
    first, back, rows = [], [], {}
    for _ in range(_ROUNDS):
        _drop_pages(folder)
        first.append(_timed(running, "/v1/models/load", model_name="large"))
        rows["loaded"] = _memory(running)
        for _ in range(2):
            _timed(running, "/api/gpu/offload")
            rows["offloaded"] = _memory(running)
            back.append(_timed(running, "/v1/models/load", model_name="large"))
            rows["returned"] = _memory(running)
        _timed(running, "/v1/models/unload", model_name="large")
        assert _engine(running) is None
    pairs = [one / statistics.median(back[2 * at : 2 * at + 2]) for at, one in enumerate(first)]
    sys.stdout.write(
        f"weights {weights / 1e6:.0f} MB, {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}\n\n"
    )
    sys.stdout.write("| | MLX active | anonymous RSS | of the weights |\n|---|---|---|---|\n")
    for state, (active, anonymous) in rows.items():
        sys.stdout.write(
            f"| {state} | {active / _MB:.0f} MB | {anonymous / _MB:.0f} MB | {active / weights:.1%} active |\n"
        )
    sys.stdout.write("| unloaded | no process | no process | |\n\n")
    sys.stdout.write(f"first load {_range(first)}; return {_range(back)}; ratio {_range(pairs, '×')} (≥ 3×)\n")


def _drop_pages(folder: Path) -> None:
    """Have the system forget the files: written to the disk first, else they stay."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _timed(running: Running, path: str, **body: Any) -> float:
    began = time.monotonic()
    httpx.post(running.url + path, json=body, timeout=120).raise_for_status()
    return time.monotonic() - began


def _engine(running: Running) -> dict[str, Any] | None:
    return running.status().get("engine")


def _memory(running: Running) -> tuple[int, int]:
    """MLX's active bytes as the next heartbeat tells them; anonymous bytes of the process."""
    time.sleep(0.5)
    engine = _engine(running)
    assert engine is not None
    process = psutil.Process(engine["pid"])
    anonymous = sum(region.anonymous for region in process.memory_maps())
    return int(engine["health"]["memory"]["mlx_active_bytes"]), anonymous


def _range(values: list[float], unit: str = " s") -> str:
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
