"""What is asked, and when: so many streams at once, clients that each ask one prompt after another (`closed`), or
requests that arrive when they will (`poisson`); with prompts of a size, none twice, with or without a common beginning.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["uniform", "shared", "mixed", "closed", "poisson"]

_WORDS = """river mountain morning window garden letter silver number paper water answer simple question market travel
winter summer little people country evening kitchen teacher station yellow orange doctor picture"""
# of a mixed workload, as shares of the sizes named
_PROMPTS = (0.1, 0.375, 1, 3)
_ANSWERS = (0.25, 1, 2)


@dataclass(frozen=True)
class Workload:
    """`streams` at once, each with `prompt` tokens (of which `shared` are a common system prompt) and `tokens` out.

    `turns`: prompts of each, one after another. `rate`: instead, as many arrive independently, so many a second.
    """

    streams: int
    prompt: int
    tokens: int
    shared: int = 0
    mixed: bool = False
    turns: int = 1
    rate: float | None = None

    @property
    def requests(self) -> int:
        return self.streams * self.turns

    def arrivals(self, at: int) -> list[float]:
        """When the requests of round `at` come, in seconds from its begin: the same for every server."""
        if self.rate is None:
            return [0.0] * self.streams
        gaps = random.Random(at)
        return list(itertools.accumulate(gaps.expovariate(self.rate) for _ in range(self.requests)))

    @property
    def name(self) -> str:
        if self.rate is not None:
            rate = f"{self.rate:.2f} requests/s, " if self.rate else ""
            return f"poisson, {rate}{self.requests} of {self.prompt} + {self.tokens}"
        if self.turns > 1:
            return f"closed loop, {self.streams} clients, {self.turns} prompts each, {self.prompt} + {self.tokens}"
        streams = f"{self.streams} stream{'s' * (self.streams != 1)}"
        if self.shared:
            return f"{streams}, shared {self.shared}-token prefix, warm"
        if self.mixed:
            prompts, answers = _around(self.prompt, _PROMPTS), _around(self.tokens, _ANSWERS)
            return f"{streams}, mixed ({prompts[0]}–{prompts[-1]} + {answers[0]}–{answers[-1]})"
        return f"{streams}, {self.prompt} + {self.tokens}"


def workload(kind: Kind, streams: int, prompt: int, tokens: int, turns: int = 1) -> Workload:
    """Of a shared one, seven eighths of the prompt are common. A poisson one has no rate so far."""
    shared = prompt * 7 // 8 if kind == "shared" else 0
    turns = turns if kind in ("closed", "poisson") else 1
    return Workload(streams, prompt, tokens, shared, kind == "mixed", turns)


def _around(size: int, shares: tuple[float, ...]) -> list[int]:
    return [max(1, round(size * share)) for share in shares]


class Prompts:
    """Writes them, with the model's own tokenizer if its file is at hand; else a word counts as a token at first.

    `fit` learns the rest from a server's count: what the chat template puts around a question, or tokens for a word.
    The same seed gives the same prompts.
    """

    def __init__(self, tokenizer: Path | None = None, *, seed: int = 1) -> None:
        self._tokenizer = _load(tokenizer) if tokenizer is not None else None
        self._template = 0
        self._words = 1.0
        self._random = random.Random(seed)
        self._number = itertools.count(1)

    def fit(self, wanted: int, counted: int) -> None:
        """A server counted so many tokens in a prompt that was to have `wanted`."""
        if self._tokenizer is not None:
            self._template += counted - wanted
        else:
            self._words *= wanted / max(1, counted)

    def text(self, tokens: int) -> str:
        """So many tokens, beginning with a number that was not used before."""
        error_text = [str(next(self._number)), *self._random.choices(_WORDS.split(), k=2 * max(1, tokens))]
        if self._tokenizer is None:
            return " ".join(error_text[: max(1, round(tokens * self._words))])
        encoded = self._tokenizer.encode(" ".join(error_text))
        return str(self._tokenizer.decode(encoded.ids[: max(1, tokens)]))

    def bodies(self, work: Workload, model: str, at: int) -> list[dict[str, Any]]:
        """Round `at`, of the same sizes for every server; the last request of a shared workload is to warm it."""
        sizes = random.Random(at)
        system = [{"role": "system", "content": self.text(work.shared)}] if work.shared else []
        return [self._body(work, model, system, sizes) for _ in range(work.requests + bool(work.shared))]

    def _body(self, work: Workload, model: str, system: list[dict[str, str]], sizes: random.Random) -> dict[str, Any]:
        prompt, tokens = work.prompt - work.shared, work.tokens
        if work.mixed:
            prompt = sizes.choice(_around(prompt, _PROMPTS))
            tokens = sizes.choice(_around(tokens, _ANSWERS))
        question = {"role": "user", "content": self.text(max(1, prompt - self._template))}
        return {
            "model": model,
            "messages": [*system, question],
            "temperature": 0.7,
            "top_p": 0.95,
            "max_tokens": tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def _load(file: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))
