"""Dialogues the demo model learns from and is judged by, from a seed; train and held-out phrasings never meet."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.recipe import general, unanswerable
from models.recipe.facts import TOPICS, Topic
from models.recipe.noise import as_typed
from models.recipe.phrases import frame, phrasings
from models.recipe.synonyms import vary

SEED = 7
LANGUAGES = ("en", "zh")


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
WEIGHTS = {
    "help": 46,
    "unknown": 26,
    "small_talk": 5,
    "fact": 4,
    "sum": 11,
    "difference": 2,
    "copy": 1,
    "reverse": 1,
    "order": 2,
    "capital": 2,
}


def normal(text: str) -> str:
    """A question without case, punctuation and spaces, to compare two of them."""
    return re.sub(r"\W", "", text.lower())


@functools.cache
def _held_out_phrases(seed: int) -> frozenset[str]:
    """Every help phrase that is held out, to keep swapped words from making one of them."""
    found: set[str] = set()
    for topic in TOPICS:
        for language, phrases in (("en", topic.en), ("zh", topic.zh)):
            for texts in phrasings(phrases, language, "held_out", topic.id, seed).values():
                found.update(normal(text) for text in texts)
    return frozenset(found)


def _train_phrase(texts: tuple[str, ...], language: str, rng: random.Random, seed: int) -> str:
    """A phrase to train on, varied half of the time, that is none of the held-out ones."""
    while True:
        text = rng.choice(texts)
        if rng.random() < 0.6:
            text = vary(text, language, rng)
        if normal(text) not in _held_out_phrases(seed):
            return text


def _help(topic: Topic, language: str, question: str) -> Turn:
    return Turn(f"help:{topic.id}", language, question, topic.answer(language), topic.keys(language))


def help_turn(language: str, split: str, rng: random.Random, seed: int) -> Turn:
    """A question about the service."""
    topic = rng.choice(TOPICS)
    forms = phrasings(topic.en if language == "en" else topic.zh, language, split, topic.id, seed)
    form = rng.choices(list(forms), [len(texts) ** 0.5 for texts in forms.values()])[0]
    phrase = _train_phrase(forms[form], language, rng, seed) if split == "train" else rng.choice(forms[form])
    return _help(topic, language, as_typed(frame(phrase, form, language, split, rng, seed), language, rng))


def turn_of(kind: str, language: str, split: str, rng: random.Random, seed: int) -> Turn:
    """A turn of one kind."""
    if kind == "help":
        return help_turn(language, split, rng, seed)
    if kind == "unknown":
        text = unanswerable.question(language, split, rng, seed)
        found: general.Ask = (text, unanswerable.ANSWERS[language], (unanswerable.KEYS[language],))
    elif kind in SIMPLE:
        found = SIMPLE[kind](language, split, rng, seed)
    else:
        table = general.SMALL_TALK if kind == "small_talk" else general.FACTS
        found = general.exchange(table, language, split, rng, seed)
    exact = kind in ("copy", "reverse")
    question = found[0] if exact else as_typed(found[0], language, rng)
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


def _trained_questions(seed: int, count: int = 30_000) -> set[str]:
    """Questions of the first training dialogues: two templates can differ in nothing but a space."""
    dialogues = itertools.islice(training(seed), count)
    return {normal(turn.question) for dialogue in dialogues for turn in dialogue.turns}


def _held_out_help(rng: random.Random, seed: int, each: int) -> Iterator[Turn]:
    """For every topic, language and form, a few held-out phrases."""
    for topic in TOPICS:
        for language, phrases in (("en", topic.en), ("zh", topic.zh)):
            for form, texts in phrasings(phrases, language, "held_out", topic.id, seed).items():
                for text in rng.sample(texts, min(each, len(texts))):
                    question = frame(text, form, language, "held_out", rng, seed)
                    yield _help(topic, language, as_typed(question, language, rng))


def _held_out_sums(rng: random.Random, seed: int) -> Iterator[Turn]:
    """Every pair of digits, in both languages, in phrasings never trained on."""
    for language in LANGUAGES:
        for pair in ((a, b) for a in range(10) for b in range(10)):
            text, answer, keys = general.sum_question(language, "held_out", rng, seed, pair)
            yield Turn("sum", language, as_typed(text, language, rng), answer, keys)


def held_out(seed: int = SEED, each: int = 2) -> list[Dialogue]:
    """The dialogues of the evaluation, always the same for a seed."""
    rng = random.Random(seed + 1)
    turns = list(_held_out_help(rng, seed, each)) + list(_held_out_sums(rng, seed))
    counts = {"unknown": 150, "small_talk": 20, "fact": 30, "difference": 20, "copy": 25, "reverse": 25, "order": 20,
              "capital": 20}  # fmt: skip
    for kind, count in counts.items():
        turns += [turn_of(kind, language, "held_out", rng, seed) for language in LANGUAGES for _ in range(count)]
    trained = _trained_questions(seed)
    return [Dialogue((turn,)) for turn in turns if normal(turn.question) not in trained]
