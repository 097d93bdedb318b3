"""What `KV_BITS` costs and saves: bytes a token, and decode steps and prompts against full keys and values.

Paired: in each round every kind takes its turn, and a ratio is of one round. On a CPU in processor seconds, which
other work on the machine distorts less. In a process of its own (`python -m tests.bench.kv`), as MLX wants.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from src.gpu import blas
from src.settings import ROOT
from tests.bench.measures import Row

_CONTEXT, _ROUNDS = 512, 5
_SHAPE: dict[str, Any] = {
    "model_type": "qwen3",
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "intermediate_size": 1536,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": 8192,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


def rows() -> list[Row]:
    """The figures of a fresh process, as `make bench` shows them."""
    done = subprocess.run([sys.executable, "-m", __name__], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=900)
    return [(what, figure, wanted) for what, figure, wanted in json.loads(done.stdout)]


def main() -> None:
    blas.preload()  # before MLX is imported
    import mlx.core as mx
    from mlx_lm.models import qwen3

    from src.engine.mlx import kv
    from src.engine.mlx.packed import Packing, pack

    if not mx.metal.is_available():
        mx.disable_compile()
    clock = time.process_time if mx.default_device() == mx.cpu else time.perf_counter
    models = {}
    for bits in (0, 8, 4):
        mx.random.seed(1)
        models[bits] = qwen3.Model(qwen3.ModelArgs.from_dict(_SHAPE))
        pack(models[bits], Packing(bits, 64) if bits else None)
    costs = {bits: kv.measure(model).token_bytes for bits, model in models.items()}
    table = [
        (f"KV_BITS={bits or 'off'}: bytes a token", f"{cost} ({cost / costs[0]:.0%})", "")
        for bits, cost in costs.items()
    ]
    for count in (1, 8, 32):
        steppers = {bits: _stepper(model, count) for bits, model in models.items()}
        table += _compared(f"a step of {count} rows, {_CONTEXT} tokens each", steppers, clock)
    for length in (512, 2048):
        readers = {bits: _reader(model, length) for bits, model in models.items()}
        table += _compared(f"512 prompt tokens after {length - 512}", readers, clock)
    json.dump(table, sys.stdout)


def _compared(what: str, acts: dict[int, Callable[[], None]], clock: Callable[[], float]) -> list[Row]:
    """Times of each kind, and its share of what full keys and values take in the same round."""
    times: dict[int, list[float]] = {bits: [] for bits in acts}
    for _ in range(_ROUNDS):
        for bits, act in acts.items():
            began = clock()
            act()
            times[bits].append(clock() - began)
    found = [(f"{what}: full", f"{statistics.median(times[0]) * 1000:.0f} ms", "")]
    for bits in (8, 4):
        ratios = [mine / full for mine, full in zip(times[bits], times[0], strict=True)]
        shown = f"× {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        found.append((f"{what}: KV_BITS={bits}", shown, ""))
    return found


def _stepper(model: Any, count: int) -> Callable[[], None]:
    """A decode step of a batch that goes on from where it is."""
    import mlx.core as mx

    cache = _filled(model, count, _CONTEXT)

    def act() -> None:
        mx.eval(model(mx.zeros((count, 1), dtype=mx.int32), cache=cache))

    act()
    return act


def _reader(model: Any, length: int) -> Callable[[], None]:
    """The last 512 tokens of a prompt, again and again."""
    import mlx.core as mx
    from mlx_lm.models.cache import trim_prompt_cache

    cache = _filled(model, 1, length)

    def act() -> None:
        trim_prompt_cache(cache, 512)
        mx.eval(model(mx.ones((1, 512), dtype=mx.int32), cache=cache))

    act()
    return act


def _filled(model: Any, count: int, length: int) -> list[Any]:
    """Caches that hold so many tokens; which ones does not matter to the time."""
    import mlx.core as mx
    from mlx_lm.models.cache import make_prompt_cache

    cache: list[Any] = make_prompt_cache(model)
    shape = (count, _SHAPE["num_key_value_heads"], length, _SHAPE["head_dim"])
    for layer in cache:
        mx.eval(layer.update_and_fetch(mx.random.normal(shape), mx.random.normal(shape)))
    return cache


if __name__ == "__main__":
    main()
