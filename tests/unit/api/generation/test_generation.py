"""One request at a back end: admission first, events until the outcome, who may end it, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

import pytest

from src.api.generation.generation import EventKinds, EventStream, Generation, RequestTimeouts
from src.api.generation.inflight import ClientGone, InFlight
from src.api.generation.recorder import ChatRecorder
from src.api.generation.streaming import Event, admitted
from src.errors import (
    BackendUnavailable,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineCrashed,
    InternalError,
    Overloaded,
    ServiceError,
    ShuttingDown,
)
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import Admitted, Delta, Finished, PromptProgress
from src.ipc.messages.wire import AnyMessage
from src.metrics import Metrics, Readings
from tests.unit.api.fakes import REQUEST, FakeClock, FakeStream, delta, finished

CRASHED = EngineCrashed("the engine died", retry_after_s=3.0)
FAILED = Failed("deadline_exceeded", "too late", "max_tokens", 2.0)
ADMITTED = Admitted(5, 100)
SILENCE_S = 15.0


def is_event(message: AnyMessage) -> TypeGuard[Event]:
    return isinstance(message, Event)


class Case:
    """A generation over a scripted stream, with everything around it in reach."""

    def __init__(
        self,
        *script: list[AnyMessage],
        timeout_s: float = 1000.0,
        admission: bool = True,
        on_admitted: Callable[[Admitted], None] = lambda _: None,
        progress: bool = False,
    ) -> None:
        self.clock = FakeClock()
        self.inflight = InFlight(10)
        self.metrics = Metrics(Readings)
        self.fake = FakeStream(self.clock, *script)
        self._kinds = EventKinds(is_event, lambda event: isinstance(event, Finished), admission, progress)
        self._on_admitted = on_admitted
        self.generation = self.open(lambda: self.fake, timeout_s)

    def open(self, open_stream: Callable[[], EventStream], timeout_s: float = 1000.0) -> Generation[Event]:
        return Generation(
            open_stream,
            self._kinds,
            RequestTimeouts(timeout_s, SILENCE_S, CRASHED),
            inflight=self.inflight,
            environ={},
            recorder=ChatRecorder(self.metrics, REQUEST, ("demo", "fake"), self.clock),
            on_admitted=self._on_admitted,
            clock=self.clock,
        )

    def read(self) -> list[Event]:
        return [event for batch in self.generation.batches() for event in batch]

    def end(self, error: type[Exception]) -> None:
        """What the client's watch, or the shutdown, does."""
        self.generation._held._end(error("over"))

    def outcome(self, reason: str) -> float:
        labels = {"model_name": "demo", "engine": "fake", "finished_reason": reason}
        return self.metrics.registry.get_sample_value("stoker_request_success_total", labels) or 0.0


def test_events_until_the_outcome() -> None:
    """Batches come as they are; a silence is an empty one; after Finished there is nothing."""
    case = Case([ADMITTED], [delta(1)], [], [delta(2), finished()])
    admitted(case.generation)
    assert list(case.generation.batches()) == [[delta(1)], [], [delta(2), finished()]]
    case.generation.close()
    assert (case.outcome("stop"), case.outcome("abort"), len(case.inflight)) == (1, 0, 0)
    assert case.fake.closed


@pytest.mark.parametrize(("asks", "batches"), [(True, 3), (False, 1)])
def test_progress_wakes_whoever_asks(asks: bool, batches: int) -> None:
    """It is no event of the answer."""
    steps = [PromptProgress(10, done) for done in (4, 8)]
    case = Case([ADMITTED], [steps[0]], [steps[1]], [delta(1), finished()], progress=asks)
    admitted(case.generation)
    found = list(case.generation.batches())
    assert found == [*[[]] * (batches - 1), [delta(1), finished()]]
    assert case.generation.progress == steps[1]


