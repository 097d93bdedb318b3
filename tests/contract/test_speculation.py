"""Guessing ahead changes nothing but how many steps an answer takes: on tiny models, in batches that come and go."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from src.gpu import blas

blas.preload()  # before anything imports MLX

import mlx.core as mx  # noqa: E402

from src.engine import loading  # noqa: E402
from src.engine.mlx import ragged  # noqa: E402
from src.engine.mlx.batch import empty_batch  # noqa: E402
from src.engine.mlx.packed import Packing, pack  # noqa: E402
from src.engine.mlx.prefix.cache import PrefixCache  # noqa: E402
from src.engine.mlx.rows import RowGenerator  # noqa: E402
from src.engine.mlx.sampling import SamplingRow  # noqa: E402
from src.engine.mlx.speculation.batch import (  # noqa: E402
    Drafter,
    SpeculativeBatch,
    Speculator,
    measure,
)
from src.engine.mlx.speculation.depth import Costs  # noqa: E402
from src.engine.mlx.speculation.draft import DraftModel  # noqa: E402
from src.engine.mlx.speculation.lookup import LookupDrafter  # noqa: E402
from src.engine.progress import LoadMeter  # noqa: E402
from src.engine.prompt import make_sequences  # noqa: E402
from src.engine.scheduler import Event, Scheduler  # noqa: E402
from src.engine.sequence import Sequence  # noqa: E402
from src.errors import ContextLengthExceeded, ModelLoadFailed, UnsupportedValue  # noqa: E402
from src.ipc.messages.chat import (  # noqa: E402
    ChatMessage,
    Choice,
    Delta,
    Finished,
    GenerateRequest,
    PredictionUsage,
    Sampling,
    Usage,
)
from src.ipc.messages.status import SpeculationReading  # noqa: E402
from src.settings import Settings  # noqa: E402
from tests.contract.test_prefix import BY_STATE, VOCABULARY, every_token, speaking, tokens  # noqa: E402

FREE = Costs(1.0, 0.0)  # what could be guessed is, if some of it was right
DEAR = Costs(0.0, 1.0)  # nothing is
MOST = 4


@pytest.fixture(scope="module")
def model() -> Any:
    return speaking(every_token)


@pytest.fixture(scope="module")
def stranger() -> Any:
    """A draft model that knows nothing of the other."""
    mx.random.seed(11)
    return every_token()


@dataclass
class Ask:
    """A request: its prompt, how long its answer may be, and what is asked of its sampling."""

    prompt: list[int]
    max_tokens: int
    wish: dict[str, Any] = field(default_factory=dict)


class Engine:
    """A batch that guesses with `drafter`, or does not."""

    def __init__(self, model: Any, drafter: Drafter | None, limit: int = 0, ends: tuple[int, ...] = ()) -> None:
        self.speculator = Speculator(drafter, MOST, FREE) if drafter is not None else None
        batch = empty_batch(model) if self.speculator is None else SpeculativeBatch.start(model, self.speculator)
        options: dict[str, Any] = {"completion_batch_size": 16, "prefill_batch_size": 16, "prefill_step_size": 32}
        self.prefixes = PrefixCache(model, limit)
        self.rows = RowGenerator(model, self.prefixes, batch, stop_tokens=[(end,) for end in ends], **options)
        self.made: dict[int, list[int]] = {}
        self.ends: dict[int, str] = {}
        self.steps = 0

    def add(self, ask: Ask) -> int:
        uid = self.rows.add(ask.prompt, ask.max_tokens, SamplingRow(len(ask.prompt), **ask.wish), "")
        self.made[uid] = []
        return uid

    def step(self) -> None:
        self.steps += 1
        for reply in self.rows.next()[1]:
            assert reply.uid not in self.ends, "a token behind the end"
            self.made[reply.uid].append(reply.token)
            if reply.finish_reason is not None:
                self.ends[reply.uid] = reply.finish_reason

    def finish(self) -> None:
        while self.made.keys() != self.ends.keys():
            self.step()

    def answers(self, *asks: Ask) -> list[list[int]]:
        """Computed together, from the first step."""
        uids = [self.add(ask) for ask in asks]
        self.finish()
        return [self.made[uid] for uid in uids]

    @property
    def count(self) -> SpeculationReading:
        assert self.speculator is not None
        return self.speculator.take_count()


def repetitive(seed: int, length: int = 14, times: int = 3) -> list[int]:
    return tokens(length, seed) * times + tokens(seed % 5 + 1, seed + 50)


def asks(wish: dict[str, Any], count: int = 9) -> list[Ask]:
    """Prompts that repeat and prompts that do not, answers of every length."""
    made = []
    for n in range(count):
        prompt = repetitive(n) if n % 3 else tokens(21 + n, 300 + n)
        made.append(Ask(prompt, 4 + 9 * n, wish | ({"seed": n} if wish.get("temperature") else {})))
    return made


def alone(model: Any, *wanted: Ask, ends: tuple[int, ...] = ()) -> list[list[int]]:
    """One at a time, without guesses."""
    return [Engine(model, None, ends=ends).answers(ask)[0] for ask in wanted]


def come_and_go(engine: Engine, wanted: list[Ask], seed: int = 1) -> list[list[int]]:
    """The requests join one after another, while others leave in the middle of their answers."""
    chance, uids, passing = random.Random(seed), [], []
    for at, ask in enumerate(wanted):
        uids.append(engine.add(ask))
        if at % 2:
            passing.append(engine.rows.add(repetitive(70 + at), 90, SamplingRow(50), ""))
            engine.made[passing[-1]] = []
        for _ in range(chance.randint(0, 4)):
            engine.step()
        if len(passing) > 1:
            engine.rows.drop([gone := passing.pop(0)])
            del engine.made[gone]
    engine.rows.drop(passing)
    for gone in passing:
        del engine.made[gone]
    engine.finish()
    return [engine.made[uid] for uid in uids]


DRAFTERS: dict[str, Callable[[Any, Any], Drafter]] = {
    "ngram": lambda _, __: LookupDrafter(),
    "itself": lambda model, _: DraftModel(model, VOCABULARY, 24),
    "stranger": lambda _, stranger: DraftModel(stranger, VOCABULARY, 24),
}


@pytest.mark.parametrize("wish", [{}, {"temperature": 0.8}, {"temperature": 0.8, "top_p": 0.9, "top_k": 40}], ids=str)
@pytest.mark.parametrize("drafter", DRAFTERS)
def test_the_text_is_what_it_is_without(drafter: str, wish: dict[str, Any], model: Any, stranger: Any) -> None:
    """Rows of one batch join, leave and accept different numbers; a draft model that knows nothing costs time alone."""
    wanted = asks(wish)
    engine = Engine(model, DRAFTERS[drafter](model, stranger), limit=1 << 20)
    assert come_and_go(engine, wanted) == alone(model, *wanted)
    count = engine.count
    assert 0 < count.accepted_tokens <= count.draft_tokens
    assert (count.accepted_tokens < count.draft_tokens) == (drafter != "itself")
    assert engine.rows.kv_bytes == 0


def test_a_model_that_guesses_for_itself_is_always_right(model: Any) -> None:
    """Then every step makes a token and MOST guesses, once its prompt is read."""
    engine = Engine(model, DraftModel(model, VOCABULARY, 512))
    wanted = [Ask(tokens(30, 1), 41, {"temperature": 1.0, "seed": 5})]
    assert engine.answers(*wanted) == alone(model, *wanted)
    assert engine.steps <= 41 // (1 + MOST) + 3


@pytest.mark.parametrize("pause", [3, 20])
def test_a_while_without_guesses_is_caught_up(pause: int, model: Any) -> None:
    """Where guessing did not pay for some steps, the draft model is asked nothing, and then is right again."""
    engine, wanted = Engine(model, DraftModel(model, VOCABULARY, 24)), [Ask(repetitive(n), 250 + n) for n in range(3)]
    assert engine.speculator is not None
    uids = [engine.add(ask) for ask in wanted]
    guessed = []
    while not engine.ends:
        engine.speculator.costs = DEAR if engine.steps // pause % 2 else FREE
        engine.step()
        count = engine.count
        guessed.append(count.drafts > 0)
        assert count.accepted_tokens == count.draft_tokens
        assert not (guessed[-1] and engine.speculator.costs is DEAR)
    engine.finish()
    assert [engine.made[uid] for uid in uids] == alone(model, *wanted)
    assert sum(later and not earlier for earlier, later in itertools.pairwise(guessed)) > 1


def test_a_draft_model_is_shown_no_token_that_it_lacks(stranger: Any) -> None:
    """Families pad their vocabularies differently: an id beyond its embedding would read what lies behind it."""
    large = speaking(partial(every_token, vocab_size=VOCABULARY + 30))
    shown: list[int] = []

    class Watched:
        layers = stranger.layers

        def __call__(self, tokens: mx.array, cache: Any) -> Any:
            shown.append(int(mx.max(tokens)))
            return stranger(tokens, cache=cache)

    prompt = [VOCABULARY + n for n in range(20)] * 2
    engine = Engine(large, DraftModel(Watched(), VOCABULARY, 512))
    assert engine.answers(Ask(prompt, 20)) == alone(large, Ask(prompt, 20))
    assert 0 < max(shown) < VOCABULARY


def test_who_cannot_pay_is_not_asked(model: Any) -> None:
    """A draft model reads no prompts for guesses that nobody wants."""
    drafter = DraftModel(model, VOCABULARY, 512)
    engine = Engine(model, drafter)
    assert engine.speculator is not None
    engine.speculator.costs = DEAR
    engine.add(Ask(repetitive(1), 30))
    for _ in range(12):
        engine.step()
    assert drafter.nbytes == 0


def test_rows_that_may_not_guess_decode_beside_those_that_do(model: Any) -> None:
    """Penalties, log-probabilities and a bias, in one batch with rows that guess."""
    penal = {"frequency_penalty": 0.6, "presence_penalty": 0.3, "repetition_penalty": 1.2}
    bias = {"bias": ((3, 4.0), (5, -9.0))}
    wishes: list[dict[str, Any]] = [{}, penal, {"logprobs": 2}, bias, penal | {"temperature": 0.7, "seed": 3}, {}]
    wanted = [Ask(repetitive(n), 30 + n, wish) for n, wish in enumerate(wishes)]
    engine = Engine(model, LookupDrafter())
    assert engine.answers(*wanted) == alone(model, *wanted)
    assert engine.count.accepted_tokens > 0


def test_log_probabilities_belong_to_their_tokens(model: Any) -> None:
    """A row with them has them for each token, while another guesses."""
    engine = Engine(model, DraftModel(model, VOCABULARY, 512))
    engine.add(Ask(repetitive(1), 40))
    uid = engine.rows.add(repetitive(2), 12, SamplingRow(47, logprobs=0), "")
    told: list[Any] = []
    while len(told) < 12:
        told += [reply for reply in engine.rows.next()[1] if reply.uid == uid]
    assert all(reply.logprobs.read()[0][0] == reply.token for reply in told)


def test_an_answer_ends_where_it_ends(model: Any) -> None:
    """An end mark, or the last token it may have, in the middle of what was guessed right: nothing comes behind it."""
    asked = Ask(tokens(30, 1), 40)
    (whole,) = alone(model, asked)
    end = whole[17]
    (expected,) = alone(model, asked, ends=(end,))
    engine = Engine(model, DraftModel(model, VOCABULARY, 512), ends=(end,))
    assert engine.answers(asked) == [expected]
    assert list(engine.ends.values()) == ["stop"]
    for most in range(1, 12):
        engine = Engine(model, DraftModel(model, VOCABULARY, 512))
        assert engine.answers(Ask(asked.prompt, most)) == [whole[:most]]
        assert list(engine.ends.values()) == ["length"]


def test_an_answer_goes_on_in_a_fresh_engine(model: Any) -> None:
    """Put back with the tokens it has, it draws what it would have drawn."""
    ask = Ask(repetitive(1), 50, {"temperature": 0.8, "seed": 4})
    ((whole,), engine) = alone(model, ask), Engine(model, LookupDrafter())
    uid = engine.add(ask)
    while len(engine.made[uid]) < 20:
        engine.step()
    came = engine.made[uid]
    rest = Ask(ask.prompt + came, 50 - len(came), ask.wish | {"made": len(came)})
    assert came + Engine(model, LookupDrafter()).answers(rest)[0] == whole


PREDICTED: dict[str, Callable[[list[int]], list[int]]] = {
    "right": lambda text: text,
    "begins elsewhere": lambda text: text[5:],
    "partly": lambda text: [*text[:10], *tokens(6, 900), *text[16:]],
    "wrong": lambda text: tokens(len(text), 901),
}


@pytest.mark.parametrize("wish", [{}, {"temperature": 0.8, "seed": 4}], ids=str)
@pytest.mark.parametrize("kind", PREDICTED)
def test_a_prediction_changes_no_text(kind: str, wish: dict[str, Any], model: Any) -> None:
    """Right or wrong, for some rows of a batch: what is right makes the answer quicker, and all of it is counted."""
    wanted = [Ask(tokens(21 + n, 300 + n), 40 + n, wish) for n in range(4)]
    whole = alone(model, *wanted)
    asked = [
        Ask(a.prompt, a.max_tokens, wish | {"prediction": PREDICTED[kind](text)})
        for a, text in zip(wanted, whole, strict=True)
    ]
    engine = Engine(model, LookupDrafter())
    uids = [engine.add(ask) for ask in (*asked[:3], wanted[3])]
    counts: dict[int, PredictionUsage] = {}
    while engine.made.keys() != engine.ends.keys():
        engine.step()
        assert engine.speculator is not None
        for uid, count in engine.speculator.take_predictions().items():
            counts[uid] = count + counts.get(uid, PredictionUsage())
    assert [engine.made[uid] for uid in uids] == whole
    assert counts.keys() <= set(uids[:3])
    kept = sum(count.accepted for count in counts.values())
    least = {"right": 80, "begins elsewhere": 40, "partly": 40, "wrong": 0}[kind]
    assert least <= kept <= sum(map(len, whole[:3]))
    if kind == "right":
        assert all(count.rejected == 0 for count in counts.values())


def test_a_predicted_answer_goes_on_in_a_fresh_engine(model: Any) -> None:
    """With the tokens it has it finds its place in the prediction again."""
    ask = Ask(tokens(21, 5), 50)
    (whole,) = alone(model, ask)
    rest = Ask(ask.prompt + whole[:20], 30, {"made": 20, "prediction": whole})
    engine = Engine(model, LookupDrafter())
    uid = engine.rows.add(rest.prompt, 30, SamplingRow(len(ask.prompt), **rest.wish), "")
    engine.made[uid] = []
    engine.finish()
    assert whole[:20] + engine.made[uid] == whole
    assert engine.count.accepted_tokens >= 20
    assert engine.steps <= 12


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_what_is_kept_for_others_is_right(drafter: str, model: Any, stranger: Any) -> None:
    """Keys and values of answers that were guessed, ended or left, begin the next turn of the conversation."""
    engine = Engine(model, DRAFTERS[drafter](model, stranger), limit=64 << 20)
    wanted = asks({}, 6)
    first = engine.answers(*wanted)
    left = [engine.add(Ask(repetitive(40 + n), 90)) for n in range(3)]
    for _ in range(14):
        engine.step()
    said = [repetitive(40 + n) + engine.made.pop(uid) for n, uid in enumerate(left)]
    engine.rows.drop(left)
    known = [ask.prompt + answer for ask, answer in zip(wanted, first, strict=True)] + said
    turns = [Ask(text + tokens(7, n), 12) for n, text in enumerate(known)]
    before = engine.prefixes.reading()
    assert engine.answers(*turns) == alone(model, *turns)
    after = engine.prefixes.reading()
    assert before is not None
    assert after is not None
    assert after.saved_tokens - before.saved_tokens >= sum(map(len, known)) - 2 * len(known)


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_keys_and_values_move_too(bits: int) -> None:
    """KV_BITS: the text is what it is without guesses, and so is that of the next turn."""
    packed = speaking(partial(every_token, hidden_size=128, head_dim=64, intermediate_size=96))
    assert pack(packed, Packing(bits, 64)) is not None
    assert ragged.can_be_ragged(packed)
    engine, wanted = Engine(packed, LookupDrafter(), limit=64 << 20), asks({}, 6)
    expected = alone(packed, *wanted)
    assert come_and_go(engine, wanted) == expected
    assert engine.count.accepted_tokens > 0
    turns = [Ask(ask.prompt + text + tokens(5, 1), 9) for ask, text in zip(wanted, expected, strict=True)]
    assert engine.answers(*turns) == alone(packed, *turns)
    reading = engine.prefixes.reading()
    assert reading is not None
    assert reading.saved_tokens > 0


def test_padding_does_not_grow_for_ever(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that accept by turns leave gaps on the left, which are cut off."""
    monkeypatch.setattr(ragged, "WIDEST_PADDING", 8)
    wanted = [Ask(repetitive(n), 200) for n in range(4)]
    engine, paddings = Engine(model, LookupDrafter()), []
    for ask in wanted:
        engine.add(ask)
    while not engine.ends:
        engine.step()
        batch: Any = engine.rows.decoding
        if len(batch) == len(wanted):
            paddings.append(batch.prompt_cache[0].size() - max(map(len, batch.tokens)))
    assert sum(later < earlier for earlier, later in itertools.pairwise(paddings)) > 0
    assert max(paddings) < 8
    engine.finish()
    assert list(engine.made.values()) == alone(model, *wanted)


