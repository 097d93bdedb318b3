"""The scheduler, driven turn by turn with a scripted backend and a clock that stands still until told."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from src.engine.admission import chunk, fits_memory
from src.engine.backend import Embedder, Grammar, KvRoom, Step, Token
from src.engine.deadlines import Budget
from src.engine.fake import FakeDetokenizer, FakeScorer, FakeTokenizer
from src.engine.scheduler import Event, Scheduler, Work
from src.engine.sequence import ChoiceGroup, Sequence, Status
from src.engine.text import TextStream
from src.engine.tokens import common_prefix
from src.errors import InvalidRequest
from src.ipc.messages.base import Failed, Priority
from src.ipc.messages.chat import (
    ChatMessage,
    ChoiceEnded,
    Delta,
    Embedded,
    Finished,
    FinishReason,
    GenerateRequest,
    HandedOver,
    PredictionUsage,
    PromptProgress,
    Sampling,
    Scored,
    Usage,
)
from src.ipc.messages.status import (
    DeviceReading,
    KvReading,
    MemoryReading,
    ModelInfo,
    PrefixReading,
    SpeculationReading,
)


@dataclass(frozen=True)
class Picture:
    kept_tokens: int = 0


class ScriptedBackend:
    """Gives each sequence the letters a, b, c … until `max_tokens`; prefill takes one step per `chunk` tokens."""

    name = "scripted"
    info = ModelInfo("m", 1000)
    device = DeviceReading("none")
    tokenizer = FakeTokenizer()

    def __init__(self, chunk: int = 1000, embedder: Embedder | None = None) -> None:
        self.kv_room: KvRoom | None = None
        self.keeps = False
        self.kept: list[tuple[str, list[int]]] = []  # salt and tokens whose beginnings are known
        self.prompts: dict[int, tuple[str, list[int]]] = {}
        self.computed = 0  # prompt tokens
        self.chunks: list[int] = []  # prompt tokens of each step, padding included
        self.seconds_per_token = 0.0  # what a prompt's token is said to take
        self.together = 1  # tokens a row gets in a step
        self.chunk = chunk
        self.embedder = embedder
        self.scorer = FakeScorer()
        self.rows: dict[int, list[int]] = {}  # uid → [prompt left, made, max_tokens]
        self.removed: list[int] = []
        self.removals: list[list[int]] = []
        self.next_uid = 0
        self.fail = False
        self.refuse: InvalidRequest | None = None
        self.trimmed = self.tidied = 0
        self.moves: list[str] = []
        self.fetches: list[float] = []
        self.on_disk = 0  # so many times there is something to fetch
        self.drafted: dict[int, PredictionUsage] = {}  # of each step

    @property
    def end_tokens(self) -> frozenset[int]:
        return frozenset()

    def cached_prefix_length(self, prompt: list[int], salt: str) -> int | None:
        if not self.keeps:
            return None
        return max((common_prefix(prompt[:-1], tokens) for owner, tokens in self.kept if owner == salt), default=0)

    def load_prefix(self, prompt: list[int], salt: str, seconds: float) -> bool:
        self.fetches.append(seconds)
        return len(self.fetches) <= self.on_disk

    def insert(
        self,
        prompt: list[int],
        max_tokens: int,
        sampling: Sampling,
        prefix: int = 0,
        grammar: Grammar | None = None,
        salt: str = "",
        media: object | None = None,
        prediction: Seq[int] = (),
    ) -> int:
        del prediction
        if self.refuse is not None:
            raise self.refuse
        self.next_uid += 1
        self.rows[self.next_uid] = [len(prompt) - (self.cached_prefix_length(prompt, salt) or 0), 0, max_tokens]
        self.prompts[self.next_uid] = salt, prompt
        return self.next_uid

    def step(self, prefill: int | None = None) -> Step:
        size = chunk([row[0] for row in self.rows.values() if row[0] > 0], min(self.chunk, prefill or self.chunk))
        self.chunks.append(size * sum(row[0] > 0 for row in self.rows.values()))
        if self.fail:
            raise RuntimeError("device lost")
        tokens: list[Token] = []
        left: dict[int, int] = {}
        for uid, row in list(self.rows.items()):
            if row[0] > 0:
                self.computed += min(row[0], size)
                row[0] = left[uid] = max(0, row[0] - size)
                salt, prompt = self.prompts[uid]
                self.kept.append((salt, prompt[: len(prompt) - row[0]]))
                continue
            tokens += self.advance(uid, row)
        guessed = SpeculationReading(1, 3, self.together - 1) if self.together > 1 else None
        drafted = {token.uid: self.drafted[token.uid] for token in tokens if token.uid in self.drafted}
        times = {"prefill": self.chunks[-1] * self.seconds_per_token}
        return Step(tokens, left, times=times, speculation=guessed, predictions=drafted)

    def advance(self, uid: int, row: list[int]) -> Iterator[Token]:
        for _ in range(self.together):
            row[1] += 1
            finish: FinishReason | None = "length" if row[1] >= row[2] else None
            yield Token(uid, ord("a") + (row[1] - 1) % 26, finish)
            if finish:
                del self.rows[uid]
                return

    def remove(self, uids: list[int]) -> None:
        self.removed += uids
        self.removals.append(uids)
        for uid in uids:
            self.rows.pop(uid, None)

    def tidy(self) -> None:
        self.tidied += 1

    def trim(self) -> None:
        self.trimmed += 1

    def to_host(self) -> None:
        self.moves.append("cpu")

    def to_device(self) -> None:
        self.moves.append("gpu")

    def memory(self) -> MemoryReading:
        return MemoryReading(0)

    def caches(self) -> tuple[KvReading | None, PrefixReading | None]:
        return None, None

    def close(self) -> None:
        self.rows.clear()


class Bench:
    """A scheduler with its backend, its events and its clock."""

    def __init__(
        self,
        max_num_seqs: int = 4,
        chunk: int = 1000,
        step_size: int = 1000,
        embedder: Embedder | None = None,
        pause_s: float = 0.0,
    ) -> None:
        self.backend = ScriptedBackend(chunk, embedder)
        self.events: list[Event] = []
        self.now = 100.0
        self.taken = 0
        self.scheduler = Scheduler(
            self.backend,
            max_num_seqs=max_num_seqs,
            prefill_step_size=step_size,
            publish=self.events.extend,
            clock=lambda: self.now,
            tidy_every_s=300.0,
            device=self.device,
            prefill_pause_s=pause_s,
        )

    @contextmanager
    def device(self) -> Iterator[None]:
        """A turn on it."""
        self.taken += 1
        yield

    def submit(
        self,
        *,
        max_tokens: int = 3,
        prompt: int | list[int] = 5,
        stop: tuple[str, ...] = (),
        timeout_s: float = 50,
        gap_s: float | None = None,
        priority: Priority = "normal",
        salt: str = "",
        stream: bool = False,
        progress: bool = False,
    ) -> Sequence:
        turns = (ChatMessage("user", "x"),)
        request = GenerateRequest(
            "r", "m", turns, stop=stop, priority=priority, salt=salt, stream=stream, progress=progress
        )
        text = TextStream(FakeDetokenizer(), stop)
        budget = Budget(timeout_s, timeout_s, gap_s)
        tokens = [1] * prompt if isinstance(prompt, int) else prompt
        sequence = Sequence(request, tokens, max_tokens, text, self.now, budget, prefill_left=len(tokens))
        self.scheduler.submit(sequence)
        return sequence

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.now += 1
            self.scheduler.run_once()

    def of(
        self, work: Work
    ) -> list[Delta | PromptProgress | Embedded | Scored | ChoiceEnded | HandedOver | Finished | Failed]:
        return [message for owner, message in self.events if owner is work]


def text(
    messages: list[Delta | PromptProgress | Embedded | Scored | ChoiceEnded | HandedOver | Finished | Failed],
) -> str:
    return "".join(message.text for message in messages if isinstance(message, Delta))


def test_an_answer_runs_to_its_outcome() -> None:
    """Tokens come one a step with their ids, then exactly one Finished with usage and durations."""
    bench = Bench()
    sequence = bench.submit()
    bench.turns(6)
    *deltas, last = bench.of(sequence)
    assert [delta.tokens for delta in deltas if isinstance(delta, Delta)] == [(97,), (98,), (99,)]
    assert isinstance(last, Finished)
    assert (last.reason, last.usage.prompt_tokens, last.usage.completion_tokens) == ("length", 5, 3)
    assert (last.timings.queue_s, last.timings.prefill_s, last.timings.decode_s) == (1, 1, 2)
    assert sequence.status is Status.FINISHED


def test_a_stream_is_told_how_much_of_its_prompt_is_computed() -> None:
    """After each chunk but the last; whoever asks is told the end, too. Seconds count from the first step."""
    bench = Bench(chunk=4)
    bench.backend.keeps = True
    bench.backend.kept = [("", [1, 1])]
    told, asks, whole = (
        bench.submit(prompt=10, stream=True),
        bench.submit(prompt=10, stream=True, progress=True),
        bench.submit(prompt=10),
    )
    bench.turns(30)
    progress = [[one for one in bench.of(each) if isinstance(one, PromptProgress)] for each in (told, asks, whole)]
    assert [one.processed for one in progress[0]] == [*range(3, 10)]
    assert [one.processed for one in progress[1]] == [*range(3, 11)]
    assert {(one.total, one.cached) for one in progress[0]} == {(10, 2)}
    assert progress[2] == []
    kinds = [type(one) for one in bench.of(asks)]
    assert kinds.index(Delta) > max(at for at, kind in enumerate(kinds) if kind is PromptProgress)


def test_a_stop_string_ends_the_computation() -> None:
    """After a stop string the sequence leaves the batch within the step, and its text is not shown."""
    bench = Bench()
    sequence = bench.submit(max_tokens=20, stop=("cd",))
    bench.turns(8)
    messages = bench.of(sequence)
    assert text(messages) == "ab"
    assert isinstance(messages[-1], Finished)
    assert messages[-1].reason == "stop"
    assert bench.backend.removed == [sequence.uid]


@pytest.mark.parametrize(
    ("stop", "max_tokens", "expected", "reason"),
    [
        ((), 7, "abcdefg", "length"),
        ((), 8, "abcdefgh", "length"),
        (("f",), 50, "abcde", "stop"),
        (("f",), 7, "abcde", "stop"),
        (("d",), 50, "abc", "stop"),
    ],
)
def test_several_tokens_in_a_step(stop: tuple[str, ...], max_tokens: int, expected: str, reason: str) -> None:
    """Tokens that were guessed come together; what is behind the end of an answer is not the answer's."""
    bench = Bench()
    bench.backend.together = 4
    sequence, other = bench.submit(max_tokens=max_tokens, stop=stop), bench.submit(max_tokens=9)
    bench.turns(6)
    messages = bench.of(sequence)
    assert text(messages) == expected
    assert isinstance(messages[-1], Finished)
    assert messages[-1].reason == reason
    assert messages[-1].usage.completion_tokens == len(expected) + len(stop)
    assert sum(isinstance(message, Finished) for message in messages) == 1
    assert text(bench.of(other)) == "abcdefghi"
    assert bench.backend.rows == {}


