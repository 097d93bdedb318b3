"""One request inside the engine, from admission to its outcome. Written by the scheduler alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from src.engine.deadlines import Budget
from src.engine.text import TextStream
from src.ipc.messages import Finished, FinishReason, GenerateRequest, Timings, Usage


class Status(Enum):
    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    FINISHED = "finished"


@dataclass(eq=False)
class Sequence:
    """Times are on the scheduler's monotonic clock, seconds. `prompt` ends with the prefix of a resumed answer."""

    request: GenerateRequest
    prompt: list[int]
    max_tokens: int
    text: TextStream
    arrived: float
    budget: Budget
    over: FinishReason | None = None
    status: Status = Status.WAITING
    uid: int = -1
    prefill_left: int = 0
    started: float = 0.0
    first_token: float = 0.0
    last_token: float = 0.0
    completion_tokens: int = 0

    def late(self, now: float) -> bool:
        """Whether a budget is over: the queue's while it waits, then the answer's and, in a stream, the gap's."""
        if self.status is Status.WAITING:
            return now >= self.arrived + self.budget.queue_s
        gap_s = self.budget.gap_s
        stuck = gap_s is not None and self.status is Status.DECODE and now >= self.last_token + gap_s
        return stuck or now >= self.started + self.budget.total_s

    def finished(self, reason: FinishReason, now: float) -> Finished:
        """The good outcome, with what it took."""
        prompt = len(self.prompt) - len(self.request.prefix)
        usage = Usage(prompt_tokens=prompt, completion_tokens=self.completion_tokens)
        prefill = self.first_token - self.started
        return Finished(reason, usage, Timings(self.started - self.arrived, prefill, now - self.first_token))
