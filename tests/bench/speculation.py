"""`make bench-speculation`: what guessing ahead brings, by processor time, against the same engine without it.

Engines of one process are asked by turns, round by round: other work on the machine falls on all alike. First with
guesses of which a known share is right (a drafter that was told the answers), on the bench's model of 40M parameters;
then by look-up in the demo model's own text, with conversations that repeat what was said and some that do not.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Sequence as Seq
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.gpu import blas

blas.preload()  # before MLX is imported

from src.engine import loading  # noqa: E402
from src.engine.backend import Step  # noqa: E402
from src.engine.mlx.lm import LmBackend  # noqa: E402
from src.engine.mlx.speculation.batch import SpeculativeRow  # noqa: E402
from src.engine.progress import LoadMeter  # noqa: E402
from src.ipc.messages.chat import ChatMessage, GenerateRequest, Sampling  # noqa: E402
from src.ipc.messages.status import SpeculationReading  # noqa: E402
from src.settings import ROOT, Settings  # noqa: E402
from tests.bench.chat import model  # noqa: E402

_ROUNDS = 3
_TOKENS, _PROMPT = 48, 75
_STREAMS, _SHARES = (1, 8, 32), (1.0, 0.8, 0.5, 0.0)
_FREE = 1e-9  # seconds a position is said to cost, so that what can be guessed is guessed


class Told:
    """Guesses of which so many are right: it knows the answers."""

    nbytes = 0

    def __init__(self, answers: dict[tuple[int, ...], list[int]], share: float) -> None:
        self._answers = answers
        self._share = share
        self._chance = random.Random(1)

    def reach(self, lines: Seq[SpeculativeRow]) -> list[int]:
        return [line.limit for line in lines]

    def guess(self, lines: Seq[SpeculativeRow], most: int) -> list[list[int]]:
        return [[self._blurred(token) for token in self._behind(line, min(most, line.limit))] for line in lines]

    def is_predicted(self, uid: int) -> bool:
        del uid
        return False

    def keep(self, uids: Seq[int]) -> None:
        """It holds nothing of them."""

    def _behind(self, line: SpeculativeRow, most: int) -> list[int]:
        at = line.length - _PROMPT
        return self._answers[tuple(line.tokens[:_PROMPT])][at : at + most]

    def _blurred(self, token: int) -> int:
        return token if self._chance.random() < self._share else token ^ 1


def load(folder: Path, **changes: Any) -> LmBackend:
    settings = Settings(_env_file=None, inference_engine="mlx", prefix_cache_mb=0, **changes)
    backend = loading.load(str(folder), settings, LoadMeter())
    assert isinstance(backend, LmBackend)
    return backend


class Answers:
    """What came of a run."""

    def __init__(self, texts: dict[int, list[int]]) -> None:
        self.texts = texts
        self.left = len(texts)
        self.steps = 0
        self.count = SpeculationReading()

    def add(self, step: Step) -> bool:
        """Take a step in; whether prompts are still computed."""
        self.steps += 1
        self.count += step.speculation or SpeculationReading()
        for token in step.tokens:
            self.texts[token.uid].append(token.token)
            self.left -= token.finish is not None
        return bool(step.prefill_left)


def run(backend: LmBackend, prompts: list[list[int]], tokens: int, sampling: Sampling) -> tuple[float, Answers]:
    """Processor seconds of these answers decoded together, prompts not counted."""
    uids = [backend.insert(prompt, tokens, sampling) for prompt in prompts]
    made = Answers({uid: [] for uid in uids})
    while made.add(backend.step()):
        pass
    began = time.process_time()
    while made.left:
        made.add(backend.step())
    return time.process_time() - began, made


def shown(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def told(plain: LmBackend, guessing: LmBackend) -> Iterator[str]:
    """Lines of the first table."""
    present = guessing._resident
    assert present.speculator is not None
    honest = present.speculator.costs
    yield f"one step {honest.step_s * 1e3:.1f} ms, a position {honest.position_s * 1e3:.2f} ms more\n\n"
    sampling = Sampling(temperature=0.0, ignore_eos=True)
    for streams in _STREAMS:
        prompts = [[100 + (31 * at + 7 * n) % 4000 for at in range(_PROMPT)] for n in range(streams)]
        _, known = run(plain, prompts, _TOKENS, sampling)
        answers = {tuple(p): text for p, text in zip(prompts, known.texts.values(), strict=True)}
        ratios: dict[tuple[float, bool], list[float]] = {}
        for _ in range(_ROUNDS):
            without, _ = run(plain, prompts, _TOKENS, sampling)
            for share in _SHARES:
                for always in (True, False):
                    present.speculator.drafter = Told(answers, share)
                    present.speculator.costs = replace(honest, position_s=_FREE) if always else honest
                    seconds, made = run(guessing, prompts, _TOKENS, sampling)
                    assert list(made.texts.values()) == list(known.texts.values())
                    ratios.setdefault((share, always), []).append(without / seconds)
        for share in _SHARES:
            yield f"| {streams} | {share:.0%} | {shown(ratios[share, True])} | {shown(ratios[share, False])} |\n"


def looked_up(plain: LmBackend, guessing: LmBackend) -> Iterator[str]:
    """Lines of the second table."""
    sampling = Sampling(temperature=0.0)
    for what, texts in (("said before", _REPEATED), ("new", _NEW)):
        for streams in (1, 8):
            prompts = [_prompt(plain, texts[n % len(texts)]) for n in range(streams)]
            ratios: list[float] = []
            for _ in range(_ROUNDS + 2):
                without, _ = run(plain, prompts, 96, sampling)
                seconds, made = run(guessing, prompts, 96, sampling)
                ratios.append(without / seconds)
            count = made.count
            right = f"{count.accepted_tokens} of {count.draft_tokens}"
            tokens = sum(map(len, made.texts.values())) / streams
            yield f"| {what} | {streams} | {tokens:.0f} | {made.steps} | {right} | {shown(ratios)} |\n"


_NEW = ["What is the capital of France?", "Who are you?", "What is the opposite of hot?", "What is a list in Python?"]
_REPEATED = [[text, None, text] for text in _NEW]


def _prompt(backend: LmBackend, said: Any) -> list[int]:
    """A conversation; None stands for what the model answers there."""
    turns: list[ChatMessage] = []
    for text in [said] if isinstance(said, str) else said:
        if text is None:
            prompt = backend.tokenizer.encode(GenerateRequest("r", "m", tuple(turns)))
            _, made = run(backend, [prompt], 96, Sampling(temperature=0.0))
            (answer,) = made.texts.values()
            turns.append(ChatMessage("assistant", backend.tokenizer.decode(answer[:-1])))
        else:
            turns.append(ChatMessage("user", text))
    return backend.tokenizer.encode(GenerateRequest("r", "m", tuple(turns)))


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        model.make(Path(made))
        folder = Path(made) / "fp32"
        pair = load(folder), load(folder, speculative_method="ngram")
    for line in told(*pair):
        sys.stdout.write(line)
        sys.stdout.flush()
    demo = ROOT / "models" / "demo"
    for line in looked_up(load(demo), load(demo, speculative_method="ngram")):
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