def test_progress_does_not_end_a_silence() -> None:
    """A stream that did not ask for it has its comments as often as without."""
    case = Case([ADMITTED], [PromptProgress(10, 4)], [], [delta(1), finished()])
    admitted(case.generation)
    case.fake.on_receive = lambda: setattr(case.clock, "now", case.clock.now + 10)
    assert list(case.generation.batches()) == [[], [delta(1), finished()]]
    assert case.fake.waits == [SILENCE_S, SILENCE_S, SILENCE_S - 10, SILENCE_S]


def test_what_came_with_the_admission_is_not_lost() -> None:
    """A quick engine may have answered in the same batch; what else it says is not the reader's."""
    case = Case([Admitted(5, 100, revision="r"), delta(1), finished()])
    assert (case.generation.prompt_tokens, case.generation.revision) == (0, "")
    admitted(case.generation)
    assert list(case.generation.batches()) == [[delta(1), finished()]]
    assert (case.generation.prompt_tokens, case.generation.revision) == (5, "r")


def test_admission_may_take_its_time() -> None:
    """While a model loads there is silence; the wait goes on, but for a stream's, which begins with comments."""
    case = Case([], [], [ADMITTED])
    admitted(case.generation)
    assert case.fake.waits == [SILENCE_S] * 3
    case = Case([], [], [ADMITTED])
    admitted(case.generation, once=True)
    assert len(case.fake.waits) == 1


def test_a_refusal_comes_before_anything_else() -> None:
    """What the engine refuses is raised by the wait, so that it can still be an HTTP status; all is freed."""
    case = Case([Failed("context_length_exceeded", "too long", "messages")])
    with pytest.raises(ContextLengthExceeded):
        admitted(case.generation)
    assert (case.outcome("error"), case.outcome("abort"), len(case.inflight)) == (1, 0, 0)


def test_an_engine_that_forgets_to_admit() -> None:
    """A protocol error is ours, and said so; a back end that never admits is taken at its first word."""
    case = Case([delta(1)])
    with pytest.raises(InternalError):
        admitted(case.generation)
    assert case.outcome("error") == 1
    case = Case([delta(1)], [finished()], admission=False)
    admitted(case.generation)
    assert case.read() == [delta(1), finished()]


def test_a_crash_in_the_middle() -> None:
    """The events before it are given, then it is raised and counted, once."""
    case = Case([ADMITTED], [delta(1)])
    batches = case.generation.batches()
    assert next(batches) == [delta(1)]
    with pytest.raises(EngineCrashed) as caught:
        next(batches)
    assert caught.value is CRASHED
    case.generation.close()
    assert (case.outcome("error"), case.outcome("abort")) == (1, 0)


def test_closing_early_is_an_abort() -> None:
    """A client that leaves is counted once, and the engine's connection is cancelled before anything is freed."""
    case = Case([ADMITTED], [delta(1)], [delta(2)])
    admitted(case.generation)
    next(case.generation.batches())
    case.generation.close()
    case.generation.close()
    assert (case.outcome("abort"), len(case.inflight)) == (1, 0)
    assert case.fake.closed == 2


def test_one_that_is_closed_while_it_is_read() -> None:
    """By another greenlet: there is nobody to answer, and no crash to be told of."""
    case = Case([ADMITTED], [delta(1)], [delta(2)])
    batches = case.generation.batches()
    next(batches)
    case.fake.on_receive = case.generation.close
    with pytest.raises(ClientGone):
        next(batches)
    assert (case.outcome("abort"), case.outcome("error"), len(case.inflight)) == (1, 0, 0)


def test_silences_never_go_past_the_deadline() -> None:
    """Silence beyond the time limit is a DeadlineExceeded, and no wait goes past it."""
    case = Case([], [], [], timeout_s=40)
    batches = case.generation.batches()
    assert [next(batches), next(batches)] == [[], []]
    with pytest.raises(DeadlineExceeded, match="40 s"):
        next(batches)
    assert case.fake.waits == [15, 15, 10]


def test_a_deadline_that_has_passed() -> None:
    """A caller that comes back late is told at once."""
    case = Case([], timeout_s=40)
    case.clock.now += 41
    with pytest.raises(DeadlineExceeded):
        case.read()


