"""Requests for vectors or log-probabilities: from texts to token ids (tokenizer thread), then a queue of texts,
computed pass by pass.

Owner thread, driven by the scheduler. A pass takes texts that fit together into what a step may compute, of one request
or of several of a kind; a longer text goes alone and takes several turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from src.encoders import NO_VECTORS
from src.engine.backend import Backend, Embedder, Pass, ScorePass, Scorer, TextReader, TextScores
from src.engine.deadlines import Budget, embedding_budget
from src.engine.queue import waiting_queue
from src.errors import ContextLengthExceeded, DeadlineExceeded, InternalError, InvalidRequest, UnsupportedValue
from src.fairness import FairQueue
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import (
    Embedded,
    EmbedRequest,
    Finished,
    GenerateRequest,
    RawPrompt,
    Scored,
    ScoreRequest,
    TextReading,
    Timings,
    Usage,
)
from src.settings import EngineSettings

_PADDING_SHARE = 4


@dataclass(eq=False)
class Embedding:
    """One request. Times are on the scheduler's monotonic clock, seconds; `left` are texts in no pass yet."""

    request: EmbedRequest
    texts: list[list[int]]
    arrived: float
    budget: Budget
    normalize: bool = True
    started: float | None = None
    finished: bool = False
    left: list[int] = field(default_factory=list)
    missing: int = 0

    def __post_init__(self) -> None:
        # those of like length together: less padding
        self.left = sorted(range(len(self.texts)), key=lambda index: len(self.texts[index]))
        self.missing = len(self.texts)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.texts))

    @property
    def top(self) -> int | None:
        """Alternatives for each token; None where vectors are asked for. Only requests with the same share a pass."""
        return self.request.top if isinstance(self.request, ScoreRequest) else None

    def is_expired(self, now: float) -> bool:
        """Whether a budget is over: the queue's until its first pass, then its own."""
        if self.started is None:
            return now >= self.arrived + self.budget.queue_s
        return now >= self.started + self.budget.total_s


EmbedEvent = tuple[Embedding, Embedded | Scored | Finished | Failed]


def check(request: EmbedRequest, backend: Backend) -> None:
    """Raise `UnsupportedValue` for what this model cannot do."""
    if isinstance(request, ScoreRequest):
        if not backend.info.scores_prompts:
            raise UnsupportedValue("This model, on this engine, gives no logprobs of a prompt.", param="echo")
        return
    _check_kind(request, backend)
    size = backend.info.embedding_size  # the embedder itself goes and comes with the model
    if size is None:
        raise UnsupportedValue("This model, on this engine, makes no embeddings.", param="model")
    if request.dimensions is not None and request.dimensions > size:
        raise UnsupportedValue(f"This model's vectors have {size} dimensions.", param="dimensions")


def _check_kind(request: EmbedRequest, backend: Backend) -> None:
    """The web process knows the kind of what is on this disk; this is for what lies in a hub's cache."""
    if (backend.info.kind == "rerank") == (request.reading.query is not None):
        return
    raise UnsupportedValue(NO_VECTORS if backend.info.kind == "rerank" else "This model is no reranker.", param="model")


def param_of(request: EmbedRequest) -> str:
    """The field that its texts stand in."""
    return "prompt" if isinstance(request, ScoreRequest) else "input"


def tokens(raw: RawPrompt, request: EmbedRequest, backend: Backend, index: int = 0) -> list[int]:
    """The token ids of one of a request's texts.

    Raises:
        InvalidRequest: for one without any, or with ids that are none.
        ContextLengthExceeded: for one that the model cannot hold.
    """
    try:
        found = _read(raw, request, backend, index)
    except InvalidRequest as error:
        param = param_of(request) if error.param in (None, "prompt", "messages") else error.param
        raise type(error)(error.message, param=param) from None
    if not found:
        raise InvalidRequest("A text is empty.", param=param_of(request))
    if len(found) > (context := backend.info.context_length):
        text = f"A text has {len(found)} tokens; the model's context is {context}."
        raise ContextLengthExceeded(text, param=param_of(request))
    return found


def _read(raw: RawPrompt, request: EmbedRequest, backend: Backend, index: int) -> list[int]:
    raw = _clipped(raw, request.reading, backend)
    if isinstance(backend.tokenizer, TextReader):
        return backend.tokenizer.read(raw, request, index)
    if request.reading.prompt is not None:
        raise UnsupportedValue("This model has no prompts for texts.", param="prompt_name")
    found = backend.tokenizer.encode(GenerateRequest(request.id, request.model, (), raw_prompt=raw))
    return _shortened(found, request.reading, backend.info.context_length)


def _clipped(raw: RawPrompt, reading: TextReading, backend: Backend) -> RawPrompt:
    """Of a text that is going to be cut, no more than could be kept: the rest need not be encoded."""
    limit = kept_tokens(reading, backend.info.context_length)
    if limit is None or raw.text is None or len(raw.text) <= (most := limit * backend.tokenizer.longest):
        return raw
    return RawPrompt(raw.text[:most] if reading.keep == "start" else raw.text[-most:])


def _shortened(found: list[int], reading: TextReading, context: int) -> list[int]:
    """A text's token ids, cut where the request asks for it."""
    limit = kept_tokens(reading, context)
    if limit is None or len(found) <= limit:
        return found
    return found[:limit] if reading.keep == "start" else found[-limit:]


def kept_tokens(reading: TextReading, context: int) -> int | None:
    """Tokens that a text is cut to; None where longer ones are refused."""
    return None if reading.truncate is None else min(reading.truncate or context, context)


