"""A request that outlives its back end: when the connection breaks, it waits for a fresh process and goes on there.

It looks like one `ipc.client.Stream`: whoever reads it sees a pause, not an error. `Delivered` is what the client has
been given, immutable, a new one for each message; a fresh process gets what its `rest_of` makes of the request: a chat
request goes back with the token ids that came as its prefix (one whose tokens an upstream server has not all told
fails); texts to be embedded, an OCR page or a document go back whole, and what they give is shown once. One that
the engine hands over at its planned end is put back likewise, without suspicion. One that was left on this side is
never put back. Web process, in the request's greenlet.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple, Protocol, cast

import msgspec

from src.api.generation.suspects import Suspects
from src.errors import ServiceError
from src.ipc.client import Cancelled, ConnectError, Disconnected, Stream, WaitTimeout
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.chat import (
    Admitted,
    Choice,
    ChoiceEnded,
    Delta,
    DetokenizeRequest,
    EmbedRequest,
    Finished,
    GenerateRequest,
    HandedOver,
    PromptProgress,
    TextResult,
    TokenizeRequest,
)
from src.ipc.messages.ocr import OcrDocument, OcrPage, OcrRequest
from src.ipc.messages.wire import AnyMessage

Resumable = GenerateRequest | EmbedRequest | TokenizeRequest | DetokenizeRequest | OcrRequest | OcrDocument


class Given(NamedTuple):
    """The first `length` of a list that only grows: what was given before is not copied for each token after it."""

    tokens: list[int]
    length: int

    def plus(self, new: Sequence[int]) -> Given:
        grown = len(self.tokens) > self.length  # by another that went on from here
        tokens = self.tokens[: self.length] if grown else self.tokens
        tokens.extend(new)
        return Given(tokens, self.length + len(new))


class Delivered(NamedTuple):
    """Of one request. `given` by choice; `ended` choices; `items`: pages, or vectors, by number."""

    admitted: Admitted | None = None
    given: Mapping[int, Given] = MappingProxyType({})
    ended: frozenset[int] = frozenset()
    items: frozenset[int] = frozenset()
    progress: int = 0  # tokens of the prompt that were computed, by what was told
    unreported: bool = False  # some of the answer has come without its tokens

    @property
    def begun(self) -> bool:
        """Whether anything of the answer itself has been given."""
        return bool(self.given or self.items or self.unreported)

    def tokens(self, choice: int) -> tuple[int, ...]:
        """Of one choice, so far."""
        given = self.given.get(choice)
        return tuple(given.tokens[: given.length]) if given is not None else ()

    def after(self, message: AnyMessage) -> Delivered:
        """With one more message given."""
        match message:
            case Delta():
                return self.after_deltas((message,))
            case Admitted():
                return self._replace(admitted=message)
            case PromptProgress(processed=processed):
                return self._replace(progress=processed)
            case ChoiceEnded():
                return self._replace(ended=self.ended | {message.index})
            case OcrPage(number=number) | TextResult(index=number):
                return self._replace(items=self.items | {number})
        return self

    def after_deltas(self, deltas: Sequence[Delta]) -> Delivered:
        """With these given: one record for all that came together, as a record for each would cost more than the rest
        of what is done for a token."""
        new: dict[int, list[int]] = {}
        unreported = self.unreported
        for delta in deltas:
            new.setdefault(delta.index, []).extend(delta.tokens)
            unreported = unreported or delta.unreported_tokens > 0
        given = {index: (self.given.get(index) or Given([], 0)).plus(tokens) for index, tokens in new.items()}
        return self._replace(given={**self.given, **given}, unreported=unreported)

    def rest_of(self, request: Resumable, spent_s: float) -> Resumable:
        """The request as the next process needs it: it goes on after the tokens, and the seconds spent on them."""
        if isinstance(request, EmbedRequest):
            return msgspec.structs.replace(request, retried=self.admitted is not None)
        if not isinstance(request, GenerateRequest) or self.admitted is None:
            return request
        left = [choice.index for choice in request.choices if choice.index not in self.ended]
        return msgspec.structs.replace(
            request,
            max_tokens=self.admitted.max_tokens,
            prefix=request.prefix + self.tokens(0) if not request.choices else (),
            choices=tuple(Choice(index, self.tokens(index)) for index in left),
            spent_s=spent_s,
        )

    def completed(self, finished: Finished) -> Finished:
        """With the tokens of the choices that have ended here: the engine that says so did not see them."""
        earlier = sum(self.given[index].length for index in self.ended & self.given.keys())
        usage = finished.usage
        total = msgspec.structs.replace(usage, completion_tokens=usage.completion_tokens + earlier)
        return msgspec.structs.replace(finished, usage=total)


_POLL_S = 0.05
_YIELD_S, _SPREAD = 0.5, 100
# how often the supervisor is asked whether waiting makes sense
_ASK_S = 1.0


class LeasePending(Exception):
    """The request has no lease of its model so far: it is being loaded, or others use the device."""


class Connector(Protocol):
    """The way of one request to its back end."""

    def connect(self, request: Resumable) -> Stream:
        """Connect and send. Raises ConnectError when it is not there, LeasePending, or the wait's error."""

    def close(self) -> None:
        """Give up what the way holds."""

    def hopeless(self) -> ServiceError | None:
        """The error to give up with, when the supervisor says that this back end will not come back by itself."""


