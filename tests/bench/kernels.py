"""`make bench-kernels`: a quantised model on a Linux CPU by each of CPU_KERNELS, in turn, step by step, in one process.

Bare model: forward passes, no service. For each number of rows, tokens/s of decode and prefill by the clock and by
processor seconds; then perplexity on the project's own documentation, and the memory of an engine's process.
`MODEL=FOLDER` is a checkpoint or a GGUF file of Llama's kind; `make test-real` fetches SmolLM2-135M. Steps are the same
tokens in all, so other work on the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from src.gpu import blas

blas.preload()  # before MLX is imported

import mlx.core as mx  # noqa: E402
import numpy as np  # noqa: E402
from mlx_lm.models.cache import BatchKVCache  # noqa: E402

from src.engine.mlx.gguf import checkpoint  # noqa: E402
from src.engine.mlx.kernels import head  # noqa: E402
from src.engine.mlx.weights import CpuPolicy, clean, give_back, read_model, weight_bytes  # noqa: E402
from src.engine.progress import LoadMeter  # noqa: E402
from src.gpu import footprint  # noqa: E402
from src.settings import ROOT  # noqa: E402

PROMPT, TEXT_TOKENS = 75, 512
CLOCKS: dict[str, Callable[[], float]] = {"clock": time.perf_counter, "processor": time.process_time}


class Decoding:
    """Rows of one model, and what their steps took by both clocks."""

    def __init__(self, model: Any, rows: int) -> None:
        self.model, self.rows = model, rows
        self.took: dict[str, list[float]] = {name: [] for name in CLOCKS}
        self.cache = [BatchKVCache([0] * rows) for _ in model.layers]
        chance = np.random.default_rng(rows)
        prompts = mx.array(chance.integers(5, 1000, (rows, PROMPT)))
        self.tokens = mx.array(chance.integers(5, 1000, (999, rows, 1)))
        with head.skipped():
            self.prefill = self._timed(
                lambda: (self.model(prompts, cache=self.cache), [c.state for c in self.cache])[1]
            )
        self._timed(lambda: self._forward(-1))  # the first step does not count

    def step(self, at: int) -> None:
        for name, seconds in self._timed(lambda: self._forward(at)).items():
            self.took[name].append(seconds)

    def rate(self, clock: str) -> float:
        return self.rows / statistics.median(self.took[clock])

    def prefill_rate(self, clock: str) -> float:
        return self.rows * PROMPT / self.prefill[clock]

    def _forward(self, at: int) -> mx.array:
        found: mx.array = self.model(self.tokens[at], cache=self.cache)
        return found

    def _timed(self, compute: Callable[[], Any]) -> dict[str, float]:
        began = {name: clock() for name, clock in CLOCKS.items()}
        mx.eval(compute())
        return {name: clock() - began[name] for name, clock in CLOCKS.items()}


def read(folder: Path, kernels: str) -> Any:
    mx.set_default_device(mx.cpu)
    mx.disable_compile()
    return read_model(folder, CpuPolicy("always", kernels), LoadMeter())[0]


def speeds(models: dict[str, Any], rows: int, steps: int) -> None:
    """A line for each way, and its share of the first one's."""
    runs = {name: Decoding(model, rows) for name, model in models.items()}
    for at in range(steps):
        for run in runs.values():
            run.step(at)
    first = next(iter(runs.values()))
    for name, run in runs.items():
        parts = [f"{rows:3} rows  {name:5}"]
        for clock in CLOCKS:
            decode, prefill = run.rate(clock), run.prefill_rate(clock)
            parts.append(
                f"{clock}: {decode:7.1f} tok/s ({decode / first.rate(clock):.2f}×), prefill {prefill:7.0f}"
                f" ({prefill / first.prefill_rate(clock):.2f}×)"
            )
        print("   ".join(parts), flush=True)


def perplexity(model: Any, ids: list[int]) -> float:
    logits = model(mx.array([ids[:-1]]))[0].astype(mx.float32)
    scores = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    chosen = mx.take_along_axis(scores, mx.array(ids[1:])[:, None], axis=-1)
    return float(mx.exp(-chosen.mean()))


def own_text(folder: Path) -> list[int]:
    """The beginning of the documentation, in the model's tokens."""
    from tokenizers import Tokenizer

    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return list(tokenizer.encode(text).ids[:TEXT_TOKENS])


def memory(folder: Path, kernels: str) -> None:
    """What the process of an engine holds after a load and a short generation."""
    from src.engine import loading
    from src.engine.main import warm_up
    from src.settings import Settings

    settings = Settings(_env_file=None, inference_engine="mlx", cpu_kernels=kernels, prefix_cache_mb=0)
    backend = loading.load(str(folder), settings, LoadMeter())
    warm_up(backend, LoadMeter())
    clean()
    give_back()
    reading = footprint.own()
    found = {"footprint_mb": (reading.footprint_bytes or 0) >> 20, "rss_mb": reading.rss_bytes >> 20}
    print(json.dumps({**found, "weights_mb": (backend.info.weight_bytes or 0) >> 20}))


def _memory_of(folder: Path, kernels: str) -> str:
    command = [sys.executable, "-m", "tests.bench.kernels", str(folder), "--memory", kernels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else f"failed: {done.stderr[-300:]}"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kernels")
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", default="1,8,16,32")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--kernels", default="fp32,int8", help="with mlx: minutes a token")
    parser.add_argument("--memory", metavar="KERNELS")
    options = parser.parse_args(argv)
    if options.memory:
        memory(options.model, options.memory)
        return 0
    with tempfile.TemporaryDirectory() as made:
        folder = options.model
        if folder.is_file():
            checkpoint.write([folder], Path(made), lambda _: None, lambda _: None)
            folder = Path(made)
        measure(folder, options.kernels.split(","), [int(rows) for rows in options.rows.split(",")], options.steps)
    return 0


def measure(folder: Path, kernels: list[str], rows: list[int], steps: int) -> None:
    for name in kernels:
        print(f"memory of an engine  {name:5} {_memory_of(folder, name)}", flush=True)
    models = {name: read(folder, name) for name in kernels}
    for name, model in models.items():
        print(f"weights  {name:5} {weight_bytes(model) >> 20} MB")
    ids = own_text(folder)
    found = {name: perplexity(model, ids) for name, model in models.items() if name != "mlx"}
    first = next(iter(found.values()))
    for name, value in found.items():
        print(f"perplexity of {len(ids)} tokens  {name:5} {value:.4f} ({value / first:.4f}×)", flush=True)
    for count in rows:
        speeds(models, count, steps)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
