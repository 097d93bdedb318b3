"""What a request's work at engines and OCR came to, for its line in the access log. Web process.

One for each request, in its greenlet's context; a recorder takes it once, as a stream outlives its view's context. Work
that nobody waits for (batches, background responses) has none: its facts are dropped.
"""

from __future__ import annotations

from contextvars import ContextVar

from src.api.state.usage import UsageCounts


class AccessFacts:
    """Several generations of one request are added up; the first token and the longest queue are the request's."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.outcome: str | None = None
        self.resumed = 0
        self._used = UsageCounts()
        self._ttft_s: float | None = None
        self._queue_s: float | None = None

    def first_token(self, seconds: float) -> None:
        self._ttft_s = seconds if self._ttft_s is None else min(self._ttft_s, seconds)

    def queued(self, seconds: float) -> None:
        self._queue_s = max(self._queue_s or 0.0, seconds)

    def used(self, counts: UsageCounts) -> None:
        self._used += counts

    def ended(self, model: str, outcome: str) -> None:
        """The last outcome is the request's, but an error stays."""
        self.model = model
        if self.outcome != "error":
            self.outcome = outcome

    def shown(self) -> dict[str, object]:
        """The fields of the line; None is left out of it. Empty for a request that had no such work."""
        if self.outcome is None:
            return {}
        used, has_tokens = self._used, bool(self._used.tokens)
        return {
            "model": self.model,
            "outcome": self.outcome,
            "prompt_tokens": used.prompt_tokens if has_tokens else None,
            "cached_tokens": used.cached_tokens if has_tokens else None,
            "completion_tokens": used.completion_tokens if has_tokens else None,
            "pages": used.pages or None,
            "ttft_ms": _ms(self._ttft_s),
            "queue_ms": _ms(self._queue_s),
            "resumed": self.resumed or None,
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


_current: ContextVar[AccessFacts | None] = ContextVar("access_facts", default=None)


def begin() -> AccessFacts:
    """Those of the request that this greenlet serves from now on."""
    facts = AccessFacts()
    _current.set(facts)
    return facts


def current() -> AccessFacts:
    """Those of this greenlet's request; fresh ones where there is none."""
    return _current.get() or AccessFacts()
