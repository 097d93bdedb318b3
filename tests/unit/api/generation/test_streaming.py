"""The one loop beneath every stream: chat's, and OCR jobs' events."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator

import pytest

from src.api.generation import sse
from src.api.generation.answer import ClientGone
from src.api.generation.streaming import respond
from src.api.ocr import jobs as ocr_jobs
from src.errors import EngineCrashed
from src.ipc.messages.ocr import OcrJob, OcrPage, OcrResult, OcrTimings
from src.ipc.messages.wire import AnyMessage
from tests.unit.api.conftest import MakeApp

RUNNING, DONE = (OcrJob("j", state, "json", 1.0, 2.0, 3, total=1) for state in ("running", "done"))
PAGE = OcrPage(0, OcrResult("fake", "hi", (), 1, 1, 0, 0.0, OcrTimings(0, 0, 0)), 1)


class Case:
    """A stream of one chunk, then what ends it."""

    def __init__(self, end: BaseException | None) -> None:
        self.closed = 0
        self._end = end

    def chunks(self) -> Iterator[bytes]:
        yield b"one"
        if self._end is not None:
            raise self._end

    def close(self) -> None:
        self.closed += 1

    def body(self) -> list[bytes]:
        response = respond(self.chunks(), lambda error: error.code.encode(), self.close)
        found = list(response.iter_encoded())
        response.close()
        return found


@pytest.mark.parametrize(
    ("end", "body"),
    [
        (None, [b"one"]),
        (ClientGone(), [b"one"]),
        (EngineCrashed("gone"), [b"one", b"engine_crashed"]),
        (RuntimeError("a bug"), [b"one", b"internal_error"]),
    ],
)
def test_every_end_of_a_stream(end: BaseException | None, body: list[bytes]) -> None:
    """An error is one event, whoever made it; one who left gets nothing more. All is freed."""
    case = Case(end)
    assert case.body() == body
    assert case.closed


def test_a_stream_that_was_never_begun_is_freed_too() -> None:
    """The client left between the head and the first byte: no generator's `finally` runs."""
    case = Case(None)
    respond(case.chunks(), lambda _: b"", case.close).close()
    assert case.closed == 1


Watch = Callable[..., list[str]]


@pytest.fixture
def watch(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The blocks of a job's event stream, from what the broker says; an exception is what ends it."""

    def watch(*script: list[AnyMessage] | Exception) -> list[str]:
        def told(*_: object) -> Generator[list[AnyMessage], None, None]:
            for one in script:
                if isinstance(one, Exception):
                    raise one
                yield one

        monkeypatch.setattr(ocr_jobs, "batches", told)
        reply = make_app().test_client().get("/v1/ocr/jobs/j/events")
        assert reply.mimetype == sse.MIMETYPE
        return [block for block in reply.text.split("\n\n") if block]

    return watch


def test_a_jobs_events_keep_a_silent_connection_open(watch: Watch) -> None:
    """Pages and states as they come, a comment after a silence, the last state last."""
    blocks = watch([RUNNING], [], [PAGE], [], [DONE], [RUNNING])
    assert [block.partition("\n")[0] for block in blocks] == ["event: job", ": ping", "id: 1", ": ping", "event: job"]


@pytest.mark.parametrize(
    ("end", "codes"),
    [(EngineCrashed("gone"), ["engine_crashed"]), (RuntimeError("a bug"), ["internal_error"]), (ClientGone(), [])],
)
def test_a_jobs_events_end_as_every_stream_does(watch: Watch, end: Exception, codes: list[str]) -> None:
    """An error event for a failure and for a bug, nothing for one who left: no stream breaks off without a word."""
    first, *rest = watch([RUNNING], end)
    assert first.startswith("event: job")
    assert [json.loads(block.removeprefix("data: "))["error"]["code"] for block in rest] == codes