def test_who_computes_it_is_passed_on() -> None:
    """An engine that has lost its GPU says so as it takes the request."""
    told: list[str | None] = []
    case = Case([Admitted(5, 10, "cpu"), delta(1)], [finished()], on_admitted=lambda it: told.append(it.fallback))
    assert case.read() == [delta(1), finished()]
    assert told == ["cpu"]


@pytest.mark.parametrize("error", [ClientGone, ShuttingDown])
def test_an_end_from_this_side_is_no_crash(error: type[Exception]) -> None:
    """When the client left or the service stops, the back end is told, and it is not blamed."""
    case = Case([ADMITTED, delta(1)], [delta(2)])
    batches = case.generation.batches()
    next(batches)
    case.end(error)
    assert case.fake.cancelled
    with pytest.raises(error):
        next(batches)


def test_the_first_cause_counts() -> None:
    """A client that leaves during the shutdown does not change what happened first."""
    case = Case([delta(1)])
    case.inflight.end_all()
    case.end(ClientGone)
    with pytest.raises(ShuttingDown):
        case.read()


@pytest.mark.parametrize("before", [[], [delta(1)], [delta(1), delta(2)]], ids=len)
def test_what_came_before_a_failure_is_delivered_first(before: list[Delta]) -> None:
    """Tokens that arrive in one batch with the failure reach the client before the error does."""
    case = Case([*before, FAILED])
    batches = case.generation.batches()
    if before:
        assert next(batches) == before
    with pytest.raises(DeadlineExceeded) as caught:
        next(batches)
    assert (caught.value.message, caught.value.param, caught.value.retry_after_s) == ("too late", "max_tokens", 2.0)


def test_a_failure_is_remembered() -> None:
    """Asking again after the failure gives the failure again, without touching the stream."""
    case = Case([FAILED])
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            case.generation.admitted()
    assert len(case.fake.waits) == 1
    assert case.outcome("error") == 1


def test_an_unknown_failure_is_internal() -> None:
    """A code this version does not know is not shown to the client."""
    case = Case([Failed("from_the_future", "secret")])
    with pytest.raises(InternalError):
        case.read()


@pytest.mark.parametrize("error", [BackendUnavailable("not there"), RuntimeError("bug"), KeyboardInterrupt()])
def test_a_stream_that_cannot_be_opened_costs_no_slot(error: BaseException) -> None:
    """Whatever goes wrong at the start, the slot is free again; an error that is told is counted."""
    case = Case()
    case.generation.close()

    def refuse() -> EventStream:
        raise error

    with pytest.raises(type(error)):
        case.open(refuse)
    assert (len(case.inflight), case.outcome("error")) == (0, isinstance(error, ServiceError))


def test_a_full_house_opens_no_stream() -> None:
    """Nothing is sent to the back end for a request that is refused."""
    case = Case()
    case.inflight = InFlight(1)
    case.inflight.enter(lambda: None)
    opened: list[int] = []

    def open_stream() -> EventStream:
        opened.append(1)
        return case.fake

    with pytest.raises(Overloaded):
        case.open(open_stream)
    assert opened == []


def test_the_shutdown_ends_a_request_in_flight() -> None:
    """`end_all` reaches every answer through its slot."""
    case = Case([delta(1)])
    case.inflight.end_all()
    with pytest.raises(ShuttingDown) as caught:
        case.read()
    assert caught.value.retry_after_s


def test_the_shutdown_ends_a_request_that_is_still_connecting() -> None:
    """Connecting lets other greenlets run: a shutdown in that moment is not lost, and breaks nobody else's."""
    case = Case([delta(1)])

    def connect_slowly() -> EventStream:
        case.inflight.end_all()
        return FakeStream(case.clock, [delta(1)])

    second = case.open(connect_slowly)
    for generation in (case.generation, second):
        with pytest.raises(ShuttingDown):
            next(generation.batches())