def test_what_was_guessed_adds_up() -> None:
    """A reading of all steps; none where nothing is guessed."""
    bench = Bench()
    bench.submit(max_tokens=9)
    bench.turns(2)
    assert bench.scheduler.load().speculation is None
    bench.backend.together = 3
    bench.turns(2)
    assert bench.scheduler.load().speculation == SpeculationReading(2, 6, 4)


def test_no_more_than_max_num_seqs_run() -> None:
    """Those beyond wait in order and join as soon as one ends."""
    bench = Bench(max_num_seqs=2)
    sequences = [bench.submit(max_tokens=n) for n in (2, 9, 9)]
    bench.turns(1)
    assert (bench.scheduler.load().running, bench.scheduler.load().waiting) == (2, 1)
    bench.turns(3)
    assert sequences[0].status is Status.FINISHED
    assert sequences[2].status is Status.PREFILL


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_cancel_at_every_stage(turns: int) -> None:
    """A cancelled sequence leaves at once, waiting, in prefill or decoding, and no event follows."""
    bench = Bench(chunk=2)
    bystander = bench.submit(max_tokens=4)
    sequence = bench.submit(max_tokens=50)
    bench.turns(turns)
    bench.scheduler.cancel(sequence)
    before = len(bench.of(sequence))
    bench.turns(8)
    assert len(bench.of(sequence)) == before
    assert bench.backend.rows == {}
    assert text(bench.of(bystander)) == "abcd"


