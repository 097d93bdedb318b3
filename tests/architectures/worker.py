"""One process of `make test-architectures`: names come by standard input, a verdict on each goes out as a line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence as Seq
from dataclasses import replace
from pathlib import Path

from loguru import logger

from src.engine.admission import in_steps
from src.engine.backend import Backend, PromptMedia
from src.errors import ModelLoadFailed
from src.gpu import blas
from src.ipc.messages.chat import Sampling
from tests.architectures.report import VISION, Verdict

PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [3, 4, 5], list(range(20, 60))]
TOKENS = 12
_GREEDY = Sampling(temperature=0.0, ignore_eos=True)
_SLACK = 1.25  # how much more than the budget says keys, values and states may take


def examine(name: str, base: Path, folder: Path) -> Verdict:
    """What an architecture does here."""
    if not name.startswith(VISION):
        return _read(name, base, folder)
    from tests.architectures.vision.examine import examine as look

    return replace(look(name.removeprefix(VISION), folder), name=name)


def _read(name: str, base: Path, folder: Path) -> Verdict:
    """Of a text model: `same`, `single` (its batch is wrong, and not used), or what it fails at."""
    from tests.architectures import tiny

    try:
        tiny.write(name, folder, base)
    except Exception as error:  # noqa: BLE001  # our configuration does not suit it
        return Verdict(name, "unwritten", f"{type(error).__name__}: {error}")
    from src.engine.main import warm_up
    from src.engine.progress import LoadMeter
    from tests.contract.test_backends import load

    try:
        backend = load(str(folder))
        warm_up(backend, LoadMeter())
    except ModelLoadFailed as error:
        return Verdict(name, "refused", error.message.rpartition("cannot be loaded: ")[2])
    except Exception as error:  # noqa: BLE001  # as the engine itself says it, once
        return Verdict(name, "refused", f"{type(error).__name__}: {error}")
    return _compared(name, backend, str(folder))


def _compared(name: str, backend: Backend, model: str) -> Verdict:
    from tests.contract.test_backends import load

    alone = [_texts(backend, [prompt], salt="alone")[0] for prompt in PROMPTS]
    taken = memory(backend)
    ways = {"batch": _texts(backend, PROMPTS, salt="batch"), "prefix cache": _texts(backend, PROMPTS, salt="batch")}
    backend.to_host()
    backend.to_device()
    ways["offload"] = _texts(backend, PROMPTS, salt="offload")
    problem = backend.info.batch_problem
    backend.close()
    fresh = load(model)
    begun = [[*prompt, *text[:4]] for prompt, text in zip(PROMPTS, alone, strict=True)]
    ended = _texts(fresh, begun, 4, salt="fresh")
    ways["kill"] = [[*text[:4], *rest] for text, rest in zip(alone, ended, strict=True)]
    fresh.close()
    wrong = [way for way, texts in ways.items() if texts != alone]
    if wrong:
        return Verdict(name, "wrong", ", ".join(wrong), taken)
    return Verdict(name, "same" if problem is None else "single", problem or "", taken)


def _texts(backend: Backend, prompts: list[list[int]], made: int = 0, *, salt: str) -> list[list[int]]:
    from tests.contract.test_backends import Batch, Made

    batch = Batch(backend)
    uids = [backend.insert(prompt, TOKENS - made, _GREEDY, made, salt=salt) for prompt in prompts]
    batch.made = {uid: Made() for uid in uids}
    return [one.tokens for one in batch.finish(*uids)]


def memory(backend: Backend, prompt: Seq[int] = range(3, 203), media: PromptMedia | None = None) -> float | None:
    """What a sequence takes, as a part of what the KV budget charges for it."""
    from tests.contract.test_backends import Batch, Made

    room = backend.kv_room
    if room is None:
        return None
    batch = Batch(backend)
    uid = backend.insert(list(prompt), TOKENS, _GREEDY, salt="memory", media=media)
    batch.made = {uid: Made()}
    batch.step_until(uid, TOKENS - 2)
    reading, _ = backend.caches()
    batch.finish(uid)
    length = len(prompt) + TOKENS + (0 if media is None else media.kept_tokens)
    charged = room.token_bytes * in_steps(length) + room.row_bytes
    return None if reading is None or not charged else reading.bytes / charged


def main(base: Path, place: Path) -> None:
    logger.remove()
    blas.preload()
    told, sys.stdout = sys.stdout, sys.stderr  # some architectures print
    for number, line in enumerate(sys.stdin):
        folder = place / f"{line.strip().replace('/', '-')}-{number}"
        told.write(json.dumps(examine(line.strip(), base, folder).fields()) + "\n")
        told.flush()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
