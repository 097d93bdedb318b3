"""One request inside the engine, from admission to its outcome. Written by the scheduler alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from src.engine.text import TextStream
from src.ipc.messages import Finished, FinishReason, GenerateRequest, Timings, Usage


class Status(Enum):
    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    FINISHED = "finished"


@dataclass(eq=False)
class Sequence:
    """Times are on the scheduler's monotonic clock, seconds."""

    request: GenerateRequest
    prompt: list[int]
    max_tokens: int
    text: TextStream
    arrived: float
    status: Status = Status.WAITING
    uid: int = -1
    prefill_left: int = 0
    started: float = 0.0
    first_token: float = 0.0
    completion_tokens: int = 0

    @property
    def deadline(self) -> float:
        return self.arrived + self.request.timeout_s

    def finished(self, reason: FinishReason, now: float) -> Finished:
        """The good outcome, with what it took."""
        usage = Usage(prompt_tokens=len(self.prompt), completion_tokens=self.completion_tokens)
        prefill = self.first_token - self.started
        return Finished(reason, usage, Timings(self.started - self.arrived, prefill, now - self.first_token))