def test_cancel_after_the_end_is_harmless() -> None:
    """The outcome was given; a late cancel changes nothing."""
    bench = Bench()
    sequence = bench.submit()
    bench.turns(6)
    bench.scheduler.cancel(sequence)
    bench.turns(1)
    assert bench.backend.removed == []


@pytest.mark.parametrize("max_num_seqs", [1, 2])
def test_deadlines_hold_waiting_and_running(max_num_seqs: int) -> None:
    """Past its budget a request fails with the seconds and the tokens made, wherever it is."""
    bench = Bench(max_num_seqs=max_num_seqs)
    bench.submit(max_tokens=99)
    late = bench.submit(max_tokens=99, timeout_s=4)
    bench.turns(6)
    last = bench.of(late)[-1]
    assert isinstance(last, Failed)
    assert last.code == "deadline_exceeded"
    assert " s" in last.message
    assert bench.scheduler.load().running == 1


def test_a_long_prompt_does_not_stop_running_streams() -> None:
    """While a prompt is prefilled chunk by chunk, a running stream gets a token every step."""
    bench = Bench(chunk=10, step_size=10)
    stream = bench.submit(max_tokens=30)
    bench.turns(3)
    bench.submit(prompt=100)
    before = len(bench.of(stream))
    bench.turns(5)
    assert len(bench.of(stream)) == before + 5


