"""One request at a back end, from the web's side: events until the one outcome, and one `close` for every end.

It knows who may end it early (client gone, shutdown, silence) and turns each into the right error. The request is kept
until the outcome, with the token ids that came: what a later engine would need to go on where this one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol

from src.api.body import leave_slot
from src.api.generation.client_watch import ClientWatch
from src.api.generation.inflight import InFlight
from src.errors import DeadlineExceeded, ServiceError, ShuttingDown
from src.ipc.client import Cancelled, Disconnected, WaitTimeout
from src.ipc.messages.base import Failed, Fallback
from src.ipc.messages.chat import Admitted
from src.ipc.messages.wire import AnyMessage


class ClientGone(Exception):
    """The client left: nobody to answer."""


class Cause(Enum):
    """Why a wait was interrupted from this side."""

    CLIENT = "client"
    SHUTDOWN = "shutdown"


class EventStream(Protocol):
    """What `ipc.client.Stream` and `resume.ResumableStream` have in common."""

    def receive_all(self, timeout_s: float) -> list[AnyMessage]: ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


class Answer:
    """Ask for the `next_batch` until the outcome; call `close` in the end, whatever happened."""

    def __init__(
        self,
        open_stream: Callable[[], EventStream],
        *,
        inflight: InFlight,
        environ: Mapping[str, Any],
        crashed: ServiceError,
        timeout_s: float,
        on_fallback: Callable[[Fallback], None] = lambda _: None,
        on_set_aside: Callable[[tuple[str, ...]], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inflight = inflight
        self._crashed = crashed
        self._on_fallback = on_fallback
        self._on_set_aside = on_set_aside
        self._clock = clock
        self._deadline = clock() + timeout_s
        self._timeout_s = timeout_s
        self._cause: Cause | None = None
        self._failure: ServiceError | None = None
        self._cancel: Callable[[], None] = lambda: None  # while connecting, there is nothing to cancel
        leave_slot(environ)
        self._ticket = inflight.enter(lambda: self._interrupt(Cause.SHUTDOWN))
        self._stream = self._connect(open_stream)
        self._watch = ClientWatch(environ, lambda: self._interrupt(Cause.CLIENT))

    def _connect(self, open_stream: Callable[[], EventStream]) -> EventStream:
        try:
            stream = open_stream()
        except BaseException:
            self._inflight.leave(self._ticket)
            raise
        self._cancel = stream.cancel
        if self._cause is not None:
            stream.cancel()
        return stream

    def next_batch(self, silence_s: float) -> list[AnyMessage] | None:
        """The events that are there, at least one; None after `silence_s` without any.

        Raises:
            ServiceError: the back end failed the request, crashed, or this side ended it.
            ClientGone: nobody is left to answer.
        """
        if self._failure is not None:
            raise self._failure
        left = self._deadline - self._clock()
        try:
            batch = self._stream.receive_all(min(silence_s, left))
        except WaitTimeout:
            if left <= silence_s:
                raise DeadlineExceeded(f"No outcome within {self._timeout_s:g} s.") from None
            return None
        except Disconnected:
            raise self._ended_here() or self._crashed from None
        except Cancelled:
            raise self._ended_here() or ClientGone from None  # closed while it was read
        return self._up_to_failure(batch)

    def _up_to_failure(self, batch: list[AnyMessage]) -> list[AnyMessage]:
        """What came before a failure is still delivered; the failure is raised when its turn comes."""
        for at, message in enumerate(batch):
            if isinstance(message, Failed):
                self._failure = message.error()
                return batch[:at] or self.next_batch(0.0) or []
            if isinstance(message, Admitted):
                self._disclose(message)
        return batch

    def _disclose(self, admitted: Admitted) -> None:
        if admitted.fallback is not None:
            self._on_fallback(admitted.fallback)
        if admitted.set_aside:
            self._on_set_aside(admitted.set_aside)

    def close(self) -> None:
        """Free everything; the back end forgets the request. May be called again."""
        self._watch.stop()
        self._stream.close()
        self._inflight.leave(self._ticket)

    def _interrupt(self, cause: Cause) -> None:
        if self._cause is None:
            self._cause = cause
            self._cancel()

    def _ended_here(self) -> Exception | None:
        if self._cause is Cause.CLIENT:
            return ClientGone()
        if self._cause is Cause.SHUTDOWN:
            return ShuttingDown("The service shut down before the answer was complete.", retry_after_s=5.0)
        return None
