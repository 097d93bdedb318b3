"""One chat answer on its way: admission first, then events until the outcome."""

from __future__ import annotations

import pytest

from src.api.generation.answer import Answer
from src.api.generation.generation import Generation
from src.api.generation.inflight import InFlight
from src.api.generation.recorder import Recorder
from src.api.generation.streaming import wait_admitted
from src.errors import ContextLengthExceeded, EngineCrashed, InternalError
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import Admitted
from src.ipc.messages.wire import AnyMessage
from src.metrics import Metrics, Readings
from tests.unit.api.fakes import REQUEST, FakeClock, FakeStream, delta, finished

ADMITTED = Admitted(5, 100)


class Case:
    """A generation over a scripted stream."""

    def __init__(self, *script: list[AnyMessage]) -> None:
        clock = FakeClock()
        self.fake = FakeStream(clock, *script)
        self.inflight = InFlight(1)
        self.metrics = Metrics(Readings)
        answer = Answer(
            lambda: self.fake.stream,
            inflight=self.inflight,
            environ={},
            crashed=EngineCrashed("died"),
            timeout_s=1000,
            clock=clock,
        )
        self.generation = Generation(answer, Recorder(self.metrics, REQUEST, ("demo", "fake"), clock), 15.0)

    def outcome(self, reason: str) -> float:
        labels = {"model_name": "demo", "engine": "fake", "finished_reason": reason}
        return self.metrics.registry.get_sample_value("stoker_request_success_total", labels) or 0.0


def test_events_until_the_outcome() -> None:
    """Batches come as they are; a silence is an empty one; after Finished there is nothing."""
    case = Case([ADMITTED], [delta(1)], [], [delta(2), finished()])
    wait_admitted(case.generation, once=False)
    assert list(case.generation.batches()) == [[delta(1)], [], [delta(2), finished()]]
    case.generation.close()
    assert (case.outcome("stop"), len(case.inflight), case.fake.closed) == (1, 0, 1)


def test_what_came_with_the_admission_is_not_lost() -> None:
    """A quick engine may have answered in the same batch."""
    case = Case([ADMITTED, delta(1), finished()])
    wait_admitted(case.generation, once=False)
    assert list(case.generation.batches()) == [[delta(1), finished()]]


def test_admission_may_take_its_time() -> None:
    """While a model loads there is silence; the wait goes on."""
    case = Case([], [], [ADMITTED])
    wait_admitted(case.generation, once=False)
    assert len(case.fake.waits) == 3


def test_a_refusal_comes_before_anything_else() -> None:
    """What the engine refuses is raised by the wait, so that it can still be an HTTP status."""
    case = Case([Failed("context_length_exceeded", "too long", "messages")])
    with pytest.raises(ContextLengthExceeded):
        wait_admitted(case.generation, once=False)
    assert case.outcome("error") == 1


def test_an_engine_that_forgets_to_admit() -> None:
    """A protocol error is ours, and said so."""
    case = Case([delta(1)])
    with pytest.raises(InternalError):
        wait_admitted(case.generation, once=False)


def test_a_crash_in_the_middle() -> None:
    """The events before it are given, then it is raised and counted."""
    case = Case([ADMITTED], [delta(1)])
    wait_admitted(case.generation, once=False)
    batches = case.generation.batches()
    assert next(batches) == [delta(1)]
    with pytest.raises(EngineCrashed):
        next(batches)
    case.generation.close()
    assert (case.outcome("error"), case.outcome("abort")) == (1, 0)


def test_closing_early_is_an_abort() -> None:
    """A client that leaves is counted, and the engine's connection is closed."""
    case = Case([ADMITTED], [delta(1)], [delta(2)])
    wait_admitted(case.generation, once=False)
    next(case.generation.batches())
    case.generation.close()
    case.generation.close()
    assert (case.outcome("abort"), len(case.inflight)) == (1, 0)
    assert case.fake.closed