def test_a_failing_step_is_not_swallowed() -> None:
    """What the backend raises ends the loop: the process is replaced, not patched up."""
    bench = Bench()
    bench.submit()
    bench.backend.fail = True
    with pytest.raises(RuntimeError, match="device lost"):
        bench.turns(1)


def test_a_sequence_that_the_backend_refuses_fails_alone() -> None:
    """As pictures that the model cannot compute: one outcome for it, and the others go on."""
    bench = Bench()
    runs = bench.submit(max_tokens=5)
    bench.turns(2)
    bench.backend.refuse = InvalidRequest("The model cannot compute these images.", param="messages")
    refused, behind = bench.submit(), bench.submit()
    bench.turns(1)
    bench.backend.refuse = None
    third = bench.submit()
    bench.turns(8)
    for sequence in (refused, behind):
        (outcome,) = bench.of(sequence)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.param) == (InvalidRequest.code, "messages")
    assert [text(bench.of(one)) for one in (runs, third)] == ["abcde", "abc"]
    assert bench.scheduler.load().running == 0


def test_each_step_takes_a_turn_on_the_device() -> None:
    """And none is held while nothing runs: another process may want it."""
    bench = Bench()
    bench.scheduler.run_once()
    assert bench.taken == 0
    bench.submit(max_tokens=3)
    for _ in range(10):
        bench.scheduler.run_once()
    assert bench.taken == bench.scheduler.load().steps > 0


def test_step_age_grows_only_while_busy() -> None:
    """The heartbeat's figure: seconds since the step under way began; 0 when there is nothing to do."""
    bench = Bench()
    assert bench.scheduler.load().step_age_s == 0
    bench.submit(max_tokens=2)
    bench.turns(1)
    bench.now += 7
    assert bench.scheduler.load().step_age_s == 7
    bench.turns(4)
    assert bench.scheduler.load().step_age_s == 0


def test_the_load_says_what_a_step_should_take() -> None:
    """Learned from the steps before, for the supervisor; unknown at first, and for pictures."""
    bench = Bench()
    bench.submit(max_tokens=100)
    bench.turns(4)
    assert bench.scheduler.load().expected_s is None
    bench.turns(20)
    assert bench.scheduler.load().expected_s is not None
    assert not bench.scheduler.load().in_step
    bench.submit(max_tokens=100).media = Picture()
    bench.turns(1)
    assert bench.scheduler.load().expected_s is None


def test_stop_ends_run() -> None:
    """`run` returns after `stop`, from whichever thread or signal handler it came."""
    bench = Bench()
    bench.scheduler.stop()
    bench.scheduler.run()
    assert bench.scheduler.load().steps == 0


def test_memory_is_tidied_after_a_failure_and_on_a_timer() -> None:
    """What a sequence that ran out of time leaves behind is not kept; nor is what gathers in a quiet engine."""
    bench = Bench()
    bench.submit(timeout_s=5, max_tokens=100)
    bench.scheduler.run_once()
    assert bench.backend.tidied == 0
    bench.now += 5
    bench.scheduler.run_once()
    assert bench.backend.tidied == 1
    bench.now += 299
    bench.scheduler.run_once()
    assert bench.backend.tidied == 1
    bench.now += 1
    bench.scheduler.run_once()
    assert bench.backend.tidied == 2


