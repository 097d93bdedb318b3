"""Dialogues the demo model learns from and is judged by, from a seed; train and held-out phrasings never meet."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from training.demo import general, near, unanswerable
from training.demo.noise import as_typed, in_context
from training.demo.phrases import draw, expand, frame, patterns
from training.demo.synonyms import vary
from training.demo.text import LANGUAGES
from training.demo.topics import TOPICS, Topic

SEED = 34
VARIED_SHARE = 0.6
EXACT_KINDS = ("copy", "reverse")  # asked without typing noise, and every letter of their answers is news


@dataclass(frozen=True)
class Turn:
    """A question, the answer taught, and the strings that a right answer holds."""

    kind: str
    language: str
    question: str
    answer: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Dialogue:
    """One or a few turns, sometimes under a system prompt; the last turn is the one judged."""

    turns: tuple[Turn, ...]
    system: str | None = None

    def messages(self) -> list[dict[str, str]]:
        """The chat up to the last question."""
        found = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            found.append({"role": "user", "content": turn.question})
            found.append({"role": "assistant", "content": turn.answer})
        return found[:-1]


SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "Be brief.",
    "You are Stoker's assistant.",
    "Answer in one sentence.",
    "You are a friendly assistant. Answer the user's questions.",
    "You help people who use this server.",
    "你是一个有用的助手。",
    "请简短回答。",
    "Answer truthfully.",
    "You are a bot.",
)

Maker = Callable[[str, str, random.Random, int], general.Ask]

SIMPLE: dict[str, Maker] = {
    "sum": general.sum_question,
    "difference": general.difference_question,
    "copy": general.copy_question,
    "reverse": general.reverse_question,
    "order": general.order_question,
    "capital": general.capital_question,
}
UNKNOWN = {"unknown": unanswerable, "near": near}
TABLES = {"small_talk": "small_talk", "fact": "facts"}
WEIGHTS = {
    "help": 52,
    "near": 32,
    "unknown": 18,
    "small_talk": 6,
    "fact": 3,
    "sum": 8,
    "difference": 2,
    "copy": 2,
    "reverse": 1,
    "order": 2,
    "capital": 2,
}


def normal(text: str) -> str:
    """A question without case, punctuation and spaces, to compare two of them."""
    return re.sub(r"\W", "", text.lower())


@functools.cache
def _not_taught(seed: int) -> frozenset[str]:
    """Every phrase that is held out or validated with: two patterns, or swapped words, may make the same text."""
    found: set[str] = set()
    for topic, language, split in itertools.product(TOPICS, LANGUAGES, ("held_out", "validation")):
        for pattern in itertools.chain(*patterns(topic.id, language, split, seed).values()):
            found.update(normal(text) for text in expand(pattern))
    return frozenset(found)


def _help(topic: Topic, language: str, question: str) -> Turn:
    wording = topic.wordings[language]
    return Turn(f"help:{topic.id}", language, question, wording.answer, wording.keys)


def _taught(topic: Topic, language: str, rng: random.Random, seed: int) -> str:
    """A question to train on, its words varied most of the time, that is none of those kept back."""
    forms = patterns(topic.id, language, "train", seed)
    while True:
        form = rng.choices(list(forms), [len(each) ** 0.5 for each in forms.values()])[0]
        text = draw(rng.choice(forms[form]), rng)
        if rng.random() < VARIED_SHARE:
            text = vary(text, language, rng)
        asked = frame(text, form, language, "train", rng, seed)
        if not {normal(text), normal(asked)} & _not_taught(seed):
            return asked


def help_turn(language: str, rng: random.Random, seed: int) -> Turn:
    """A question about the service, to train on."""
    topic = rng.choice(TOPICS)
    asked = in_context(_taught(topic, language, rng, seed), language, rng)
    return _help(topic, language, as_typed(asked, language, rng))


def turn_of(kind: str, language: str, split: str, rng: random.Random, seed: int) -> Turn:
    """A turn of one kind."""
    if kind == "help":
        return help_turn(language, rng, seed)
    if kind in UNKNOWN:
        declined = UNKNOWN[kind]
        text = declined.question(language, split, rng, seed)
        text = in_context(text, language, rng) if split == "train" else text
        found: general.Ask = (text, declined.ANSWERS[language], (unanswerable.KEYS[language],))
    elif kind in SIMPLE:
        found = SIMPLE[kind](language, split, rng, seed)
    else:
        found = general.exchange(TABLES[kind], language, split, rng, seed)
    question = found[0] if kind in EXACT_KINDS else as_typed(found[0], language, rng)
    return Turn(kind, language, question, found[1], found[2])


def _any_turn(split: str, rng: random.Random, seed: int, language: str) -> Turn:
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return turn_of(kind, language, split, rng, seed)


def training(seed: int = SEED) -> Iterator[Dialogue]:
    """Endless training dialogues: mostly one turn, some of two or three, some under a system prompt."""
    rng = random.Random(seed)
    while True:
        language = "en" if rng.random() < 0.55 else "zh"
        count = rng.choices((1, 2, 3), (90, 8, 2))[0]
        turns = tuple(_any_turn("train", rng, seed, language) for _ in range(count))
        yield Dialogue(turns, rng.choice(SYSTEM_PROMPTS) if rng.random() < 0.12 else None)


def _trained_questions(seed: int, count: int = 60_000) -> set[str]:
    """Questions of the first training dialogues: two templates can differ in nothing but a space."""
    dialogues = itertools.islice(training(seed), count)
    return {normal(turn.question) for dialogue in dialogues for turn in dialogue.turns}


def _kept_back_help(split: str, rng: random.Random, seed: int) -> Iterator[Turn]:
    """One question for every pattern that is kept back."""
    for topic, language in itertools.product(TOPICS, LANGUAGES):
        for form, found in patterns(topic.id, language, split, seed).items():
            for pattern in found:
                question = frame(draw(pattern, rng), form, language, split, rng, seed)
                yield _help(topic, language, as_typed(question, language, rng))


def _held_out_sums(rng: random.Random, seed: int) -> Iterator[Turn]:
    """Every pair of digits, in both languages, in phrasings never trained on."""
    for language in LANGUAGES:
        for pair in ((a, b) for a in range(10) for b in range(10)):
            text, answer, keys = general.sum_question(language, "held_out", rng, seed, pair)
            yield Turn("sum", language, as_typed(text, language, rng), answer, keys)


def held_out(seed: int = SEED) -> list[Dialogue]:
    """The dialogues of the evaluation, always the same for a seed."""
    rng = random.Random(seed + 1)
    turns = list(_kept_back_help("held_out", rng, seed)) + list(_held_out_sums(rng, seed))
    counts = {"unknown": 150, "small_talk": 20, "fact": 30, "difference": 20, "copy": 25, "reverse": 25, "order": 20,
              "capital": 20, "near": 150}  # fmt: skip
    for kind, count in counts.items():
        turns += [turn_of(kind, language, "held_out", rng, seed) for language in LANGUAGES for _ in range(count)]
    trained = _trained_questions(seed)
    return [Dialogue((turn,)) for turn in turns if normal(turn.question) not in trained]


def validation(seed: int = SEED) -> list[Dialogue]:
    """Questions to look at while the data is made: of patterns neither trained on nor judged by."""
    rng = random.Random(seed + 2)
    turns = list(_kept_back_help("validation", rng, seed))
    turns += [turn_of(kind, language, "validation", rng, seed)
              for kind in ("unknown", "sum", "near") for language in LANGUAGES for _ in range(60)]  # fmt: skip
    return [Dialogue((turn,)) for turn in turns]