@pytest.mark.parametrize("make", [every_token, *BY_STATE], ids=lambda make: make.__name__)
def test_only_layers_that_keep_every_token_can_go_back(make: Callable[[], Any]) -> None:
    """Windows and running states cannot."""
    assert ragged.can_be_ragged(speaking(make)) == (make is every_token)


def test_costs_are_measured(model: Any) -> None:
    """A step costs something, and so may its tokens."""
    costs = measure(model)
    assert costs.of(1, 0) > 0
    assert costs.position_s >= 0


# ---- with the scheduler


class Owner:
    """The real scheduler over the real engine, driven turn by turn."""

    def __init__(self, model: Path, **changes: Any) -> None:
        values: dict[str, Any] = {"inference_engine": "mlx", "max_num_seqs": 8, "default_model": str(model), **changes}
        self.settings = Settings(_env_file=None, **values)
        self.backend = loading.load(str(model), self.settings, LoadMeter())
        self.text: dict[str, str] = {}
        self.outcomes: dict[str, Finished] = {}
        self.scheduler = Scheduler(
            self.backend,
            max_num_seqs=8,
            prefill_step_size=self.settings.prefill_step_size,
            publish=self._publish,
            clock=time.monotonic,
        )

    def _publish(self, events: list[Event]) -> None:
        for work, message in events:
            name = work.request.id
            assert name not in self.outcomes
            if isinstance(message, Delta):
                self.text[name] = self.text.get(name, "") + message.text
            elif isinstance(message, Finished):
                self.outcomes[name] = message

    def sequences(self, request: GenerateRequest) -> list[Sequence]:
        grammar = self.backend.tokenizer.grammar(request)
        return make_sequences(request, self.backend, self.settings, time.monotonic, None, grammar)

    def sequence(self, request: GenerateRequest) -> Sequence:
        return self.sequences(request)[0]

    def outcome(self, request: GenerateRequest) -> Usage:
        """Of all its choices."""
        self.answers(request)
        return self.outcomes[request.id].usage

    def answers(self, *requests: GenerateRequest) -> list[tuple[str, str, int]]:
        """Text, reason and tokens of each."""
        for request in requests:
            for sequence in self.sequences(request):
                self.scheduler.submit(sequence)
        for _ in range(3000):
            self.scheduler.run_once()
            if all(request.id in self.outcomes for request in requests):
                ends = [self.outcomes[request.id] for request in requests]
                texts = [self.text[request.id] for request in requests]
                return [(text, e.reason, e.usage.completion_tokens) for text, e in zip(texts, ends, strict=True)]
        raise AssertionError("no end in sight")


