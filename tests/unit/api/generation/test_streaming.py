"""The one loop beneath every stream: chat's, and OCR jobs' events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from src.api.generation.inflight import ClientGone
from src.api.generation.streaming import stream
from src.errors import EngineCrashed, ServiceError
from src.ipc.messages.chat import PromptProgress


class Letters:
    """A writer that writes what it is given."""

    def begin(self, prompt_tokens: int) -> bytes:  # as the protocol
        return b"<"

    def keep_alive(self, progress: PromptProgress | None) -> bytes:
        return b"~" if progress is None else b"~%d" % progress.processed

    def progress(self, progress: PromptProgress) -> bytes:
        return b"%d/%d" % (progress.processed, progress.total)

    def event(self, event: str) -> bytes:
        return event.encode()

    def failed(self, error: ServiceError) -> bytes:
        return error.code.encode()

    def end(self) -> bytes:
        return b">"


class Case:
    """A generation of one event and a silence, then what ends it."""

    def __init__(self, end: BaseException | None) -> None:
        self.closed = 0
        self.progress: PromptProgress | None = None
        self._end = end

    prompt_tokens = 0

    def admitted(self) -> bool:
        return True

    def batches(self) -> Iterator[list[str]]:
        yield ["one"]
        yield []
        if self._end is not None:
            raise self._end

    def close(self) -> None:
        self.closed += 1

    def body(self) -> list[bytes]:
        response = stream(self, Letters())
        found = list(response.iter_encoded())
        response.close()
        return found


@pytest.mark.parametrize(
    ("end", "body"),
    [
        (None, [b">"]),
        (ClientGone(), []),
        (EngineCrashed("gone"), [b"engine_crashed"]),
        (RuntimeError("a bug"), [b"internal_error"]),
    ],
)
def test_every_end_of_a_stream(end: BaseException | None, body: list[bytes]) -> None:
    """An error is one event, whoever made it; one who left gets nothing more. All is freed."""
    case = Case(end)
    assert case.body() == [b"<", b"one", b"~", *body]
    assert case.closed


class Prefill(Case):
    """A prompt that takes its time."""

    def batches(self) -> Iterator[list[str]]:
        for processed in (4, 8):
            self.progress = PromptProgress(10, processed)
            yield []
        yield []
        yield ["one"]


def test_progress_is_told_once_and_a_silence_repeats_it_as_a_comment() -> None:
    assert Prefill(None).body() == [b"<", b"4/10", b"8/10", b"~8", b"one", b">"]


def test_a_stream_that_was_never_begun_is_freed_too() -> None:
    """The client left between the head and the first byte: no generator's `finally` runs."""
    case = Case(None)
    stream(case, Letters()).close()
    assert case.closed == 1
