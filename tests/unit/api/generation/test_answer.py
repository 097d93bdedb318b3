"""One request at a back end: who may end it, and what the client is then told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from src.api.generation.answer import Answer, Cause, ClientGone
from src.api.generation.inflight import InFlight
from src.errors import (
    BackendUnavailable,
    DeadlineExceeded,
    EngineCrashed,
    InternalError,
    Overloaded,
    ShuttingDown,
)
from src.ipc.client import Stream
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import Admitted, Delta
from src.ipc.messages.wire import AnyMessage
from tests.unit.api.fakes import FakeClock, FakeStream, delta, finished

CRASHED = EngineCrashed("the engine died", retry_after_s=3.0)
FAILED = Failed("deadline_exceeded", "too late", "max_tokens", 2.0)


class Case:
    """An answer over a scripted stream, with everything around it in reach."""

    def __init__(self, *script: list[AnyMessage], timeout_s: float = 100.0) -> None:
        self.clock = FakeClock()
        self.inflight = InFlight(10)
        self.fake = FakeStream(self.clock, *script)
        self.answer = self.open(lambda: self.fake.stream, timeout_s)

    def open(self, open_stream: Callable[[], Stream], timeout_s: float = 100.0) -> Answer:
        return Answer(
            open_stream,
            inflight=self.inflight,
            environ={},
            crashed=CRASHED,
            timeout_s=timeout_s,
            clock=self.clock,
        )


def interrupt(case: Case, cause: Cause) -> None:
    case.answer._interrupt(cause)


def test_batches_come_as_they_are() -> None:
    """What arrived together is given together, in order."""
    case = Case([Admitted(5, 10)], [delta(1), delta(2)], [finished()])
    assert [case.answer.next_batch(15) for _ in range(3)] == [[Admitted(5, 10)], [delta(1), delta(2)], [finished()]]


def test_where_it_is_computed_is_passed_on() -> None:
    """An engine that has lost its GPU says so as it takes the request."""
    told: list[str] = []
    case = Case()
    fake = FakeStream(case.clock, [Admitted(5, 10, "cpu"), delta(1)], [finished()])
    answer = Answer(
        lambda: fake.stream, inflight=case.inflight, environ={}, crashed=CRASHED, timeout_s=9, on_fallback=told.append
    )
    answer.next_batch(15)
    answer.next_batch(15)
    assert told == ["cpu"]


def test_a_silence_is_none_and_not_the_end() -> None:
    """The caller gets a chance to send a ping, then goes on waiting."""
    case = Case([], [], [delta(1)])
    assert [case.answer.next_batch(15) for _ in range(3)] == [None, None, [delta(1)]]
    assert case.fake.waits == [15, 15, 15]


def test_the_deadline_ends_the_wait() -> None:
    """Silence beyond the time limit is a DeadlineExceeded, and no wait goes past it."""
    case = Case([], [], [], timeout_s=40)
    assert case.answer.next_batch(15) is None
    assert case.answer.next_batch(15) is None
    with pytest.raises(DeadlineExceeded, match="40 s"):
        case.answer.next_batch(15)
    assert case.fake.waits == [15, 15, 10]


def test_a_deadline_that_has_passed() -> None:
    """A caller that comes back late is told at once."""
    case = Case([], timeout_s=40)
    case.clock.now += 41
    with pytest.raises(DeadlineExceeded):
        case.answer.next_batch(15)


def test_a_crash_is_the_back_ends() -> None:
    """A connection that closes before the outcome is a crash of the back end."""
    case = Case([delta(1)])
    assert case.answer.next_batch(15) == [delta(1)]
    with pytest.raises(EngineCrashed) as caught:
        case.answer.next_batch(15)
    assert caught.value is CRASHED


@pytest.mark.parametrize(("cause", "error"), [(Cause.CLIENT, ClientGone), (Cause.SHUTDOWN, ShuttingDown)])
def test_an_end_from_this_side_is_no_crash(cause: Cause, error: type[Exception]) -> None:
    """When the client left or the service stops, the back end is told, and it is not blamed."""
    case = Case([delta(1)], [delta(2)])
    case.answer.next_batch(15)
    interrupt(case, cause)
    assert case.fake.cancelled
    with pytest.raises(error):
        case.answer.next_batch(15)


def test_the_first_cause_counts() -> None:
    """A client that leaves during the shutdown does not change what happened first."""
    case = Case([delta(1)])
    interrupt(case, Cause.SHUTDOWN)
    interrupt(case, Cause.CLIENT)
    with pytest.raises(ShuttingDown):
        case.answer.next_batch(15)


@pytest.mark.parametrize("before", [[], [delta(1)], [delta(1), delta(2)]], ids=len)
def test_what_came_before_a_failure_is_delivered_first(before: list[Delta]) -> None:
    """Tokens that arrive in one batch with the failure reach the client before the error does."""
    case = Case([*before, FAILED])
    if before:
        assert case.answer.next_batch(15) == before
    with pytest.raises(DeadlineExceeded) as caught:
        case.answer.next_batch(15)
    assert (caught.value.message, caught.value.param, caught.value.retry_after_s) == ("too late", "max_tokens", 2.0)


def test_a_failure_is_remembered() -> None:
    """Asking again after the failure gives the failure again, without touching the stream."""
    case = Case([FAILED])
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            case.answer.next_batch(15)
    assert len(case.fake.waits) == 1


def test_an_unknown_failure_is_internal() -> None:
    """A code this version does not know is not shown to the client."""
    case = Case([Failed("from_the_future", "secret")])
    with pytest.raises(InternalError):
        case.answer.next_batch(15)


def test_closing_frees_everything_and_may_be_repeated() -> None:
    """`close` closes the stream and gives the slot back, however often it is called."""
    case = Case([delta(1)])
    assert len(case.inflight) == 1
    case.answer.close()
    case.answer.close()
    assert len(case.inflight) == 0
    assert case.fake.closed == 2


@pytest.mark.parametrize("error", [BackendUnavailable("not there"), RuntimeError("bug"), KeyboardInterrupt()])
def test_a_stream_that_cannot_be_opened_costs_no_slot(error: BaseException) -> None:
    """Whatever goes wrong at the start, the slot is free again."""
    case = Case()
    case.answer.close()

    def refuse() -> Stream:
        raise error

    with pytest.raises(type(error)):
        case.open(refuse)
    assert len(case.inflight) == 0


def test_a_full_house_opens_no_stream() -> None:
    """Nothing is sent to the back end for a request that is refused."""
    case = Case()
    case.inflight = InFlight(1)
    case.inflight.enter(lambda: None)
    opened: list[int] = []

    def open_stream() -> Stream:
        opened.append(1)
        return case.fake.stream

    with pytest.raises(Overloaded):
        case.open(open_stream)
    assert opened == []


def test_the_shutdown_ends_a_request_in_flight() -> None:
    """`end_all` reaches every answer through its slot."""
    case = Case([delta(1)])
    case.inflight.end_all()
    with pytest.raises(ShuttingDown) as caught:
        case.answer.next_batch(15)
    assert caught.value.retry_after_s


def test_the_shutdown_ends_a_request_that_is_still_connecting() -> None:
    """Connecting lets other greenlets run: a shutdown in that moment is not lost, and breaks nobody else's."""
    case = Case([delta(1)])

    def connect_slowly() -> Stream:
        case.inflight.end_all()
        return FakeStream(case.clock, [delta(1)]).stream

    second = case.open(connect_slowly)
    for answer in (case.answer, second):
        with pytest.raises(ShuttingDown):
            answer.next_batch(15)
