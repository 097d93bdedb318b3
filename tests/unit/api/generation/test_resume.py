"""A request that outlives its engine: what is sent again, what is shown once, and when it is given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest

from src.api.generation.resume import Resumable, ResumableStream, TerminalErrors
from src.api.generation.suspects import Suspects
from src.errors import BackendUnavailable, EngineCrashed, ServiceError
from src.ipc.client import Cancelled, ConnectError, Stream, WaitTimeout
from src.ipc.messages.base import Accepted
from src.ipc.messages.chat import (
    Admitted,
    ChatMessage,
    ChoiceEnded,
    Delta,
    Embedded,
    EmbedRequest,
    GenerateRequest,
    HandedOver,
    PromptProgress,
    RawPrompt,
)
from src.ipc.messages.ocr import OcrDocument
from src.ipc.messages.wire import AnyMessage
from tests.unit.api.fakes import FakeClock, FakeStream, delta, finished

REQUEST = GenerateRequest("r", "demo", (ChatMessage("user", "hello"),), stream=True)
ERRORS = TerminalErrors(
    BackendUnavailable("missing"), *(EngineCrashed(end) for end in ("lost", "cut", "condemned", "replaced"))
)
OLD, NEW = Admitted(5, 100, revision="old"), Admitted(5, 100, revision="new")


class FakeRoute:
    """Gives the scripted connections one after the other; None is a refused one."""

    def __init__(self, *connections: FakeStream | None) -> None:
        self.connections = deque(connections)
        self.sent: list[Resumable] = []
        self.opened: list[FakeStream] = []
        self.on_connect: Callable[[], None] = lambda: None
        self.verdict: ServiceError | None = None
        self.closed = False

    def connect(self, request: Resumable) -> Stream:
        self.on_connect()
        connection = self.connections.popleft() if self.connections else None
        if connection is None:
            raise ConnectError("refused")
        self.sent.append(request)
        self.opened.append(connection)
        return connection.stream

    def close(self) -> None:
        self.closed = True

    def hopeless(self) -> ServiceError | None:
        return self.verdict


class Case:
    """A stream under test, with a clock that sleeping moves."""

    def __init__(self, *scripts: list[list[AnyMessage]] | None) -> None:
        self.clock = FakeClock()
        self.route = FakeRoute(*(None if s is None else FakeStream(self.clock, *s) for s in scripts))
        self.suspects = Suspects(progress_tokens=8)
        self.resumed = 0
        self.stream = self.another()

    def another(self, request: Resumable = REQUEST) -> ResumableStream:
        return ResumableStream(
            request,
            self.route,
            self.suspects,
            max_wait_s=10,
            errors=ERRORS,
            on_resume=self._count,
            clock=self.clock,
            sleep=self._sleep,
        )

    def _count(self) -> None:
        self.resumed += 1

    def _sleep(self, seconds: float) -> None:
        self.clock.now += seconds

    def read_all(self) -> list[AnyMessage]:
        messages: list[AnyMessage] = []
        while not messages or messages[-1] != finished():
            messages += self.stream.receive_all(60)
        return messages


def test_progress_never_goes_back() -> None:
    """A prompt that is computed again shows nothing until it is further than it was, and nothing within an answer."""
    steps: list[AnyMessage] = [PromptProgress(10, done) for done in (4, 8, 10)]
    case = Case(
        [[Admitted(10, 100)], steps[:2]],
        [[Admitted(10, 100), *steps], [delta(1)]],
        [[Admitted(10, 100), *steps, delta(2)], [finished()]],
    )
    assert case.read_all() == [Admitted(10, 100), *steps, delta(1), delta(2), finished()]


def test_a_crash_is_a_pause() -> None:
    """The fresh engine gets the tokens that came; the reader sees one admission, each token once, one outcome."""
    case = Case(
        [[Admitted(5, 100)], [delta(1), delta(2)]],
        None,
        None,
        [[Admitted(5, 100), delta(3)], [finished()]],
    )
    assert case.read_all() == [Admitted(5, 100), delta(1), delta(2), delta(3), finished()]
    again = case.route.sent[1]
    assert isinstance(again, GenerateRequest)
    assert (again.prefix, again.max_tokens, again.messages) == ((1, 2), 100, REQUEST.messages)
    assert case.resumed == 1


def test_what_is_handed_over_goes_on_unsuspected() -> None:
    """An engine that ends as planned: what came with its word is shown, the next goes on, nobody is blamed."""
    case = Case(
        [[Accepted(), Admitted(5, 100)], [delta(1), ChoiceEnded(1, "stop"), HandedOver()]],
        None,
        [[Accepted(), Admitted(5, 100)], [HandedOver()]],
        [[Accepted(), Admitted(5, 100), delta(2)], [finished()]],
    )
    shown = case.read_all()
    assert shown[:4] == [Admitted(5, 100), delta(1), ChoiceEnded(1, "stop"), delta(2)]
    again = case.route.sent[2]
    assert isinstance(again, GenerateRequest)
    assert again.prefix == (1,)
    assert not case.stream._suspect.suspected


def test_what_made_room_for_others_leaves_them_the_machine_a_while() -> None:
    """A background request comes back half a second to a second later, those that left together one after another."""
    back = []
    for name in ("a", "b"):
        case = Case([[Accepted(), Admitted(5, 100), delta(1)], [HandedOver()]], [[Accepted(), delta(2)], [finished()]])
        case.stream = case.another(msgspec.structs.replace(REQUEST, id=name, priority="background"))
        began = case.clock.now
        case.read_all()
        back.append(case.clock.now - began)
    assert back[0] != back[1]
    assert all(0.5 <= seconds <= 1.2 for seconds in back)


def test_a_request_the_engine_had_not_begun_with_blames_nobody() -> None:
    """Its connection was not even accepted when the engine ended: no crash is told of those who were inside."""
    case = Case([])
    inside = case.suspects.arrive()
    case.suspects.entered(inside)
    case.suspects.taken(inside)
    with pytest.raises(BackendUnavailable):
        case.stream.receive_all(60)
    assert not inside.suspected


def test_time_without_an_engine_does_not_count() -> None:
    """What was spent on tokens goes with the request; the queue and the wait for an engine do not."""
    case = Case([[Admitted(5, 100)], [], [delta(1)], []], None, None, [[delta(2)], [], []], None, [[finished()]])
    assert case.stream.receive_all(60) == [Admitted(5, 100)]
    for _ in range(8):
        with suppress(WaitTimeout):
            case.stream.receive_all(3)
    spent = [request.spent_s for request in case.route.sent if isinstance(request, GenerateRequest)]
    assert spent == pytest.approx([0, 3, 9])


def test_a_request_that_never_started_is_sent_as_it_was() -> None:
    """Before admission nothing was shown, so there is nothing to go on from."""
    case = Case([], [[Admitted(5, 100)], [finished()]])
    assert case.read_all() == [Admitted(5, 100), finished()]
    assert case.route.sent == [REQUEST, REQUEST]


def test_an_answer_whose_tokens_are_not_told_cannot_go_on() -> None:
    """An upstream server's answer that has begun fails with its engine; one that has not is sent again."""
    unreported = Delta((), "x", unreported_tokens=1)
    case = Case([[Accepted(), Admitted(5, 100)], [unreported]], [[Admitted(5, 100)], [unreported], [finished()]])
    assert case.stream.receive_all(60) == [Admitted(5, 100)]
    assert case.stream.receive_all(60) == [unreported]
    with pytest.raises(EngineCrashed, match="cut"):
        case.stream.receive_all(60)
    case = Case([[Accepted(), Admitted(5, 100)]], [[Admitted(5, 100)], [unreported], [finished()]])
    assert case.read_all() == [Admitted(5, 100), unreported, finished()]