def test_finish_ends_run_when_nothing_is_left() -> None:
    """One that was relieved does what it has begun with, and what comes on its heels, to the end."""
    bench = Bench(max_num_seqs=1)
    sequences = [bench.submit(max_tokens=4), bench.submit(max_tokens=2)]
    bench.scheduler.finish()
    bench.scheduler.run()
    outcomes = [sequence for sequence, event in bench.events if isinstance(event, Finished)]
    assert outcomes == sequences
    assert bench.scheduler.load().answers == 2


def test_classes_go_first_and_age() -> None:
    """high goes before normal before low; a low one that waited PRIORITY_AGEING goes before a normal newcomer."""
    bench = Bench(max_num_seqs=1)
    bench.submit(max_tokens=3)
    bench.turns(1)
    low, normal, high = (bench.submit(max_tokens=1, priority=name, timeout_s=200) for name in ("low", "normal", "high"))
    bench.now += 45
    newcomer = bench.submit(max_tokens=1)
    bench.turns(20)
    order = [owner for owner, message in bench.events if isinstance(message, Finished)][-4:]
    assert order == [high, normal, low, newcomer]


def test_background_work_gives_way_within_one_step() -> None:
    """All of it, also where there is room; it is handed over with its tokens, and none begins beside the other."""
    bench = Bench(max_num_seqs=4)
    quiet = [bench.submit(max_tokens=40, priority="background") for _ in range(3)]
    bench.turns(4)
    assert bench.scheduler.load().running == 3
    live = bench.submit(max_tokens=3)
    again = bench.submit(max_tokens=5, priority="background", timeout_s=float("inf"))
    bench.turns(1)
    for one in quiet:
        assert [type(message) for message in bench.of(one)] == [Delta, Delta, Delta, HandedOver]
    assert bench.backend.removals == [[1, 2, 3]]  # at once: each alone would copy the rows of the others
    assert (bench.scheduler.load().running, bench.scheduler.load().preempted) == (1, 3)
    bench.turns(3)
    assert isinstance(bench.of(live)[-1], Finished)
    assert bench.of(again) == []
    bench.turns(7)
    assert isinstance(bench.of(again)[-1], Finished)


def test_keys_are_admitted_by_turns() -> None:
    """Behind many requests of one key another's waits for the next place, not for all of them."""
    bench = Bench(max_num_seqs=1)
    flood = [bench.submit(max_tokens=1, salt="bob") for _ in range(5)]
    bench.turns(1)
    hello = bench.submit(max_tokens=1, salt="alice")
    bench.turns(20)
    order = [owner for owner, message in bench.events if isinstance(message, Finished)]
    assert order == [*flood[:2], hello, *flood[2:]]


def test_one_keys_long_answers_leave_a_place_of_the_batch() -> None:
    """Another key's first request is admitted at once; without keys all places are taken."""
    bench = Bench(max_num_seqs=8)
    for _ in range(9):
        bench.submit(max_tokens=40, salt="bob")
    bench.turns(2)
    assert (bench.scheduler.load().running, bench.scheduler.load().waiting) == (7, 2)
    hello = bench.submit(max_tokens=1, salt="alice")
    bench.turns(3)
    assert any(isinstance(message, Finished) for message in bench.of(hello))
    nobody = Bench(max_num_seqs=8)
    for _ in range(9):
        nobody.submit(max_tokens=40)
    nobody.turns(2)
    assert nobody.scheduler.load().running == 8


def test_a_stream_that_stands_still_is_ended() -> None:
    """Between two tokens of a stream no more than the gap's budget may pass; prefill does not count."""
    bench = Bench(chunk=1)
    slow = bench.submit(max_tokens=30, prompt=12, gap_s=5)
    bench.turns(15)
    assert slow.status is Status.DECODE
    bench.now += 10
    bench.turns(1)
    last = bench.of(slow)[-1]
    assert isinstance(last, Failed)
    assert last.code == "deadline_exceeded"


# ---- what prompts have in common, and room for keys and values

SYSTEM = list(range(500))


def keeping(step_size: int = 100) -> Bench:
    bench = Bench(max_num_seqs=8, chunk=100, step_size=step_size)
    bench.backend.keeps = True
    return bench


def test_a_beginning_under_way_is_waited_for() -> None:
    """Of eight requests behind one system prompt, the first computes it; the others join with their own tokens."""
    bench = keeping()
    sequences = [bench.submit(prompt=[*SYSTEM, 1000 + n]) for n in range(8)]
    bench.turns(5)
    assert [seq.status for seq in sequences] == [Status.PREFILL] + [Status.WAITING] * 7
    bench.turns(6)
    assert bench.backend.computed == len(SYSTEM) + 8
    assert [usage(bench, seq).cached_tokens for seq in sequences] == [0] + [len(SYSTEM)] * 7


