"""The bare model's time for a workload: every prompt's prefill, and decode steps at that batch size; nothing else.

No sampling, no server, the same BLAS. In a process of its own: `python -m tests.bench.chat.limit`. Prints seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from src.gpu import blas

blas.preload()  # before MLX is imported

import mlx.core as mx  # noqa: E402
from mlx_lm.models.cache import make_prompt_cache  # noqa: E402
from mlx_lm.utils import load  # noqa: E402

from src.engine.backends.weights import make_float32  # noqa: E402

_CHUNK = 512


def measure(model: Any, rows: int, prompt: int, tokens: int) -> float:
    """Seconds for `rows` prompts and `tokens` steps of all rows together."""
    group, began = max(1, _CHUNK // prompt), time.perf_counter()
    for at in range(0, rows, group):
        _prefill(model, min(group, rows - at), prompt)
    prefill = time.perf_counter() - began
    cache = _prefill(model, rows, prompt)  # not counted: the steps need all rows in one cache
    ids = mx.zeros((rows, 1), dtype=mx.int32)
    began = time.perf_counter()
    for _ in range(tokens):
        mx.eval(model(ids, cache=cache))
    return prefill + time.perf_counter() - began


def _prefill(model: Any, rows: int, prompt: int) -> list[Any]:
    cache: list[Any] = make_prompt_cache(model)
    ids = mx.random.randint(1, 1000, (rows, prompt))
    for at in range(0, prompt, _CHUNK):
        model(ids[:, at : at + _CHUNK], cache=cache)
        mx.eval([layer.state for layer in cache])
    return cache


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    for name in ("rows", "prompt", "tokens"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    model, _ = load(str(args.model))
    make_float32(model, "auto")
    mx.disable_compile()
    measure(model, 1, 32, 4)  # warm
    sys.stdout.write(f"{measure(model, args.rows, args.prompt, args.tokens)}\n")


if __name__ == "__main__":
    main()
