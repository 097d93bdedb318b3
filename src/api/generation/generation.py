"""One chat answer on its way to the client: the engine's events, counted, until the outcome.

The view waits for admission (an error before that is an HTTP status), then iterates. `close` is for every end; an
answer closed without an outcome counts as aborted.
"""

from __future__ import annotations

from collections.abc import Iterator

from src.api.generation.answer import Answer
from src.api.generation.recorder import Recorder
from src.errors import InternalError
from src.ipc.messages.chat import Admitted, ChoiceEnded, Delta, Finished
from src.ipc.messages.wire import AnyMessage


class Generation:
    """Iterate `batches` once it is `admitted`; `close` in the end."""

    def __init__(self, answer: Answer, record: Recorder, silence_s: float) -> None:
        self._answer = answer
        self._record = record
        self._silence_s = silence_s
        self.prompt_tokens = 0
        self.revision = ""
        self._taken = False
        self._early: list[AnyMessage] = []

    def admitted(self) -> bool:
        """Whether the engine has taken the request; False after a silence: its model may be on its way.

        Raises:
            ServiceError: it did not.
            ClientGone: nobody waits any more.
        """
        if self._taken:
            return True
        with self._record.failures():
            batch = self._answer.next_batch(self._silence_s)
            if batch is None:
                return False
            if not isinstance(batch[0], Admitted):
                raise InternalError
        self.prompt_tokens, self.revision = batch[0].prompt_tokens, batch[0].revision
        self._early, self._taken = batch[1:], True
        return True

    def batches(self) -> Iterator[list[Delta | ChoiceEnded | Finished]]:
        """Events as they come; an empty list after a silence. Ends after `Finished`; raises as `admitted`."""
        batch: list[AnyMessage] | None = self._early
        while True:
            events = [event for event in batch or () if isinstance(event, Delta | ChoiceEnded | Finished)]
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
