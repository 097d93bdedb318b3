"""The loaded model and how fast it is: load time, tokens a second alone and over 16 streams."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MLX_DISABLE_COMPILE", "1")

import mlx.core as mx
from mlx_lm import load as mlx_load
from mlx_lm.generate import BatchGenerator

STREAMS = 16
TIMED_TOKENS = 160


@dataclass(frozen=True)
class Loaded:
    """A model in fp32 with its tokenizer, and the seconds that loading took."""

    model: Any
    tokenizer: Any
    seconds: float

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """The ids of a chat, up to where the answer starts."""
        text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def text(self, ids: list[int]) -> str:
        """Decoded ids."""
        return str(self.tokenizer.decode(ids))

    def steps(self, prompts: list[list[int]], limit: int, ends: bool) -> Iterator[list[Any]]:
        """What each decoding step gave; `ends` says whether end tokens stop a stream."""
        stops = [[token] for token in self.tokenizer.eos_token_ids] if ends else None
        generator = BatchGenerator(self.model, stop_tokens=stops)
        generator.insert(prompts, [limit] * len(prompts))
        while responses := generator.next_generated():
            yield responses
        generator.close()

    def complete(self, prompts: list[list[int]], limit: int) -> list[list[int]]:
        """Greedy answers without their end token."""
        said: dict[int, list[int]] = {}
        for responses in self.steps(prompts, limit, ends=True):
            for response in responses:
                ids = said.setdefault(response.uid, [])
                if response.finish_reason != "stop":
                    ids.append(response.token)
        return [said[uid] for uid in sorted(said)]


def load(folder: Path) -> Loaded:
    """Load as the service does on a CPU: weights turned to fp32, which the BLAS works in."""
    started = time.monotonic()
    model, tokenizer, *_ = mlx_load(str(folder))
    model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    return Loaded(model, tokenizer, time.monotonic() - started)


def decoding_rate(loaded: Loaded, streams: int) -> float:
    """Tokens a second of so many streams that decode together, from their first step to their last."""
    prompt = loaded.prompt([{"role": "user", "content": "Where are the logs?"}])
    tokens, started = 0, 0.0
    for responses in loaded.steps([prompt] * streams, TIMED_TOKENS, ends=False):
        if len(responses) < streams:  # prompts are read in groups of eight: not all decode yet
            continue
        if not started:
            started = time.monotonic()
            continue
        tokens += len(responses)
    return tokens / (time.monotonic() - started)


def cells(loaded: Loaded, blas: str | None) -> list[tuple[str, str, str]]:
    """The timing lines of the table; the best of three, as other programs may run."""
    decoding_rate(loaded, 1)
    alone = max(decoding_rate(loaded, 1) for _ in range(3))
    together = max(decoding_rate(loaded, STREAMS) for _ in range(3))
    load_average = os.getloadavg()[0]
    return [
        ("load time", f"{loaded.seconds:.2f} s", "< 3 s"),
        ("decoding alone", f"{alone:.0f} tokens/s", "≥ 100"),
        (f"decoding, {STREAMS} streams", f"{together:.0f} tokens/s ({together / alone:.1f}×)", "≥ 4×"),
        ("BLAS, processors, load average", f"{(blas or 'none').split()[0]}, {os.cpu_count()}, {load_average:.1f}", ""),
    ]
