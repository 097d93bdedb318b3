"""One chat answer on its way to the client: the engine's events, counted, until the outcome.

The view waits for admission (an error before that is an HTTP status), then iterates. `close` is for every end; an
answer closed without an outcome counts as aborted.
"""

from __future__ import annotations

from collections.abc import Iterator

from src.api.answer import Answer
from src.api.recorder import Recorder
from src.errors import InternalError
from src.ipc.messages import Admitted, AnyMessage, Delta, Finished


class Generation:
    """Iterate `batches` after `wait_admitted`; `close` in the end."""

    def __init__(self, answer: Answer, record: Recorder, silence_s: float) -> None:
        self._answer = answer
        self._record = record
        self._silence_s = silence_s
        self._early: list[AnyMessage] = []

    def wait_admitted(self) -> None:
        """Return once the engine has taken the request.

        Raises:
            ServiceError: it did not.
            ClientGone: nobody waits any more.
        """
        with self._record.failures():
            batch = None
            while batch is None:
                batch = self._answer.next_batch(self._silence_s)
            if not isinstance(batch[0], Admitted):
                raise InternalError
        self._early = batch[1:]

    def batches(self) -> Iterator[list[Delta | Finished]]:
        """Events as they come; an empty list after a silence. Ends after `Finished`; raises as `wait_admitted`."""
        batch: list[AnyMessage] | None = self._early
        while True:
            events = [event for event in batch or () if isinstance(event, Delta | Finished)]
            if events or batch is None:
                self._record.events(events)
                yield events
            if events and isinstance(events[-1], Finished):
                return
            with self._record.failures():
                batch = self._answer.next_batch(self._silence_s)

    def close(self) -> None:
        self._answer.close()
        self._record.closed()
