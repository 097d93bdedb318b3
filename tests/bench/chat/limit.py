"""The bare model's time for a workload: every prompt's prefill, and decode steps at that batch size; nothing else.

No sampling, no server, the same BLAS. In a process of its own, `python -m tests.bench.chat.limit MODEL`: reads one
JSON `[rows, prompt, tokens]` a line, answers each with `Seconds`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from src.gpu import blas
from tests.bench.chat.servers import Seconds

blas.preload()  # before MLX is imported

import mlx.core as mx  # noqa: E402
from mlx_lm.models.cache import make_prompt_cache  # noqa: E402
from mlx_lm.utils import load  # noqa: E402

from src.engine.mlx.weights import make_float32  # noqa: E402
from src.engine.progress import LoadMeter  # noqa: E402

_CHUNK = 512


def measure(model: Any, rows: int, prompt: int, tokens: int) -> Seconds:
    """`rows` prompts, then `tokens` steps of all rows together."""
    group, chunks = max(1, _CHUNK // prompt), []
    cache: list[Any] = []
    for at in range(0, rows, group):
        cache, seconds = _prefill(model, min(group, rows - at), prompt)
        chunks += seconds
    if rows > group:  # not counted: the steps need all rows in one cache
        cache, _ = _prefill(model, rows, prompt)
    ids = mx.zeros((rows, 1), dtype=mx.int32)
    began = time.perf_counter()
    for _ in range(tokens):
        mx.eval(model(ids, cache=cache))
    return Seconds(sum(chunks), time.perf_counter() - began, max(chunks))


def _prefill(model: Any, rows: int, prompt: int) -> tuple[list[Any], list[float]]:
    """The cache, and the seconds of each chunk."""
    cache: list[Any] = make_prompt_cache(model)
    ids = mx.random.randint(1, 1000, (rows, prompt))
    seconds = []
    for at in range(0, prompt, _CHUNK):
        began = time.perf_counter()
        model(ids[:, at : at + _CHUNK], cache=cache)
        mx.eval([layer.state for layer in cache])
        seconds.append(time.perf_counter() - began)
    return cache, seconds


def main(folder: Path) -> None:
    model, _ = load(str(folder))
    make_float32(model, "auto", LoadMeter())
    mx.disable_compile()
    measure(model, 1, 32, 4)  # warm
    for line in sys.stdin:
        rows, prompt, tokens = msgspec.json.decode(line, type=tuple[int, int, int])
        sys.stdout.write(msgspec.json.encode(measure(model, rows, prompt, tokens)).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
