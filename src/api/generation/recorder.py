"""Counts requests: latencies on this process's clock, the engine's own durations, and exactly one outcome each.

One recorder per request; its `Generation` tells it what comes and how it ends. Web process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from src import logs
from src.api import access_facts
from src.api.state.usage import UsageCounts
from src.errors import BackendUnavailable, EngineCrashed, ServiceError
from src.ipc.messages.chat import Admitted, ChoiceEnded, Delta, EmbedRequest, Finished, GenerateRequest, TextResult
from src.metrics import Metrics

E_contra = TypeVar("E_contra", contravariant=True)


class Recorder(Protocol[E_contra]):
    """Counts one request: what comes, and how it ends. `failed` or `left` come once, and never after the outcome."""

    def events(self, events: Sequence[E_contra]) -> None: ...

    def failed(self, error: ServiceError) -> None: ...

    def left(self) -> None:
        """It was closed without an outcome: the client has left."""
        ...


class Uncounted:
    """A recorder for what is not counted."""

    def events(self, events: Sequence[object]) -> None: ...

    def failed(self, error: ServiceError) -> None: ...

    def left(self) -> None: ...


class ChatRecorder:
    """One per request. `labels`: the model's name and engine, as the catalogue has them."""

    def __init__(
        self,
        metrics: Metrics,
        request: GenerateRequest,
        labels: tuple[str, str],
        clock: Callable[[], float] = time.monotonic,
        *,
        spend: Callable[[UsageCounts], None] = lambda _: None,
    ) -> None:
        self._metrics = metrics
        self._request = request
        self._labels = labels
        self._clock = clock
        self._began = clock()
        self._last: dict[int, float] = {}  # when each choice last had a token
        self._inter_token = metrics.inter_token.labels(*self._labels)
        self._tokens = 0
        self._by_choice = [0] * (1 + max((choice.index for choice in request.choices), default=0))
        self._spend = spend  # charges tokens to whoever asked
        self._prompt_tokens = self._cached_tokens = 0
        self._has_answer = False
        self._facts = access_facts.current()

    def admitted(self, admission: Admitted) -> None:
        """How long its prompt is, should it not be answered whole."""
        self._prompt_tokens = admission.prompt_tokens

    def events(self, events: Sequence[Delta | ChoiceEnded | Finished]) -> None:
        """Count what came together; a choice's tokens of one batch share the time since its last one."""
        now = self._clock()
        tokens: dict[int, int] = {}
        for event in events:
            if isinstance(event, Delta):
                tokens[event.index] = tokens.get(event.index, 0) + event.count
        for index, count in tokens.items():
            if count:
                self._count_tokens(index, count, now)
        if events and isinstance(events[-1], Finished):
            self._finished(events[-1], now)

    def failed(self, error: ServiceError) -> None:
        again = isinstance(error, BackendUnavailable) and not isinstance(error, EngineCrashed)
        if again and self._request.priority == "background":
            self._has_answer = False  # it is asked again, and charged then
        self._end("error", code=error.code)

    def left(self) -> None:
        self._metrics.disconnects.labels("decode" if self._tokens else "prefill").inc()
        self._end("abort")

    def _count_tokens(self, index: int, count: int, now: float) -> None:
        """A choice has one gap less than tokens; those that come with its first one were not waited for."""
        if self._tokens == 0:
            self._metrics.ttft.labels(*self._labels).observe(now - self._began)
            self._facts.first_token(now - self._began)
        last = self._last.get(index)
        seconds = 0.0 if last is None else (now - last) / count
        self._inter_token.observe_many(seconds, count - (last is None))
        self._has_answer = True
        self._tokens += count
        self._by_choice[index] += count
        self._last[index] = now

    def _finished(self, event: Finished, now: float) -> None:
        metrics, labels, timings = self._metrics, self._labels, event.timings
        metrics.prompt_tokens.labels(*labels).inc(event.usage.prompt_tokens)
        metrics.prompt_size.labels(*labels).observe(event.usage.prompt_tokens)
        metrics.answer_size.labels(*labels).observe(event.usage.completion_tokens)
        metrics.e2e.labels(*labels).observe(now - self._began)
        metrics.queue_time.labels(*labels).observe(timings.queue_s)
        self._facts.queued(timings.queue_s)
        metrics.prefill_time.labels(*labels).observe(timings.prefill_s)
        metrics.decode_time.labels(*labels).observe(timings.decode_s)
        metrics.inference_time.labels(*labels).observe(timings.prefill_s + timings.decode_s)
        # an upstream server's pieces need not be single tokens; choices are computed side by side
        longest = max(self._by_choice) if len(self._by_choice) > 1 else event.usage.completion_tokens
        if longest > 1:
            metrics.token_time.labels(*labels).observe(timings.decode_s / (longest - 1))
        metrics.choices.labels(*labels).observe(len(self._by_choice))
        metrics.longest_answer.labels(*labels).observe(longest)
        if self._request.max_tokens is not None:
            metrics.max_tokens.labels(*labels).observe(self._request.max_tokens)
        if (predicted := event.usage.prediction) is not None:
            metrics.prediction_tokens.labels(*labels, "accepted").inc(predicted.accepted)
            metrics.prediction_tokens.labels(*labels, "rejected").inc(predicted.rejected)
        self._prompt_tokens, self._cached_tokens = event.usage.prompt_tokens, event.usage.cached_tokens
        self._tokens, self._has_answer = event.usage.completion_tokens, True
        self._end(event.reason, prompt_tokens=event.usage.prompt_tokens)

    def _end(self, outcome: str, **facts: object) -> None:
        self._facts.ended(self._labels[0], outcome)
        self._metrics.success.labels(*self._labels, outcome).inc()
        self._metrics.generation_tokens.labels(*self._labels).inc(self._tokens)
        if self._has_answer:  # a prompt counts once it has a token of its answer
            self._spend(UsageCounts(1, self._prompt_tokens, self._cached_tokens, self._tokens))
        logs.model.bind(
            model=self._request.model,
            outcome=outcome,
            completion_tokens=self._tokens,
            max_tokens=self._request.max_tokens,
            has_images=self._request.has_images,
            temperature=self._request.sampling.temperature,
            seconds=round(self._clock() - self._began, 3),
            **facts,
        ).info("chat {}", outcome)