def usage(bench: Bench, sequence: Sequence) -> Usage:
    last = bench.of(sequence)[-1]
    assert isinstance(last, Finished)
    return last.usage


def test_who_shares_less_than_is_computed_already_does_not_wait() -> None:
    """As soon as what is shared is there, the others go on: they do not wait for the rest of the first."""
    bench = keeping(step_size=10_000)
    long = bench.submit(prompt=[*SYSTEM, *range(2000, 2900)])
    short = bench.submit(prompt=[*SYSTEM, 1])
    bench.turns(5)
    assert (long.status, short.status) == (Status.PREFILL, Status.WAITING)
    bench.turns(1)
    assert (long.status, short.status) == (Status.PREFILL, Status.PREFILL)
    bench.turns(4)
    assert usage(bench, short).cached_tokens == len(SYSTEM)


def test_what_is_fetched_takes_a_turn_each_time() -> None:
    """Between two pieces those that run go on; PREFILL_PAUSE bounds a piece, as it bounds a chunk."""
    bench = keeping()
    bench.submit(prompt=[1], max_tokens=50)
    bench.turns(2)
    bench.backend.on_disk, bench.backend.fetches = 3, []
    late = bench.submit(prompt=SYSTEM)
    before = bench.scheduler.load().steps
    bench.turns(3)
    assert (late.status, bench.scheduler.load().steps - before) == (Status.WAITING, 3)
    bench.turns(1)
    assert late.status is Status.PREFILL
    assert bench.backend.fetches == [0.5] * 4
    assert bench.scheduler.load().phases["fetch"].counts


@pytest.mark.parametrize("other", ["bob", "alice"])
def test_nobody_waits_for_another_keys_beginning(other: str) -> None:
    """It could not be used; and it is not."""
    bench = keeping()
    bench.submit(prompt=[*SYSTEM, 1], salt="alice")
    second = bench.submit(prompt=[*SYSTEM, 2], salt=other)
    bench.turns(20)
    assert usage(bench, second).cached_tokens == (len(SYSTEM) if other == "alice" else 0)


def test_a_little_in_common_is_not_waited_for() -> None:
    """The words every template begins with hold nobody back."""
    bench = Bench(max_num_seqs=8, chunk=50, step_size=100)
    bench.backend.keeps = True
    sequences = [bench.submit(prompt=[*range(20), *[100 + n] * 30]) for n in range(2)]
    bench.turns(1)
    assert [seq.status for seq in sequences] == [Status.PREFILL] * 2


def test_the_choices_of_a_request_compute_its_prompt_once() -> None:
    """`n` answers cost one prompt; what the first left for the others is no cached token of the client's."""
    bench = keeping()
    group = ChoiceGroup(4)
    sequences = [bench.submit(prompt=SYSTEM) for _ in range(4)]
    for index, sequence in enumerate(sequences):
        sequence.index, sequence.group = index, group
    bench.turns(12)
    assert bench.backend.computed == len(SYSTEM) + 3
    finished = [m for _, m in bench.events if isinstance(m, Finished)]
    assert [(m.usage.prompt_tokens, m.usage.completion_tokens, m.usage.cached_tokens) for m in finished] == [
        (500, 12, 0)
    ]


def test_what_came_of_predictions_is_counted_for_all_choices() -> None:
    """Step by step, the last step's among them; a request without a prediction is told nothing of it."""
    bench = Bench()
    group = ChoiceGroup(2)
    sequences = [bench.submit(prompt=4, max_tokens=2) for _ in range(2)]
    other = bench.submit(prompt=4, max_tokens=2)
    for index, sequence in enumerate(sequences):
        sequence.index, sequence.group, sequence.predicted = index, group, PredictionUsage()
        bench.backend.drafted |= {index + 1: PredictionUsage(2, 1)}
    bench.turns(4)
    told = [m.usage.prediction for seq, m in bench.events if isinstance(m, Finished) and seq is not other]
    assert told == [PredictionUsage(8, 4)]
    assert usage(bench, other).prediction is None


