"""What is asked: prompts of an exact number of tokens, none twice, with or without a common beginning."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

_WORDS = """river mountain morning window garden letter silver number paper water answer simple question market travel
winter summer little people country evening kitchen teacher station yellow orange doctor picture"""
_TEMPLATE = 11  # tokens the chat template puts around one question


@dataclass(frozen=True)
class Workload:
    """So many streams at once, each with `prompt` tokens (of which `shared` are a common system prompt)."""

    name: str
    streams: int
    prompt: int
    tokens: int
    shared: int = 0
    mixed: bool = False


SINGLE = Workload("1 stream, 75 + 64", 1, 75, 64)
UNIFORM = (SINGLE, *[Workload(f"{n} streams, 75 + 64", n, 75, 64) for n in (8, 16, 32)])
DECODE = tuple(Workload(f"{n} streams, 75 + 256", n, 75, 256) for n in (16, 32))
SHARED = Workload("8 streams, shared 512-token prefix, warm", 8, 560, 64, shared=512)
MIXED = Workload("16 streams, mixed (20–600 + 16–128)", 16, 200, 64, mixed=True)


class Texts:
    """Writes prompts with the model's own tokenizer; the same seed gives the same ones."""

    def __init__(self, model: Path, seed: int = 1) -> None:
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._chance = random.Random(seed)
        self._sizes = random.Random(seed)
        self._number = itertools.count(1)

    def text(self, tokens: int) -> str:
        """So many tokens, beginning with a number that was not used before."""
        words = [str(next(self._number)), *self._chance.choices(_WORDS.split(), k=2 * tokens)]
        encoded = self._tokenizer.encode(" ".join(words))
        return str(self._tokenizer.decode(encoded.ids[: max(1, tokens)]))

    def bodies(self, work: Workload, model: str, at: int) -> list[dict[str, Any]]:
        """Round `at` of requests, of the same sizes for every server; the last of a shared workload is to warm it."""
        self._sizes = random.Random(at)
        system = [{"role": "system", "content": self.text(work.shared)}] if work.shared else []
        return [self._body(work, model, system) for _ in range(work.streams + bool(work.shared))]

    def _body(self, work: Workload, model: str, system: list[dict[str, str]]) -> dict[str, Any]:
        prompt, tokens = work.prompt - work.shared, work.tokens
        if work.mixed:
            prompt, tokens = self._sizes.choice([20, 75, 200, 600]), self._sizes.choice([16, 64, 128])
        question = {"role": "user", "content": self.text(max(1, prompt - _TEMPLATE))}
        sampling = {"temperature": 0.7, "top_p": 0.95, "max_tokens": tokens, "stream": True}
        return {"model": model, "messages": [*system, question], **sampling}