SCHEMA = '{"type": "object", "properties": {"a": {"enum": ["one", "two"]}}, "required": ["a"]}'
COPY = "one two three four five six seven eight nine ten "


def conversation(**fields: Any) -> list[GenerateRequest]:
    """Requests whose answers repeat themselves sooner or later, greedy and drawn, and one that has a form."""
    made = []
    for n in range(5):
        sampling = Sampling(temperature=0.8 * (n % 2), seed=n)
        turns = (ChatMessage("user", COPY * 3 + str(n)),)
        made.append(GenerateRequest(f"r{n}", "m", turns, sampling, max_tokens=30 + 7 * n, **fields))
    form = GenerateRequest("form", "m", turns, Sampling(temperature=0.0), max_tokens=40, json_schema=SCHEMA)
    return [*made, form]


def eager(owner: Owner) -> Owner:
    """Whatever this machine's arithmetic costs, guess."""
    present: Any = owner.backend
    present._resident.speculator.costs = FREE
    return owner


def test_the_service_answers_the_same(random_model: Path) -> None:
    """Text, reason and usage; also where a stop string lies in what was guessed. The counts arrive in its load."""
    plain = Owner(random_model)
    guessing = eager(Owner(random_model, speculative_method="ngram"))
    first = plain.answers(*conversation())
    assert guessing.answers(*conversation()) == first
    stops = tuple({text[len(text) // 2 :][:3] for text, _, _ in first if text} - {""})
    again = [Owner(random_model), eager(Owner(random_model, speculative_method="ngram"))]
    stopped = [owner.answers(*conversation(stop=stops[:4])) for owner in again]
    assert stopped[0] == stopped[1]
    assert "stop" in {reason for _, reason, _ in stopped[1]}
    assert plain.scheduler.load().speculation is None
    count = guessing.scheduler.load().speculation
    assert count is not None
    assert count.accepted_tokens > 0


def test_a_request_predicts_its_answer(random_model: Path) -> None:
    """Same text and counts; each choice has its own drafts. Where none can be made the prediction is set aside."""
    plain, guessing = Owner(random_model), eager(Owner(random_model, speculative_method="ngram"))
    (asked, *_) = conversation(stop=("unlikely",))
    first = plain.answers(asked)
    told = replace(asked, prediction=first[0][0], strict=True)
    assert guessing.answers(told) == first
    usage = guessing.outcomes[asked.id].usage
    assert usage.prediction is not None
    assert 0 < usage.prediction.accepted < usage.completion_tokens
    choices = (Choice(0), Choice(1))
    both = guessing.outcome(replace(told, id="both", choices=choices))
    assert both.prediction is not None
    assert both.prediction.accepted > usage.prediction.accepted
    for owner, aside in (
        (plain, asked),
        (guessing, replace(asked, sampling=replace(asked.sampling, logprobs=1))),
        (guessing, replace(asked, sampling=replace(asked.sampling, frequency_penalty=0.5))),
        (guessing, replace(asked, json_schema=SCHEMA)),
    ):
        assert owner.sequence(replace(aside, prediction="x")).set_aside == ("prediction",)
        with pytest.raises(UnsupportedValue) as refused:
            owner.sequence(replace(aside, prediction="x", strict=True))
        assert refused.value.param == "prediction"
    with pytest.raises(ContextLengthExceeded, match="prediction has") as longer:
        guessing.sequence(replace(asked, prediction="one " * 5000))
    assert longer.value.param == "prediction"


def copied(model: Path, folder: Path, **config: Any) -> Path:
    """The same checkpoint in another folder, with another configuration."""
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    own = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(own | config))
    return folder


def test_a_draft_model_comes_and_goes_with_its_large_one(random_model: Path, tmp_path: Path) -> None:
    """Its weights count, its guesses are right, and after a while off the device all is as before."""
    small = copied(random_model, tmp_path / "small")
    plain, guessing = (
        Owner(random_model),
        eager(Owner(random_model, speculative_method="draft_model", draft_model=str(small))),
    )
    assert guessing.backend.info.weight_bytes == 2 * (plain.backend.info.weight_bytes or 0)
    expected = plain.answers(*conversation())
    assert guessing.answers(*conversation()) == expected
    guessing.backend.to_host()
    guessing.backend.to_device()
    eager(guessing).outcomes.clear()
    guessing.text.clear()
    assert guessing.answers(*conversation()) == expected
    count = guessing.scheduler.load().speculation
    assert count is not None
    assert count.accepted_tokens == count.draft_tokens > 0
    reading = guessing.backend.caches()[0]
    assert reading is not None
    assert reading.bytes == 0


def test_a_draft_model_of_another_vocabulary_is_refused(random_model: Path, tmp_path: Path) -> None:
    """By a reason that can be read; a model that is not DEFAULT_MODEL goes without."""
    other = copied(random_model, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    names = list(vocabulary)[-2:]
    vocabulary[names[0]], vocabulary[names[1]] = vocabulary[names[1]], vocabulary[names[0]]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    changes = {"speculative_method": "draft_model", "draft_model": str(other)}
    with pytest.raises(ModelLoadFailed, match="another vocabulary"):
        Owner(random_model, **changes)
    owner = Owner(random_model, **changes | {"default_model": "another"})
    assert owner.scheduler.load().speculation is None
    assert owner.answers(*conversation()[:1])[0][2] > 0


def test_a_method_without_its_model_is_refused(random_model: Path) -> None:
    """And so is a model as its own draft."""
    with pytest.raises(ModelLoadFailed, match="needs a DRAFT_MODEL"):
        Owner(random_model, speculative_method="draft_model")
    with pytest.raises(ModelLoadFailed, match="its own DRAFT_MODEL"):
        Owner(random_model, speculative_method="draft_model", draft_model=str(random_model))


def test_guessing_has_its_room(random_model: Path) -> None:
    """Admission counts the padding that guesses may leave."""
    plain, guessing = (
        Owner(random_model).backend.kv_room,
        Owner(random_model, speculative_method="ngram").backend.kv_room,
    )
    assert plain is not None
    assert guessing is not None
    assert guessing.row_bytes - plain.row_bytes >= ragged.WIDEST_PADDING * plain.token_bytes
