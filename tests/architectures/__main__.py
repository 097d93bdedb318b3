"""`make test-architectures`: a tiny random checkpoint of every text architecture of mlx-lm through the real engine.

Each in a process of its own with a deadline: alone, in a batch, from the prefix cache, put to a fresh engine with its
first tokens, after an offload; all must give the same greedy text. Prints a line each; ends with 1 if one is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from loguru import logger

from src.engine.backend import Backend
from src.errors import ModelLoadFailed
from src.gpu import blas

DEADLINE_S = 120
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [3, 4, 5], list(range(20, 60))]
TOKENS = 12
PROBLEMS = ("wrong", "slow")


def main(names: list[str]) -> int:
    blas.preload()
    from tests.architectures import tiny
    from training.demo.checkpoint import write_random_checkpoint

    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        write_random_checkpoint(base)
        for name in names or tiny.names():
            verdict, detail = _examined(name, base, Path(folder) / name)
            counts[verdict] += 1
            sys.stdout.write(f"{name:24} {verdict:10} {detail}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{json.dumps(counts)}\n")
    return int(any(counts[problem] for problem in PROBLEMS))


def _examined(name: str, base: Path, folder: Path) -> tuple[str, str]:
    command = [sys.executable, "-m", "tests.architectures", "--one", name, str(base), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        return "slow", f"no result in {DEADLINE_S} s"
    line = (done.stdout.strip().splitlines() or [""])[-1]
    verdict, _, detail = line.partition(" ")
    return (verdict, detail) if verdict else ("wrong", done.stderr.strip()[-200:].replace("\n", " "))


def one(name: str, base: Path, folder: Path) -> str:
    """The verdict on one architecture: `same`, `single` (its batch is wrong, and not used), `refused`, `unwritten`."""
    logger.remove()
    blas.preload()
    from tests.architectures import tiny

    try:
        tiny.write(name, folder, base)
    except Exception as error:  # noqa: BLE001  # our configuration does not suit it
        return f"unwritten {type(error).__name__}: {str(error)[:120]}"
    from src.engine.main import warm_up
    from src.engine.progress import LoadMeter
    from tests.contract.test_backends import load

    try:
        backend = load(str(folder))
    except ModelLoadFailed as error:
        return f"refused {error.message[-200:]}"
    try:
        warm_up(backend, LoadMeter())
    except Exception as error:  # noqa: BLE001  # as the engine itself says it, once
        return f"refused {type(error).__name__}: {str(error)[:160]}"
    return _compared(backend, str(folder))


def _compared(backend: Backend, model: str) -> str:
    from tests.contract.test_backends import Batch, load

    alone = [_texts(Batch(backend), [prompt])[0] for prompt in PROMPTS]
    ways = {"batch": _texts(Batch(backend), PROMPTS), "prefix cache": _texts(Batch(backend), PROMPTS)}
    backend.to_host()
    backend.to_device()
    ways["offload"] = _texts(Batch(backend), PROMPTS)
    batches = backend.info.batches
    backend.close()
    fresh = load(model)
    begun = [[*prompt, *text[:4]] for prompt, text in zip(PROMPTS, alone, strict=True)]
    ways["fresh engine"] = [
        [*text[:4], *rest] for text, rest in zip(alone, _texts(Batch(fresh), begun, 4), strict=True)
    ]
    wrong = [way for way, texts in ways.items() if texts != alone]
    if wrong:
        return f"wrong {', '.join(wrong)}"
    return "same" if batches else "single its batch is wrong, and not used"


def _texts(batch: object, prompts: list[list[int]], made: int = 0) -> list[list[int]]:
    from src.ipc.messages.chat import Sampling
    from tests.contract.test_backends import Batch, Made

    assert isinstance(batch, Batch)
    backend: Backend = batch.backend
    greedy = Sampling(temperature=0.0, ignore_eos=True)
    uids = [backend.insert(prompt, TOKENS - made, greedy, made) for prompt in prompts]
    batch.made = {uid: Made() for uid in uids}
    return [made.tokens for made in batch.finish(*uids)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.stdout.write(one(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])) + "\n")
    else:
        sys.exit(main(sys.argv[1:]))
