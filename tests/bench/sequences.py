"""What a running sequence takes beside its keys and values, with a vocabulary of 4,096 tokens and one of 151,936.

The real scheduler over the real engine, turn by turn in this process, so that memory can be read between two steps:
MLX's arrays, and all that the process holds. In a process of its own (`python -m tests.bench.sequences`).
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from src.gpu import blas
from src.ipc.messages.chat import ChatMessage, GenerateRequest, Sampling
from src.settings import ROOT, Settings
from tests.bench.measures import Row

_FEW, _MANY, _ROUNDS, _TOKENS, _LIMIT = 2, 30, 2, 24, 1500
_MB = 1 << 20
_WISHES = {
    "temperature and top_p": Sampling(temperature=0.7, top_p=0.95, ignore_eos=True),
    "penalties and log-probabilities too": Sampling(
        temperature=0.7, top_p=0.95, ignore_eos=True, frequency_penalty=0.3, repetition_penalty=1.1, logprobs=5, seed=1
    ),
}


def rows() -> list[Row]:
    """The figures of a fresh process, as `make bench` shows them."""
    done = subprocess.run([sys.executable, "-m", __name__], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=900)
    return [(what, figure, wanted) for what, figure, wanted in json.loads(done.stdout)]


def main() -> None:
    blas.preload()  # before MLX is imported
    table: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as place:
        wide = Path(place) / "wide"
        _write(wide, 151_936)
        for model, vocabulary in (("demo", "4,096"), (str(wide), "151,936")):
            for name, wish in _WISHES.items():
                arrays, process = _measured(model, wish)
                what = f"a sequence beside its keys and values, {vocabulary} tokens, {name}"
                table += [(f"{what}: arrays", arrays, "< 1 MB"), (f"{what}: the process", process, "< 1 MB")]
    json.dump(table, sys.stdout)


def _measured(model: str, wish: Sampling) -> tuple[str, str]:
    """The growth from few sequences to many, for each of those between."""
    from src.engine import loading
    from src.engine.progress import LoadMeter

    settings = Settings(_env_file=None, inference_engine="mlx", prefix_cache_mb=0, max_num_seqs=_MANY)
    backend = loading.load(model, settings, LoadMeter())
    _held(backend, settings, wish, _MANY)  # warm
    pairs = [[_held(backend, settings, wish, count) for count in (_FEW, _MANY)] for _ in range(_ROUNDS)]
    backend.close()
    grown = [[(many - few) / (_MANY - _FEW) / _MB for few, many in zip(*pair, strict=True)] for pair in pairs]
    arrays, process = (_range(list(each)) for each in zip(*grown, strict=True))
    return arrays, process


def _held(backend: object, settings: Settings, wish: Sampling, count: int) -> tuple[int, int]:
    """MLX's arrays and the process's own memory, keys and values not counted, while so many sequences run."""
    import mlx.core as mx

    from src.engine import prompt
    from src.engine.mlx.lm import LmBackend
    from src.engine.mlx.weights import give_back
    from src.engine.scheduler import Scheduler

    assert isinstance(backend, LmBackend)
    scheduler = Scheduler(
        backend, max_num_seqs=_MANY, prefill_step_size=512, publish=lambda events: None, clock=time.monotonic
    )
    request = GenerateRequest("bench", "m", (ChatMessage("user", "Where are the logs?"),), wish, max_tokens=_LIMIT)
    sequences = [prompt.make_sequences(request, backend, settings, time.monotonic, None)[0] for _ in range(count)]
    for sequence in sequences:
        scheduler.submit(sequence)
    for _ in range(_TOKENS):
        scheduler.run_once()
    assert scheduler.load().running == count
    mx.synchronize(backend._resident.rows.stream)  # type: ignore[attr-defined]  # no step under way
    backend.tidy()
    give_back()
    kv = backend._resident.rows.kv_bytes  # as above
    found = mx.get_active_memory() - kv, int(psutil.Process().memory_full_info().uss) - kv
    for sequence in sequences:
        scheduler.cancel(sequence)
    while scheduler.load().running:
        scheduler.run_once()
    return found


def _write(folder: Path, vocabulary: int) -> None:
    """A small model with a large vocabulary, most of which its tokenizer does not know."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    from training.demo import checkpoint
    from training.demo.corpus import tokenizer_texts

    folder.mkdir()
    tokenizer = checkpoint.build_tokenizer(itertools.islice(tokenizer_texts(7), 6000), 2048)
    shape = checkpoint.Shape(64, 2, 192, 2, 1, 32, vocabulary)
    model = checkpoint.build_model(checkpoint.write_config(folder, shape, tokenizer))
    checkpoint.write_tokenizer(folder, tokenizer)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"})


def _range(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} MB ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
