"""One request at the upstream server, from admission to outcome: the times that matter, and what is sent when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from src.engine.deadlines import Budget
from src.engine.step_times import StepTimes
from src.engine.upstream.client import Client
from src.engine.upstream.continuation import Continuation
from src.engine.upstream.dialects import Dialect
from src.engine.upstream.response import Translation
from src.errors import DeadlineExceeded
from src.ipc.messages.chat import Admitted, ChoiceEnded, Delta, PromptProgress, Timings
from src.ipc.server import Peer

# a server that is silent after its 200 is in prefill; the client is admitted, without the prompt's length
_ADMIT_S = 1.0


class BrokenOff(Exception):
    """The server ended an answer without saying how it ended."""


class UpstreamRequest:
    """Written by the event loop's thread alone. Times are on its monotonic clock, seconds."""

    def __init__(
        self,
        continued: Continuation,
        dialect: Dialect,
        arrived: float,
        budget: Budget,
        clock: Callable[[], float],
        revision: str = "",
        set_aside: tuple[str, ...] = (),
    ) -> None:
        request = self.request = continued.request
        self._revision = revision
        self._set_aside = set_aside
        self._arrived = arrived
        self._budget = budget
        self._clock = clock
        self._translation = Translation(request, dialect, continued.kept, continued.dropped)
        self._began = clock()
        self._first: float | None = None
        self._last = self._began
        self._admitted = False

    @property
    def begun(self) -> bool:
        """Whether the client has been shown some of the answer."""
        return self._first is not None

    @property
    def resumable(self) -> bool:
        """Whether a fresh server may go on with it."""
        return not self.begun or self._translation.tells_tokens

    @property
    def deadline(self) -> float:
        """When the time budget ends: the whole answer's, or in a stream that of the next token."""
        total = self._began + self._budget.total_s
        gap_s = self._budget.gap_s
        return total if gap_s is None or not self.begun else min(total, self._last + gap_s)

    def too_late(self) -> DeadlineExceeded:
        spent = self._clock() - self._began
        text = f"Generation exceeded its time budget after {spent:.0f} s and {self._translation.made} tokens."
        return DeadlineExceeded(f"{text} Ask for fewer tokens (max_tokens), or stream the answer.")

    async def run(
        self,
        client: Client,
        path: str,
        body: bytes,
        max_tokens: int,
        *,
        peer: Peer,
        pace: StepTimes,
        alive: Callable[[], None],
    ) -> int:
        """Send the request, and forward its events until the outcome; the tokens generated.

        Raises:
            ServiceError: when the server refuses or fails the request.
            Unreachable, BrokenOff: when it does not do its part.
        """
        loop, translation = asyncio.get_running_loop(), self._translation
        async with client.stream(path, body, self.request.traceparent) as batches:
            silence = loop.call_later(_ADMIT_S, self._admit, peer, max_tokens)
            try:
                async for batch in batches:
                    alive()
                    for data in batch:
                        events = self._read(data)
                        self._admit(peer, max_tokens)
                        self._stamp(events, pace)
                        for event in events:
                            peer.send(event)
            finally:
                silence.cancel()
        if not translation.complete:
            raise BrokenOff
        finished = translation.finished(self._timings())
        pace.service.add(self._clock() - self._began)
        peer.send(finished)
        return finished.usage.completion_tokens

    def _read(self, data: bytes) -> list[Delta | PromptProgress | ChoiceEnded]:
        try:
            return self._translation.feed(data)
        except msgspec.DecodeError:
            raise BrokenOff("an event of its answer cannot be read") from None

    def _admit(self, peer: Peer, max_tokens: int) -> None:
        if not self._admitted:
            self._admitted = True
            admitted = Admitted(self._translation.prompt_tokens, max_tokens, None, self._revision, self._set_aside)
            peer.send(admitted)

    def _stamp(self, events: Sequence[object], pace: StepTimes) -> None:
        if not any(isinstance(event, Delta) for event in events):
            return
        now = self._clock()
        if self._first is None:
            self._first = now
        else:
            pace.step.add(now - self._last)
        self._last = now

    def _timings(self) -> Timings:
        first = self._first if self._first is not None else self._clock()
        return Timings(self._began - self._arrived, first - self._began, self._clock() - first)
