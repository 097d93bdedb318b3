"""One request inside the engine, from admission to its outcome. Written by the scheduler alone."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from enum import Enum

import msgspec

from src.engine.backend import Grammar, PromptMedia
from src.engine.deadlines import Budget
from src.engine.text import TextStream
from src.ipc.messages.chat import (
    ChoiceEnded,
    Finished,
    FinishReason,
    GenerateRequest,
    PredictionUsage,
    PromptProgress,
    Timings,
    Usage,
)

# memory is kept for so many tokens of an answer that may take all its context
_USUAL_ANSWER = 1024


class ChoiceGroup:
    """The choices of one request: the last that ends has the usage and timings of all."""

    def __init__(self, choices: int) -> None:
        self._left = choices
        self._tokens = 0
        self._cached: int | None = None
        self._predicted: PredictionUsage | None = None

    def end(self, index: int, finished: Finished) -> ChoiceEnded | Finished:
        """One choice has ended."""
        self._left -= 1
        cached = finished.usage.cached_tokens
        # what the first choice left in the cache for the others was still computed for this request
        self._cached = cached if self._cached is None else min(self._cached, cached)
        self._tokens += finished.usage.completion_tokens
        if (predicted := finished.usage.prediction) is not None:
            self._predicted = predicted + (self._predicted or PredictionUsage())
        if self._left:
            return ChoiceEnded(index, finished.reason)
        usage = Usage(finished.usage.prompt_tokens, self._tokens, self._cached, self._predicted)
        return Finished(finished.reason, usage, finished.timings, index, finished.stop)


class Status(Enum):
    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    FINISHED = "finished"


@dataclass(eq=False)
class Sequence:
    """Times are on the scheduler's monotonic clock, seconds. `prompt` ends with the prefix of a resumed answer.

    `set_aside`: fields of the request that this model has no use for. `prediction`: tokens that its answer may have;
    `predicted`: what came of them, None where no drafts do.
    """

    request: GenerateRequest
    prompt: list[int]
    max_tokens: int
    text: TextStream
    arrived: float
    budget: Budget
    finished_on_replay: FinishReason | None = None
    status: Status = Status.WAITING
    uid: int = -1
    prefill_left: int = 0
    cached_tokens: int = 0
    started: float = 0.0
    first_token: float = 0.0
    last_token: float = 0.0
    completion_tokens: int = 0
    index: int = 0
    group: ChoiceGroup | None = None
    grammar: Grammar | None = None
    media: PromptMedia | None = None
    set_aside: tuple[str, ...] = ()
    prediction: Seq[int] = ()
    predicted: PredictionUsage | None = None

    @property
    def is_background(self) -> bool:
        """Whether it computes only while nothing else does."""
        return self.request.priority == "background"

    @property
    def length(self) -> int:
        """Tokens whose memory its longest answer takes; a usual or predicted one's where nobody named a length.

        Never fewer than its prediction has: a token's price includes the index of one predicted token.
        """
        answer = self.max_tokens
        if self.request.max_tokens is None:
            answer = min(answer, max(_USUAL_ANSWER, 2 * self.completion_tokens, len(self.prediction)))
        beside = 0 if self.media is None else self.media.kept_tokens
        return len(self.prompt) - len(self.request.prefix) + answer + beside

    @property
    def prefilled(self) -> int:
        """Tokens of its prompt whose keys and values are there."""
        return len(self.prompt) - self.prefill_left

    def is_expired(self, now: float) -> bool:
        """Whether a budget is over: the queue's while it waits, then the answer's and, in a stream, the gap's."""
        if self.status is Status.WAITING:
            return now >= self.arrived + self.budget.queue_s
        gap_s = self.budget.gap_s
        stuck = gap_s is not None and self.status is Status.DECODE and now >= self.last_token + gap_s
        return stuck or now >= self.started + self.budget.total_s

    def progress(self, now: float) -> PromptProgress | None:
        """What its stream is told of its prefill; None where that tells nothing. Of several choices the first tells."""
        asked, left = self.request.progress, self.prefill_left
        if self.index or not (asked or (self.request.stream and left)):
            return None
        total = len(self.prompt) - len(self.request.prefix)
        processed, cached = max(0, min(total, self.prefilled)), min(self.cached_tokens, total)
        return PromptProgress(total, processed, cached, now - self.started)

    def finished(self, reason: FinishReason, now: float) -> Finished:
        """The good outcome, with what it took."""
        prompt = len(self.prompt) - len(self.request.prefix)
        usage = Usage(prompt, self.completion_tokens, min(self.cached_tokens, prompt), self.predicted)
        prefill = self.first_token - self.started
        return Finished(reason, usage, Timings(self.started - self.arrived, prefill, now - self.first_token))

    def ended(self, reason: FinishReason, now: float) -> ChoiceEnded | Finished:
        """The event of a good end: of several choices, only the last is the request's outcome."""
        finished = self.finished("tool_calls" if reason == "stop" and self.text.called else reason, now)
        if self.text.stop is not None:
            finished = msgspec.structs.replace(finished, stop=self.text.stop)
        if self.group is None:
            return msgspec.structs.replace(finished, index=self.index)
        return self.group.end(self.index, finished)