def accept(
    request: EmbedRequest, texts: list[list[int]], arrived: float, settings: EngineSettings, *, normalizes: bool = True
) -> Embedding:
    """`normalizes`: what the model does where the request says nothing."""
    wished = request.reading.normalize
    normalize = normalizes if wished is None else wished
    return Embedding(request, texts, arrived, embedding_budget(request, settings), normalize)


def packed(vector: NDArray[np.float32], dimensions: int | None, *, normalize: bool = True) -> bytes | None:
    """The vector as it is sent: cut, of length 1, little-endian float32. None for one that is no vector."""
    cut = vector[:dimensions].astype(np.float64)
    length = float(np.linalg.norm(cut))
    if not np.isfinite(length):
        return None
    return (cut / ((length if normalize else 0.0) or 1.0)).astype("<f4").tobytes()


class Embeddings:
    """Follows each request to its one outcome. Owner thread."""

    def __init__(
        self, embedder: Callable[[], Embedder | None], scorer: Callable[[], Scorer | None], ageing_s: float
    ) -> None:
        self._embedder, self._scorer = embedder, scorer
        self._open: FairQueue[Embedding] = waiting_queue(ageing_s)
        self._rows: list[tuple[Embedding, int]] = []  # of the pass under way
        self._pass: Pass | ScorePass | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def running(self) -> int:
        return sum(job.started is not None for job in self._open)

    def push(self, job: Embedding) -> None:
        self._open.push(job, job.arrived)

    def drop(self, job: Embedding) -> None:
        """Forget a request; harmless when it is over."""
        job.finished = True
        self._open.remove(job)
        if all(one.finished for one, _ in self._rows):  # a pass for no request would hold memory, and the model
            self._rows, self._pass = [], None

    def expire(self, now: float) -> Iterator[EmbedEvent]:
        for job in [job for job in self._open if job.is_expired(now)]:
            self.drop(job)
            yield job, _deadline_exceeded(job)

    def turn(self, now: float, budget: int) -> Iterator[EmbedEvent]:
        """Compute that many tokens, padding included; what is done by it."""
        if self._pass is None:
            self._begin(now, budget)
        if self._pass is None:
            return
        self._pass.compute(max(1, budget // len(self._rows)))
        if self._pass.left:
            return
        rows, results = self._rows, _results(self._pass)
        self._rows, self._pass = [], None
        for (job, index), result in zip(rows, results, strict=True):
            if not job.finished:
                yield from self._record(job, index, result, now)

    def _begin(self, now: float, budget: int) -> None:
        self._rows = list(self._gather(budget))
        if self._rows:
            self._open.count_turn(self._rows[0][0])
        for job, index in self._rows:
            job.left.remove(index)
            job.started = now if job.started is None else job.started
        if self._rows:
            self._pass = self._pass_over([job.texts[index] for job, index in self._rows], self._rows[0][0].top)

    def _pass_over(self, texts: list[list[int]], top: int | None) -> Pass | ScorePass | None:
        if top is not None:
            scorer = self._scorer()
            return None if scorer is None else scorer.begin(texts, top)
        embedder = self._embedder()
        return None if embedder is None else embedder.begin(texts)

    def _gather(self, budget: int) -> Iterator[tuple[Embedding, int]]:
        """The next texts whose rows × longest stay within the budget, a quarter of it padding at most; one at least."""
        rows = longest = total = 0
        for job in self._in_turn():
            for index in job.left:
                size = len(job.texts[index])
                longest, total, rows = max(longest, size), total + size, rows + 1
                if rows > 1 and (rows * longest > budget or rows * longest - total > budget // _PADDING_SHARE):
                    return
                yield job, index

    def _in_turn(self) -> Iterator[Embedding]:
        """The one whose turn it is, and what else fits in."""
        first = self._open.first()
        if first is not None:
            yield first
            yield from (job for job in self._open if job is not first and job.top == first.top)

    def _record(
        self, job: Embedding, index: int, result: NDArray[np.float32] | TextScores, now: float
    ) -> Iterator[EmbedEvent]:
        message = _message(job, index, result)
        if message is None:
            self.drop(job)
            yield job, Failed.of(InternalError())
            return
        yield job, message
        job.missing -= 1
        if not job.missing:
            self.drop(job)
            yield job, _finished(job, now)


def _results(done: Pass | ScorePass) -> Iterable[NDArray[np.float32] | TextScores]:
    return done.vectors() if isinstance(done, Pass) else done.scores()


def _message(job: Embedding, index: int, result: NDArray[np.float32] | TextScores) -> Embedded | Scored | None:
    """None for a vector that is none."""
    if isinstance(result, TextScores):
        return Scored(index, result.tokens, result.following, result.ends)
    vector = packed(result, job.request.dimensions, normalize=job.normalize)
    return None if vector is None else Embedded(index, vector)


def _finished(job: Embedding, now: float) -> Finished:
    started = job.arrived if job.started is None else job.started
    return Finished("stop", Usage(job.tokens, 0), Timings(started - job.arrived, now - started, 0.0))


def _deadline_exceeded(job: Embedding) -> Failed:
    if job.started is None:
        text = f"The request waited {job.budget.queue_s:.0f} s in the queue (QUEUE_TIMEOUT)."
        return Failed(DeadlineExceeded.code, text, retry_after_s=1.0)
    return Failed(
        DeadlineExceeded.code,
        f"{job.missing} texts are left: the request exceeded its time budget. Send fewer at once.",
    )