@dataclass(frozen=True)
class TerminalErrors:
    """What a request at one back end fails with when it cannot be resumed."""

    unavailable: ServiceError  # it was never there
    not_recovered: ServiceError  # it died and did not come back in time
    not_resumable: ServiceError  # it died in the middle of an answer whose tokens it did not tell
    poisonous: ServiceError  # this request kills it: not to be tried again
    replaced: ServiceError  # its next life has loaded other weights than the answer was begun with


class StreamWatcher(Protocol):
    """Told which life of the back end has the request."""

    def connected(self) -> None: ...

    def detached(self) -> None: ...


class ResumableStream:
    """One request, whichever process works on it. `cancel` may come from the hub; all else from the request's own."""

    def __init__(
        self,
        request: Resumable,
        route: Connector,
        suspects: Suspects,
        *,
        max_wait_s: float,
        errors: TerminalErrors,
        on_resume: Callable[[], None] = lambda: None,
        watcher: StreamWatcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._request = request
        self._route = route
        self._suspects = suspects
        self._max_wait_s = max_wait_s
        self._errors = errors
        self._entered = False
        self._on_resume = on_resume
        self._watcher = watcher
        self._clock = clock
        self._sleep = sleep
        self._suspect = suspects.arrive()
        self._stream: Stream | None = None
        self._delivered = Delivered()
        self._before = self._delivered  # as it was when this life of the back end began
        self._cancelled = False
        self._asked = clock()
        self._missing_since: float | None = None  # when a connect first failed
        self._first_token: float | None = None  # in this life of the engine
        self._spent_s = 0.0
        self._enter_after = -math.inf

    def receive_all(self, timeout_s: float) -> list[AnyMessage]:
        """As `Stream.receive_all`; a crash of the back end is a silence.

        Raises:
            ServiceError: when it does not come back in time, or this request is what kills it.
            Cancelled: after `cancel` or `close`.
        """
        deadline = self._clock() + timeout_s
        while True:
            stream = self._stream or self._enter(deadline)
            try:
                batch = stream.receive_all(max(0.0, deadline - self._clock()))
            except Disconnected:
                if self._cancelled:
                    raise Cancelled from None
                self._detach(stream)
                self._record_crash()
            else:
                messages = self._note(batch)
                if isinstance(batch[-1], HandedOver):
                    self._detach(stream)
                    self._suspects.moved(self._suspect)
                    self._enter_after = self._clock() + self._pause_s()
                if messages:
                    return messages

    def cancel(self) -> None:
        """Wake whoever waits in `receive_all` with `Cancelled`. From here on it is neither put back nor suspected."""
        self._cancelled = True
        self._suspects.leave(self._suspect)
        if self._stream is not None:
            self._stream.cancel()

    def close(self) -> None:
        """Leave, for whatever reason. May be called again, and while another greenlet reads."""
        self.cancel()
        if self._stream is not None:
            self._stream.close()
        self._route.close()

    # ---- in and out of an engine

    def _enter(self, deadline: float) -> Stream:
        """Wait for the turn and for the back end; `WaitTimeout` at `deadline`."""
        while not self._cancelled:
            if self._clock() < self._enter_after:
                pass
            elif not self._suspects.may_enter(self._suspect):
                self._missing_since = None  # it waits for its turn, not for an engine
            elif (stream := self._connect()) is not None:
                return stream
            self._give_up_or_wait(deadline)
        raise Cancelled

    def _pause_s(self) -> float:
        """After it was handed over: what nobody waits for made room for others, and leaves them the machine a while.

        Those that left together come back one after another.
        """
        if not isinstance(self._request, GenerateRequest) or self._request.priority != "background":
            return 0.0
        return _YIELD_S * (1 + zlib.crc32(self._request.id.encode()) % _SPREAD / _SPREAD)

    def _connect(self) -> Stream | None:
        try:
            stream = self._route.connect(self._delivered.rest_of(self._request, self._spent_s))
        except LeasePending:
            self._missing_since = None
            return None
        except ConnectError:
            self._missing_since = self._missing_since or self._clock()
            return None
        if self._cancelled:  # while it connected
            stream.close()
            raise Cancelled
        self._suspects.entered(self._suspect)
        if isinstance(self._request, OcrRequest | OcrDocument):
            self._suspects.taken(self._suspect)  # nothing is said of it before the outcome
        self._entered = True
        self._missing_since = self._first_token = None
        if self._delivered.admitted is not None:
            self._on_resume()
        if self._watcher is not None:
            self._watcher.connected()
        self._stream = stream
        return stream

    def _give_up_or_wait(self, deadline: float) -> None:
        now = self._clock()
        if self._missing_since is not None and now - self._missing_since >= self._max_wait_s:
            raise self._errors.not_recovered if self._entered else self._errors.unavailable
        if now - self._asked >= _ASK_S:
            self._asked = now
            if (error := self._route.hopeless()) is not None:
                raise error
        if now >= deadline:
            raise WaitTimeout
        self._sleep(_POLL_S)

    def _detach(self, stream: Stream) -> None:
        """The back end is gone: from here on it waits for the next."""
        stream.close()
        if self._watcher is not None:
            self._watcher.detached()
        self._stream = None
        self._before = self._delivered
        self._asked = now = self._clock()
        if self._first_token is not None:
            self._spent_s += now - self._first_token

    def _record_crash(self) -> None:
        """The back end died under this request."""
        self._suspects.died(self._suspect)
        if self._suspect.condemned:
            raise self._errors.poisonous
        if self._delivered.unreported:
            raise self._errors.not_resumable

    def _note(self, batch: list[AnyMessage]) -> list[AnyMessage]:
        """What the reader gets to see; what a resume will need is kept on the way."""
        kept: list[AnyMessage] = []
        for kind, together in groupby(batch, type):
            if kind is Delta:
                kept += self._keep_deltas(cast(list[Delta], list(together)))
            else:
                kept += (seen for message in together if (seen := self._keep(message)) is not None)
        return kept

    def _keep_deltas(self, deltas: list[Delta]) -> list[Delta]:
        self._first_token = self._first_token or self._clock()
        if self._suspect.suspected:
            self._suspects.progressed(self._suspect, sum(delta.count for delta in deltas))
        self._delivered = self._delivered.after_deltas(deltas)
        return deltas

    def _keep(self, message: AnyMessage) -> AnyMessage | None:
        if isinstance(message, Accepted):
            self._suspects.taken(self._suspect)
        if isinstance(message, Accepted | HandedOver) or self._is_known(message):
            return None
        if isinstance(message, Failed):
            self._suspects.leave(self._suspect)
        self._delivered = self._delivered.after(message)
        return self._before.completed(message) if isinstance(message, Finished) else message

    def _is_known(self, message: AnyMessage) -> bool:
        """Whether the reader has it from an earlier life of the back end."""
        if isinstance(message, OcrPage):
            return message.number in self._delivered.items
        if isinstance(message, TextResult):
            return message.index in self._delivered.items
        if isinstance(message, PromptProgress):  # a prompt that is computed again is a pause
            return self._delivered.begun or message.processed <= self._delivered.progress
        if not isinstance(message, Admitted) or self._delivered.admitted is None:
            return False
        if message.revision != self._delivered.admitted.revision:
            if self._delivered.begun:  # by other weights
                raise self._errors.replaced
            self._delivered = self._delivered.after(message)
        return True