@pytest.mark.parametrize(
    ("shown", "request_"),
    [
        (delta(1), REQUEST),
        (Delta((), "x", unreported_tokens=1), REQUEST),
        (Embedded(0, b"a"), EmbedRequest("e", "demo", (RawPrompt("a"), RawPrompt("b")))),
    ],
)
@pytest.mark.parametrize("end", [[], [[HandedOver()]]], ids=["crash", "planned"])
def test_an_answer_is_not_ended_by_other_weights(
    shown: AnyMessage, request_: Resumable, end: list[list[AnyMessage]]
) -> None:
    """The model's files were replaced under an answer that had begun: that is said, and nothing is mixed."""
    case = Case([[Accepted(), OLD], [shown], *end], [[Accepted(), NEW, delta(2)], [finished()]])
    case.stream = case.another(request_)
    assert [case.stream.receive_all(60) for _ in range(2)] == [[OLD], [shown]]
    with pytest.raises(EngineCrashed):
        case.stream.receive_all(60)


def test_an_answer_that_had_not_begun_is_made_by_the_new_weights() -> None:
    """Of the old ones nothing was shown; from here on the new ones' word counts."""
    case = Case([[OLD]], [[NEW, delta(1)]], [[NEW, delta(2)], [finished()]])
    assert case.read_all() == [OLD, delta(1), delta(2), finished()]


def test_waiting_is_bounded() -> None:
    """An engine that never was there, or never comes back, is an error after RESUME_MAX_WAIT."""
    with pytest.raises(BackendUnavailable, match="missing"):
        Case(None).stream.receive_all(60)
    case = Case([[Admitted(5, 100)]])
    assert case.stream.receive_all(60) == [Admitted(5, 100)]
    with pytest.raises(EngineCrashed, match="lost"):
        case.stream.receive_all(60)
    assert case.clock.now == pytest.approx(1010, abs=0.5)


