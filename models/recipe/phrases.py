"""Paraphrases of a help topic: expands `{a|b}` patterns, puts them in question frames, splits train from held-out."""

from __future__ import annotations

import functools
import itertools
import random
import re
import zlib
from collections.abc import Sequence
from typing import TypeVar

from models.recipe.facts import Phrases

T = TypeVar("T")

HELD_OUT_SHARE = 0.15
_SLOT = re.compile(r"\{([^{}]*)\}")

FRAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "do": (
            "how do i {}",
            "how can i {}",
            "how to {}",
            "how would i {}",
            "how do we {}",
            "how can one {}",
            "what is the way to {}",
            "i want to {}",
            "i would like to {}",
            "i need to {}",
            "i'd like to {}",
            "can you tell me how to {}",
            "could you explain how to {}",
            "please tell me how to {}",
            "help me {}",
            "explain how to {}",
            "what must i do to {}",
            "what do i have to do to {}",
            "is it possible to {}",
            "what's the best way to {}",
            "show me how to {}",
            "i don't know how to {}",
            "how should i {}",
            "do you know how to {}",
            "is there a way to {}",
            "can i {}",
            "{}",
            "where can i {}",
            "i am trying to {}",
        ),
        "about": (
            "tell me about {}",
            "what about {}",
            "{}",
            "explain {}",
            "i have a question about {}",
            "info on {}",
            "what do you know about {}",
            "i need help with {}",
            "what can you tell me about {}",
            "how about {}",
            "i want to know about {}",
            "information about {}",
            "help with {}",
        ),
    },
    "zh": {
        "do": (
            "怎么{}",
            "如何{}",
            "怎样{}",
            "我想{}",
            "我要{}",
            "请问怎么{}",
            "请问如何{}",
            "怎样才能{}",
            "怎么才能{}",
            "能告诉我怎么{}吗",
            "请告诉我如何{}",
            "{}",
            "{}怎么做",
            "我该怎么{}",
            "想{}应该怎么做",
            "可以{}吗",
            "{}的方法是什么",
            "帮我{}",
            "教我怎么{}",
            "我需要{}",
            "{}的办法",
            "在哪里{}",
        ),
        "about": (
            "{}",
            "介绍一下{}",
            "说说{}",
            "我想了解{}",
            "关于{}",
            "请解释一下{}",
            "我有个关于{}的问题",
            "讲讲{}",
            "请告诉我{}的情况",
            "我想知道{}",
            "{}方面有什么说明",
        ),
    },
}


def expand(pattern: str) -> list[str]:
    """Every text that a pattern stands for."""
    parts = _SLOT.split(pattern)
    choices = [[choice.lstrip() for choice in part.split("|")] if i % 2 else [part] for i, part in enumerate(parts)]
    return [" ".join("".join(combination).split()) for combination in itertools.product(*choices)]


def lines(block: str) -> list[str]:
    """The patterns of a block, one a line."""
    return [line.strip() for line in block.splitlines() if line.strip()]


def stable_random(*key: object) -> random.Random:
    """A generator that depends on nothing but the key (str hashing is salted, crc32 is not)."""
    return random.Random(zlib.crc32(repr(key).encode()))


def split_of(items: Sequence[T], split: str, *key: object) -> list[T]:
    """The train or held-out part of a list; at least one item is held out of a list of three or more."""
    held = max(1, round(len(items) * HELD_OUT_SHARE)) if len(items) >= 3 else 0
    chosen = set(stable_random(*key).sample(range(len(items)), held))
    return [item for i, item in enumerate(items) if (i in chosen) == (split == "held_out")]


@functools.cache
def phrasings(phrases: Phrases, language: str, split: str, topic: str, seed: int) -> dict[str, tuple[str, ...]]:
    """Expanded phrases of one topic by form; a whole pattern is either trained on or held out."""
    forms = {"ask": phrases.ask, "do": phrases.do, "about": phrases.about}
    found = {}
    for form, block in forms.items():
        patterns = split_of(lines(block), split, seed, topic, language, form)
        texts = tuple(text for pattern in patterns for text in expand(pattern))
        if texts:
            found[form] = texts
    return found


def frame(text: str, form: str, language: str, split: str, rng: random.Random, seed: int) -> str:
    """A phrase as a question; frames are split as the phrases are."""
    if form == "ask":
        return text
    frames = split_of(FRAMES[language][form], split, seed, language, form)
    return rng.choice(frames).format(text)
