"""A request's lease of a model, or of a quiet time: one connection to the supervisor, kept as long as the request.

Web process. Without a supervisor, or with one that stands still, no leases are granted, and none are needed: whoever
answers, serves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from src.errors import BackendUnavailable
from src.ipc import client
from src.ipc.messages.base import Failed
from src.ipc.messages.control import AcquireModel, StatusRequest

_CONNECT_S = 2.0
_SEND_S = 5.0
_POLL_S = 0.05
_LOOK_S = 0.001
_SILENCE_S = 3.0
_ANSWER_S = 2.0


class ModelLease:
    """Of one request. `acquire` before each connection to the model's engine; `close` in the end, or meanwhile."""

    def __init__(self, control: Path, wish: AcquireModel, clock: Callable[[], float] = time.monotonic) -> None:
        self._control = control
        self._wish = wish
        self._clock = clock
        self._stream: client.Stream | None = None
        self._granted = self._bypassed = self._closed = False
        self._heard_at = 0.0

    def acquire(self) -> bool:
        """Whether the lease is granted, or no supervisor grants leases; False: ask again, it is waited for meanwhile.

        Raises:
            ServiceError: why there will be none.
            Cancelled: it was closed; it is never asked for again.
        """
        if self._closed:
            raise client.Cancelled
        if self._bypassed:
            return True
        try:
            stream = self._stream or self._ask()
            answer = stream.receive(_LOOK_S if self._granted else _POLL_S)
        except client.ConnectError:
            return True
        except client.WaitTimeout:
            return self._granted or self._supervisor_silent()
        except client.Disconnected:  # a new supervisor knows nothing of us
            self._drop()
            return False
        if isinstance(answer, Failed):
            self._drop()
            raise answer.error()
        self._granted = True
        return True

    @property
    def granted(self) -> bool:
        """Whether the supervisor has said so; False where it is done without."""
        return self._granted

    def wait(self, timeout_s: float, check_connected: Callable[[], None]) -> None:
        """Hold it, within `timeout_s`; raises as `acquire`, what `check_connected` does, and BackendUnavailable."""
        deadline = self._clock() + timeout_s
        while not self.acquire():
            check_connected()
            if self._clock() >= deadline:
                raise BackendUnavailable(
                    f"No capacity for this model within {timeout_s:g} s (QUEUE_TIMEOUT + START_TIMEOUT)."
                )

    def _ask(self) -> client.Stream:
        stream = client.connect(self._control, _CONNECT_S)
        if self._closed:  # while it connected
            stream.close()
            raise client.Cancelled
        self._stream, self._heard_at = stream, self._clock()
        stream.send(self._wish, _SEND_S)
        return stream

    def _supervisor_silent(self) -> bool:
        """Whether the supervisor is silent on everything: its word cannot be waited for."""
        if self._clock() - self._heard_at < _SILENCE_S:
            return False
        try:
            client.ask(self._control, StatusRequest(), _ANSWER_S)
        except client.WaitTimeout:
            self._drop()
            self._bypassed = True
        except client.Unanswered:
            return False  # it has just ended, as the next `acquire` will see
        self._heard_at = self._clock()
        return self._bypassed

    def close(self) -> None:
        """Give it back, for good. May be called again."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._granted = None, False
