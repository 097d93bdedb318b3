"""Whatever comes bit by bit as server-sent events: how their bytes look, and one loop for every endpoint.

Runs in the request's greenlet; a client that left ends it, and an error after the first byte is one event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import msgspec
from flask import Response
from loguru import logger

from src.api.generation.inflight import ClientGone
from src.api.wire import Wire
from src.errors import InternalError, ServiceError
from src.ipc.messages.chat import ChoiceEnded, Delta, Finished, PromptProgress

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
MIMETYPE = "text/event-stream"

_encode = msgspec.json.Encoder().encode


def sse(data: Wire) -> bytes:
    """A server-sent event. An error is one too, and never followed by [DONE]."""
    return b"data: " + _encode(data) + b"\n\n"


def named_sse(name: str, data: Wire) -> bytes:
    """An event with a name, as OpenAI's responses and Anthropic's messages have."""
    return b"event: " + name.encode() + b"\n" + sse(data)


def ping(progress: PromptProgress | None) -> bytes:
    """A comment into a silence: how much of the prompt is computed, while that is told."""
    if progress is None or not 0 < progress.total > progress.processed:
        return PING
    return b": prompt %d%%\n\n" % (100 * progress.processed // progress.total)


E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)
Event = Delta | ChoiceEnded | Finished  # of chat's answers


class Answering(Protocol[E]):
    """What is on its way to a client: a `Generation`, or a kept answer."""

    @property
    def prompt_tokens(self) -> int:
        """Of the prompt, once it is admitted."""

    @property
    def progress(self) -> PromptProgress | None:
        """How much of the prompt is computed, where that is told."""

    def admitted(self) -> bool:
        """Whether the engine has taken it; False after a silence: ask again. Raises ServiceError, ClientGone."""

    def batches(self) -> Iterator[list[E]]: ...

    def close(self) -> None: ...


class StreamWriter(Protocol[E_contra]):
    """One stream's bytes."""

    def begin(self, prompt_tokens: int) -> bytes: ...

    def keep_alive(self, progress: PromptProgress | None) -> bytes:
        """What is sent into a silence, also before `begin`."""

    def progress(self, progress: PromptProgress) -> bytes:
        """More of the prompt is computed. Nothing, for whoever did not ask."""

    def event(self, event: E_contra) -> bytes: ...

    def failed(self, error: ServiceError) -> bytes: ...

    def end(self) -> bytes: ...


def admitted(generation: Answering[E], *, once: bool = False) -> Answering[E]:
    """One that the back end has taken: what fails before is an HTTP status, and closes it.

    `once`: a stream waits for one silence only; then it begins, with comments, so that no client gives up meanwhile.
    """
    try:
        while not generation.admitted() and not once:
            pass
    except BaseException:
        generation.close()
        raise
    return generation


def collect(generation: Answering[E]) -> list[E]:
    """All events up to the outcome; ends the generation however it ends."""
    try:
        return [event for batch in generation.batches() for event in batch]
    finally:
        generation.close()


def stream(generation: Answering[E], writer: StreamWriter[E]) -> Response:
    """What comes as a stream; ends the generation however it ends."""
    return respond(_encoded(generation, writer), writer.failed, generation.close)


def respond(chunks: Iterator[bytes], failed: Callable[[ServiceError], bytes], close: Callable[[], None]) -> Response:
    """The one loop beneath every stream: `failed` makes an event of an error, `close` is for every end."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # no proxy buffers or stores it
    response = Response(_until_over(chunks, failed, close), mimetype=MIMETYPE, headers=headers)
    # a generator that was never started never reaches its `finally`
    response.call_on_close(close)
    return response


def _until_over(
    chunks: Iterator[bytes], failed: Callable[[ServiceError], bytes], close: Callable[[], None]
) -> Iterator[bytes]:
    try:
        yield from chunks
    except ClientGone:
        return
    except ServiceError as error:
        yield failed(error)
    except Exception:  # noqa: BLE001  # the response has begun: an error event is the only honest end
        logger.exception("a stream failed")
        yield failed(InternalError())
    finally:
        close()


def _encoded(generation: Answering[E], writer: StreamWriter[E]) -> Iterator[bytes]:
    while not generation.admitted():
        yield writer.keep_alive(None)
    yield writer.begin(generation.prompt_tokens)
    shown: PromptProgress | None = None
    for batch in generation.batches():
        known, shown = shown, generation.progress
        told = writer.progress(shown) if shown is not None and shown is not known else b""
        if encoded := told + b"".join(map(writer.event, batch)):
            yield encoded
        elif not batch:
            yield writer.keep_alive(shown)
    yield writer.end()