def test_silence_while_waiting_is_told() -> None:
    """A reader who must send keep-alives is not kept longer than he asked."""
    with pytest.raises(WaitTimeout):
        Case(None).stream.receive_all(2)


def test_a_hopeless_engine_is_not_waited_for() -> None:
    """When the supervisor says that it has failed, its reason is the answer, soon."""
    case = Case(None)
    case.route.verdict = BackendUnavailable("engine has failed: no such model")
    with pytest.raises(BackendUnavailable, match="no such model"):
        case.stream.receive_all(60)
    assert case.clock.now < 1002


def test_a_request_that_kills_alone_is_condemned() -> None:
    """Twice alone at a crash without progress: it is not tried again."""
    case = Case([[Accepted(), Admitted(5, 100)]], [[Accepted()]], [[finished()]])
    case.stream.receive_all(60)
    with pytest.raises(EngineCrashed, match="condemned"):
        case.stream.receive_all(60)
    assert len(case.route.sent) == 2


def test_cancel_ends_the_wait() -> None:
    """A client that left, or a shutdown, ends it at once, connected or not."""
    waiting = Case(None)
    waiting.stream.cancel()
    with pytest.raises(Cancelled):
        waiting.stream.receive_all(60)
    connected = Case([[Admitted(5, 100)]])
    connected.stream.receive_all(60)
    connected.stream.cancel()
    with pytest.raises(Cancelled):
        connected.stream.receive_all(60)


@pytest.mark.parametrize("end", [ResumableStream.cancel, ResumableStream.close])
@pytest.mark.parametrize("request_", [REQUEST, EmbedRequest("e", "demo", (RawPrompt("a"),)), OcrDocument("o", b"x")])
def test_one_that_was_left_while_it_was_read_is_not_put_back(
    end: Callable[[ResumableStream], None], request_: Resumable
) -> None:
    """The connection breaks under the reader because this side closed it: no crash, no suspect, no second engine."""
    case = Case([[Accepted(), Admitted(5, 100)], [delta(1)]], [[Admitted(5, 100)], [finished()]])
    stream, other = case.another(request_), case.suspects.arrive()
    case.suspects.entered(other)
    case.suspects.taken(other)
    stream.receive_all(60)
    case.route.opened[0].on_receive = lambda: end(stream)
    with pytest.raises(Cancelled):
        stream.receive_all(60)
    with pytest.raises(Cancelled):
        stream.receive_all(60)
    assert len(case.route.sent) == 1
    assert case.resumed == 0
    assert not other.suspected


def test_who_left_is_no_suspect_of_a_crash_that_follows() -> None:
    """Its reader has not run yet when the engine dies under the others."""
    case = Case([[Accepted(), Admitted(5, 100)]])
    case.stream.receive_all(60)
    case.stream.cancel()
    other = case.suspects.arrive()
    case.suspects.entered(other)
    case.suspects.taken(other)
    case.suspects.died(other)
    assert not case.stream._suspect.suspected


def test_one_that_was_left_while_it_connected_enters_no_engine() -> None:
    """The connection that comes too late is closed, and nobody is told that it is in."""
    case = Case([[Accepted(), Admitted(5, 100)]])
    case.route.on_connect = case.stream.close
    with pytest.raises(Cancelled):
        case.stream.receive_all(60)
    assert case.route.opened[0].closed == 1
    assert case.stream._suspect.life is None


def test_one_that_left_holds_up_nobody() -> None:
    """A suspect whose client leaves is no longer waited for by the others."""
    case = Case()
    suspect, other = case.suspects.arrive(), case.suspects.arrive()
    for _ in range(2):
        for request in (suspect, other):
            case.suspects.entered(request)
            case.suspects.taken(request)
        case.suspects.died(suspect)
        case.suspects.died(other)
    assert not case.suspects.may_enter(other)
    case.suspects.leave(suspect)
    assert case.suspects.may_enter(other)


def test_texts_are_put_again_whole() -> None:
    """A fresh engine gets all of them, and is told that they were in before; each vector is shown once."""
    case = Case(
        [[Accepted(), Admitted(9, 0)], [Embedded(0, b"a")]],
        None,
        [[Accepted(), Admitted(9, 0), Embedded(0, b"a"), Embedded(1, b"b")], [finished()]],
    )
    texts = EmbedRequest("e", "demo", (RawPrompt("a"), RawPrompt("b")))
    case.stream = case.another(texts)
    assert case.read_all() == [Admitted(9, 0), Embedded(0, b"a"), Embedded(1, b"b"), finished()]
    assert case.route.sent == [texts, msgspec.structs.replace(texts, retried=True)]
    assert case.resumed == 1
