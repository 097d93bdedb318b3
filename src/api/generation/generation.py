"""One request at a back end, from the web's side: its events until the one outcome, and one `close` for every end.

It owns what a request holds while it lasts: its slot among those in flight, its deadline, its stream, and the recorder
that counts it. It knows who may end it early (client gone, shutdown, silence) and turns each into the right error. A
view waits for admission (what fails before that is an HTTP status), then reads the batches. Web process, in the
request's greenlet; `close` and interrupts may come from others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeGuard, TypeVar

from src.api.generation.inflight import ClientGone, InFlight, InFlightRequest
from src.api.generation.recorder import Recorder
from src.errors import DeadlineExceeded, InternalError, ServiceError
from src.ipc.client import Cancelled, Disconnected, WaitTimeout
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import Admitted, PromptProgress
from src.ipc.messages.wire import AnyMessage

_RETRY_S = 30.0
_NOTED = frozenset({Failed, Admitted, PromptProgress})  # what a generation takes note of on the way

E = TypeVar("E", bound=AnyMessage)


class EventStream(Protocol):
    """What `ipc.client.Stream` and `resume.ResumableStream` have in common."""

    def receive_all(self, timeout_s: float) -> list[AnyMessage]: ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class EventKinds(Generic[E]):
    """What one kind of request is answered with: the messages that its reader gets, and which of them ends it.

    `admission`: whether the back end says first that it takes the request. `progress`: its reader is woken whenever
    more of its prompt is computed.
    """

    shown: Callable[[AnyMessage], TypeGuard[E]]
    is_last: Callable[[E], bool]
    admission: bool = False
    progress: bool = False


@dataclass(frozen=True)
class RequestTimeouts:
    """How long a request is waited for: to its outcome, and until its reader is told of a silence.

    `crashed` is what a connection that breaks before the outcome means.
    """

    total_s: float
    silence_s: float
    crashed: ServiceError


class Generation(Generic[E]):
    """Iterate `batches`, once it is `admitted` where the back end says so; `close` in the end, whatever happened."""

    def __init__(
        self,
        open_stream: Callable[[], EventStream],
        kinds: EventKinds[E],
        timeouts: RequestTimeouts,
        *,
        inflight: InFlight,
        environ: Mapping[str, Any],
        recorder: Recorder[E],
        on_admitted: Callable[[Admitted], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ShuttingDown and Overloaded as `InFlight.enter`, and what `open_stream` raises."""
        self._kinds, self._timeouts, self._recorder = kinds, timeouts, recorder
        self._on_admitted, self._clock = on_admitted, clock
        self._deadline = clock() + timeouts.total_s
        self.admission: Admitted | None = None
        self.progress: PromptProgress | None = None  # the newest
        self._silent_since = clock()
        self._taken = self._over = False
        self._early: list[AnyMessage] = []
        self._failure: ServiceError | None = None
        self._cancel: Callable[[], None] = lambda: None  # while connecting, there is nothing to cancel
        self._held = InFlightRequest(inflight, environ, self._interrupt)
        self._stream = self._connect(open_stream)

    @property
    def prompt_tokens(self) -> int:
        """Of the prompt, once it is admitted."""
        return self.admission.prompt_tokens if self.admission is not None else 0

    @property
    def revision(self) -> str:
        """What the engine that took it has loaded; empty before."""
        return self.admission.revision if self.admission is not None else ""

    def admitted(self) -> bool:
        """Whether the back end has taken the request; False after a silence: its model may be on its way.

        Raises:
            ServiceError: it did not.
            ClientGone: nobody waits any more.
        """
        self._silent_since = self._clock()
        if not self._taken and (batch := self._next_batch()) is not None:
            self._take(batch)
        return self._taken

    def batches(self) -> Iterator[list[E]]:
        """Events as they come; an empty list after a silence. Ends after the outcome; raises as `admitted`."""
        batch: list[AnyMessage] | None = self._early
        self._silent_since = self._clock()
        while True:
            events = [message for message in batch or () if self._kinds.shown(message)]
            if events or batch is None or (self._kinds.progress and _has_progress(batch)):
                self._recorder.events(events)
                self._over = bool(events) and self._kinds.is_last(events[-1])
                yield events
                self._silent_since = self._clock()
            if self._over:
                return
            batch = self._next_batch()

    def close(self) -> None:
        """Cancel what still runs, then free everything. May be called again, and while another greenlet reads."""
        self._stream.close()
        self._held.close()
        if not self._over:
            self._over = True
            self._recorder.left()

    # ---- the stream

    def _connect(self, open_stream: Callable[[], EventStream]) -> EventStream:
        try:
            stream = open_stream()
        except BaseException as error:
            self._held.close()
            if isinstance(error, ServiceError):
                self._recorder.failed(error)
            raise
        self._cancel = stream.cancel
        if self._held.ended is not None:  # while it connected
            stream.cancel()
        return stream

    def _interrupt(self) -> None:
        self._cancel()

    def _next_batch(self) -> list[AnyMessage] | None:
        """What is there, at least one message; None after a silence. An error is the recorder's outcome, too."""
        try:
            return self._read()
        except ServiceError as error:
            self._fail(error)
            raise

    def _take(self, batch: list[AnyMessage]) -> None:
        """The back end's first word."""
        first = batch[0]
        if isinstance(first, Admitted):
            self.admission, self._early = first, batch[1:]
        elif self._kinds.admission:
            self._fail(error := InternalError())
            raise error
        else:
            self._early = batch
        self._taken = True

    def _fail(self, error: ServiceError) -> None:
        if not self._over:
            self._over = True
            self._recorder.failed(error)

    def _read(self) -> list[AnyMessage] | None:
        if self._failure is not None:
            raise self._failure
        now = self._clock()
        left, silence = self._deadline - now, max(0.0, self._silent_since + self._timeouts.silence_s - now)
        try:
            batch = self._stream.receive_all(min(silence, left))
        except WaitTimeout:
            if left <= silence:
                text = f"No response from the back end within {self._timeouts.total_s:g} s."
                raise DeadlineExceeded(text, retry_after_s=_RETRY_S) from None
            return None
        except Disconnected:
            raise self._held.ended or self._timeouts.crashed from None
        except Cancelled:
            raise self._held.ended or ClientGone from None  # closed while it was read
        return self._up_to_failure(batch)

    def _up_to_failure(self, batch: list[AnyMessage]) -> list[AnyMessage]:
        """What came before a failure is still delivered; the failure is raised when its turn comes."""
        if _NOTED.isdisjoint(map(type, batch)):  # nearly always
            return batch
        for at, message in enumerate(batch):
            if isinstance(message, Failed):
                self._failure = message.error()
                if not at:
                    raise self._failure
                return batch[:at]
            if isinstance(message, Admitted):
                self._on_admitted(message)
            elif isinstance(message, PromptProgress):
                self.progress = message
        return batch


def _has_progress(batch: list[AnyMessage]) -> bool:
    return any(isinstance(message, PromptProgress) for message in batch)