def test_keys_and_values_have_to_fit() -> None:
    """A request that would not fit beside those that run waits until one has ended, and others behind it with it."""
    bench = Bench(max_num_seqs=8)
    bench.backend.kv_room = KvRoom(limit_bytes=3 * 256 * 10, token_bytes=10)
    first, second = bench.submit(prompt=100, max_tokens=9), bench.submit(prompt=200, max_tokens=5)
    long, behind = bench.submit(prompt=300, max_tokens=2), bench.submit(prompt=10, max_tokens=2)
    bench.turns(1)
    assert [seq.status for seq in (first, second, long, behind)] == [Status.PREFILL] * 2 + [Status.WAITING] * 2
    bench.turns(20)
    assert [len(text(bench.of(seq))) for seq in (first, second, long, behind)] == [9, 5, 2, 2]


def test_what_is_kept_of_pictures_has_to_fit_too() -> None:
    bench = Bench(max_num_seqs=8)
    bench.backend.kv_room = KvRoom(limit_bytes=3 * 256 * 10, token_bytes=10)
    first, shown = bench.submit(prompt=100, max_tokens=9), bench.submit(prompt=10, max_tokens=2)
    shown.media = Picture(kept_tokens=400)
    bench.turns(1)
    assert (first.status, shown.status) == (Status.PREFILL, Status.WAITING)
    bench.turns(20)
    assert len(text(bench.of(shown))) == 2


@pytest.mark.parametrize(
    ("running", "new", "fits"),
    [([], 10**9, True), ([100], 100, True), ([100, 100], 256, True), ([100, 100], 257, False), ([100] * 3, 1, False)],
)
def test_a_batch_is_as_wide_as_its_longest_row(running: list[int], new: int, fits: bool) -> None:
    """Rows are padded to the longest, in steps of 256 tokens; one alone always fits."""
    room = KvRoom(limit_bytes=3 * 256 * 10, token_bytes=10)
    assert fits_memory(running, new, room) is fits
    assert fits_memory(running, new, None)


# ---- prompts between the tokens of running answers


def between_tokens(bench: Bench, sequence: Sequence) -> list[int]:
    """Prompt tokens computed between each two tokens of a running answer, padding included."""
    spent, at, seen = list[int](), 0, len(bench.of(sequence))
    while sequence.status is Status.DECODE:
        bench.turns(1)
        if len(bench.of(sequence)) > seen:
            spent.append(sum(bench.backend.chunks[at:]) if at else 0)
            seen, at = len(bench.of(sequence)), len(bench.backend.chunks)
    return spent


def test_a_long_prompt_costs_a_stream_one_chunk_at_a_time() -> None:
    """4,000 tokens and other prompts among 16 streams: a token in every step, at most one chunk between two."""
    bench = Bench(max_num_seqs=40, chunk=512, step_size=512)
    streams = [bench.submit(max_tokens=40, prompt=20) for _ in range(16)]
    while any(stream.status is not Status.DECODE for stream in streams):
        bench.turns(1)
    long = bench.submit(prompt=4000)
    for n in range(10):
        bench.submit(prompt=30 + n)
    spent = between_tokens(bench, streams[0])
    assert max(spent) <= 512
    assert long.status is not Status.WAITING
    tokens = [sum(isinstance(message, Delta) for message in bench.of(stream)) for stream in streams]
    assert tokens == [40] * 16


def test_a_short_prompt_does_not_wait_for_a_long_one() -> None:
    """It joins in the next step, beside a long prompt, and has its first token two steps later."""
    bench = Bench(max_num_seqs=8, chunk=512, step_size=512)
    long = bench.submit(prompt=4000)
    bench.turns(2)
    short = bench.submit(prompt=60)
    bench.turns(1)
    assert (long.status, short.status) == (Status.PREFILL, Status.PREFILL)
    bench.turns(1)
    assert (long.status, short.status) == (Status.PREFILL, Status.DECODE)


def test_a_chunk_fits_the_pause_once_the_pace_is_known() -> None:
    """Answers that run are held up for as long as was asked; a prompt that runs alone takes whole chunks."""
    bench = Bench(max_num_seqs=8, chunk=512, step_size=512)
    bench.scheduler._pause_s = 0.5
    bench.backend.seconds_per_token = 0.002
    bench.submit(prompt=1025, max_tokens=50)
    bench.turns(4)
    assert bench.backend.chunks[:2] == [512, 512]
    bench.submit(prompt=2000)
    bench.turns(3)
    assert bench.backend.chunks[-1] == pytest.approx(250, rel=0.02)
