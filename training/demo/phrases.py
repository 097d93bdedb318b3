"""Paraphrases of a help topic: draws from `{a|b}` patterns, puts them in question frames, keeps some of both back."""

from __future__ import annotations

import functools
import itertools
import random
import re
import zlib
from collections.abc import Sequence
from typing import TypeVar

from training.demo.text import sections
from training.demo.topics import TOPICS

T = TypeVar("T")

HELD_OUT_SHARE = 0.15
VALIDATION_SHARE = 0.03
_SLOT = re.compile(r"\{([^{}]*)\}")

SHARED = {
    "@svc": "the service|the server|stoker|it",
    "@opt": "setting|variable|option|parameter|environment variable",
    "@ep": "endpoint|route|url|path|address",
}


def _choices(pattern: str) -> list[list[str]]:
    """The alternatives of each part of a pattern."""
    parts = _SLOT.split(pattern)
    slots = [SHARED.get(part, part).split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return [[choice.lstrip() if len(slot) > 1 else choice for choice in slot] for slot in slots]


def _joined(parts: Sequence[str]) -> str:
    return " ".join("".join(parts).split())


def expand(pattern: str) -> list[str]:
    """Every text that a pattern stands for."""
    return [_joined(parts) for parts in itertools.product(*_choices(pattern))]


def draw(pattern: str, rng: random.Random) -> str:
    """One of the texts that a pattern stands for."""
    return _joined([rng.choice(slot) for slot in _choices(pattern)])


def _mark(*key: object) -> float:
    """A number from 0 to 1 that depends on nothing but the key (str hashing is salted, crc32 is not)."""
    return zlib.crc32(repr(key).encode()) / 2**32


def split_of(items: Sequence[T], split: str, *key: object) -> list[T]:
    """The train, validation or held-out part of a list.

    Each item draws for itself, so a longer list moves none of the others. At least one item is held out of a list of
    three or more.
    """
    marks = [_mark(*key, item) for item in items]
    border = max(HELD_OUT_SHARE, min(marks)) if len(items) >= 3 else HELD_OUT_SHARE

    def part(mark: float) -> str:
        if mark <= border:
            return "held_out"
        return "validation" if mark > 1 - VALIDATION_SHARE else "train"

    return [item for item, mark in zip(items, marks, strict=True) if part(mark) == split]


@functools.cache
def patterns(topic: str, language: str, split: str, seed: int) -> dict[str, tuple[str, ...]]:
    """The patterns of one topic by form; a whole pattern is trained on, or validated with, or held out."""
    wording = next(each for each in TOPICS if each.id == topic).wordings[language]
    found = {
        form: tuple(split_of(patterns, split, seed, topic, language, form))
        for form, patterns in wording.patterns.items()
    }
    return {form: chosen for form, chosen in found.items() if chosen}


def frame(text: str, form: str, language: str, split: str, rng: random.Random, seed: int) -> str:
    """A phrase as a question; frames are split as the patterns are, but too few to have some for validation."""
    if form == "ask":
        return text
    listed = sections(f"frames.{language}")[form]
    frames = split_of(listed, "held_out", seed, language, form)
    if split != "held_out":
        frames = [each for each in listed if each not in frames]
    return rng.choice(frames).format(text)