class EmbeddingRecorder:
    """Of texts that become vectors, or log-probabilities."""

    def __init__(
        self, metrics: Metrics, request: EmbedRequest, labels: tuple[str, str], spend: Callable[[UsageCounts], None]
    ) -> None:
        self._metrics, self._request, self._labels, self._spend = metrics, request, labels, spend
        self._began, self._facts = time.monotonic(), access_facts.current()

    def events(self, events: Sequence[TextResult | Finished]) -> None:
        if events and isinstance(finished := events[-1], Finished):
            self._metrics.prompt_tokens.labels(*self._labels).inc(finished.usage.prompt_tokens)
            self._metrics.queue_time.labels(*self._labels).observe(finished.timings.queue_s)
            self._facts.queued(finished.timings.queue_s)
            self._spend(UsageCounts(1, finished.usage.prompt_tokens, finished.usage.cached_tokens))
            self._end("ok")

    def failed(self, error: ServiceError) -> None:  # noqa: ARG002  # whatever it was
        self._end("error")

    def left(self) -> None:
        self._end("abort")

    def _end(self, outcome: str) -> None:
        self._facts.ended(self._labels[0], outcome)
        self._metrics.embedding_requests.labels(*self._labels, outcome).inc()
        logs.model.bind(
            model=self._request.model,
            outcome=outcome,
            texts=len(self._request.inputs),
            seconds=round(time.monotonic() - self._began, 3),
        ).info("embeddings {}", outcome)
