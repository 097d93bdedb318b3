"""Pages of OCR jobs, which the broker reads with nobody waiting, and counts in its own store. Asked for while jobs run,
and stored with all other usage. Web process; `run` in a greenlet of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from src.api.state.usage import day_of
from src.api.usage.ledger import UsageLedger
from src.errors import ServiceError
from src.ipc import client, runtime
from src.ipc.messages.ocr import OcrPageCounts, OcrPageCountsRequest
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings

_EVERY_S, _RETRY_S = 5.0, 30.0
_ANSWER_S = 2.0
_DAY_S = 86_400.0
_FIRST_DAYS, _DAYS = 40, 2  # what another web process may have missed; what may still change


def asking(settings: Settings) -> Callable[[OcrPageCountsRequest], AnyMessage]:
    """The broker of these settings."""
    socket = runtime.ocr_socket(settings.runtime_path)
    return lambda question: client.ask(socket, question, _ANSWER_S)


class JobPages:
    """`expect` when a job begins; until then, and once none is left, nothing is asked."""

    def __init__(
        self,
        ask: Callable[[OcrPageCountsRequest], AnyMessage],
        ledger: UsageLedger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ask, self._ledger, self._clock = ask, ledger, clock
        self._expected = True  # of the time before this process
        self._waits = False
        self._days = _FIRST_DAYS

    def expect(self) -> None:
        self._expected = True

    def poll(self) -> None:
        """Store what the broker has counted. Without an answer it is asked again later."""
        if not self._expected:
            return
        self._expected = False  # whoever begins a job meanwhile says so
        counts = self._counts()
        self._waits = counts is None
        if counts is None or counts.unfinished:
            self._expected = True
        if counts is None:
            return
        try:
            self._ledger.flush(counts.totals)
            self._days = _DAYS
        except ServiceError:
            self._expected = True

    def run(self) -> None:
        while True:
            gevent.sleep(_RETRY_S if self._waits else _EVERY_S)
            self.poll()

    def _counts(self) -> OcrPageCounts | None:
        since = day_of(self._clock() - self._days * _DAY_S)
        try:
            answer = self._ask(OcrPageCountsRequest(since))
        except client.Unanswered:
            return None
        return answer if isinstance(answer, OcrPageCounts) else None
