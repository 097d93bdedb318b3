"""Questions about the service that no topic answers, next to those that one does: they too must be declined.

Without them the model takes any question about a server for the topic that shares most words with it. There are two
kinds: templates filled from long word lists, and, to train on alone, questions of the topics whose telling words are
replaced by those of the lists.
"""

from __future__ import annotations

import functools
import random
import re
from collections import Counter

from training.demo import unanswerable
from training.demo.phrases import draw, frame, patterns, split_of
from training.demo.synonyms import FRAME_WORDS
from training.demo.text import sections, words
from training.demo.topics import TOPICS

ANSWERS = {
    "en": "I don't know. Perhaps the pages in docs/ tell; `python run.py doctor` looks for faults.",
    "zh": "我不知道。也许 docs/ 里的文档有说明；`python run.py doctor` 会查找故障。",
}
TAUGHT_WORDS = frozenset({"engine", "memory", "Shell", "Apple"})  # among those that fill other questions
SWAP_SHARE = 0.25
STRANGE_SHARE = 0.25
TELLING, MOST_TELLING = 0.3, 0.6
SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[a-z0-9_/.@-]+")


def listed(slot: str, language: str) -> list[str]:
    """Every word for a slot."""
    return " | ".join(sections(f"near_words.{language}")[slot]).split(" | ")


@functools.cache
def words_of(slot: str, language: str, split: str, seed: int) -> tuple[str, ...]:
    """The words for a slot that belong to a part of the split."""
    return tuple(split_of(listed(slot, language), split, seed, language, "near", slot))


@functools.cache
def templates(language: str, split: str, seed: int) -> tuple[str, ...]:
    """The templates that belong to a part of the split."""
    return tuple(split_of(sections(f"near.{language}")["questions"], split, seed, language, "near"))


def _strange(language: str, seed: int, rng: random.Random) -> str:
    """A word that no list has, or one of anything but software: words it will never have seen must be declined too."""
    if rng.random() < 0.4:
        return unanswerable.junk(language, rng)
    slot = rng.choice(("thing", "company", "food", "field", "word"))
    known = split_of(words(f"fillers.{language}", slot), "train", seed, language, slot)
    return rng.choice([word for word in known if word not in TAUGHT_WORDS]).replace("-", " ")


def _word(slot: str, language: str, split: str, rng: random.Random, seed: int) -> str:
    if split == "train" and slot not in ("misc", "symp", "amt", "verb", "act", "adj") and rng.random() < STRANGE_SHARE:
        return _strange(language, seed, rng)
    return rng.choice(words_of(slot, language, "held_out" if split == "held_out" else "train", seed))


def _filled(language: str, split: str, rng: random.Random, seed: int) -> str:
    template = rng.choice(templates(language, split, seed))
    return draw(SLOT.sub(lambda match: _word(match[1], language, split, rng, seed), template), rng)


@functools.cache
def _shares(seed: int) -> dict[tuple[str, str], float]:
    """How much of what a word stands in belongs to a topic: (topic, word) to 0 .. 1."""
    found: Counter[tuple[str, str]] = Counter()
    everywhere: Counter[str] = Counter()
    for topic in TOPICS:
        for taught in patterns(topic.id, "en", "train", seed).values():
            for pattern in taught:
                present = set(_WORD.findall(pattern.lower())) - FRAME_WORDS
                found.update((topic.id, word) for word in present)
                everywhere.update(present)
    return {(topic, word): count / everywhere[word] for (topic, word), count in found.items()}


def _swapped(rng: random.Random, seed: int) -> str | None:
    """A topic's question with other things where its telling words were; none where it has no word that tells much."""
    topic = rng.choice(TOPICS).id
    forms = patterns(topic, "en", "train", seed)
    form = rng.choice(list(forms))
    text = draw(rng.choice(forms[form]), rng)
    shares = [_shares(seed).get((topic, word.lower()), 0.0) for word in text.split()]
    if max(shares) < MOST_TELLING:
        return None
    said: list[str] = []
    for word, share in zip(text.split(), shares, strict=True):
        if share < TELLING:
            said.append(word)
        elif not said or said[-1]:
            said.append("")
    other = [_word(rng.choice(("opt", "feat", "data", "soft", "concept")), "en", "train", rng, seed) for _ in said]
    question = " ".join(word or new for word, new in zip(said, other, strict=True))
    return frame(question, form, "en", "train", rng, seed)


def question(language: str, split: str, rng: random.Random, seed: int) -> str:
    """A question near a topic; held-out ones use unseen templates and unseen words."""
    swapped = None
    if split == "train" and language == "en" and rng.random() < SWAP_SHARE:
        swapped = _swapped(rng, seed)
    return swapped or _filled(language, split, rng, seed)
