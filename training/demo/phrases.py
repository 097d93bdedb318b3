"""Paraphrases of a help topic: draws from `{a|b}` patterns, puts them in question frames, keeps some of both back."""

from __future__ import annotations

import functools
import itertools
import random
import re
import zlib
from collections.abc import Sequence
from typing import TypeVar

from training.demo import wider_en, wider_zh
from training.demo.facts import TOPICS, Phrases

T = TypeVar("T")

HELD_OUT_SHARE = 0.15
VALIDATION_SHARE = 0.03
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
            "how does one {}",
            "how might i {}",
            "how could i {}",
            "how can we {}",
            "how shall i {}",
            "what do i need to {}",
            "what should i do to {}",
            "what is needed to {}",
            "what's the way to {}",
            "what command do i use to {}",
            "which command do i need to {}",
            "tell me how to {}",
            "can you explain how to {}",
            "can you show me how to {}",
            "could you tell me how to {}",
            "would you tell me how i can {}",
            "i have to {}",
            "i must {}",
            "i wish to {}",
            "we want to {}",
            "we need to {}",
            "my boss wants me to {}",
            "i can't {}",
            "i cannot {}",
            "am i able to {}",
            "are we able to {}",
            "could i {}",
            "may i {}",
            "is it easy to {}",
            "is it allowed to {}",
            "any way to {}",
            "a way to {}",
            "instructions to {}",
            "steps to {}",
            "the best way to {}",
            "the command to {}",
            "let me {}",
            "i'm looking for a way to {}",
            "i'm wondering how to {}",
            "i wonder how to {}",
            "i forgot how to {}",
            "what if i want to {}",
            "why can't i {}",
            "where do i {}",
            "when i want to {}, what do i do",
            "in order to {}, what must i do",
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
            "more about {}",
            "something about {}",
            "describe {}",
            "what is there to know about {}",
            "what do i need to know about {}",
            "what should i know about {}",
            "can you tell me about {}",
            "can you explain {}",
            "could you explain {}",
            "please explain {}",
            "please tell me about {}",
            "i need information about {}",
            "i need info on {}",
            "give me information about {}",
            "i would like to know about {}",
            "i'd like to hear about {}",
            "a question about {}",
            "question: {}",
            "question regarding {}",
            "i am interested in {}",
            "and {}",
            "{} please",
            "{} help",
            "details on {}",
            "documentation on {}",
            "is there something about {}",
            "i don't understand {}",
            "teach me about {}",
            "let's talk about {}",
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
            "怎么样{}",
            "怎样可以{}",
            "如何才能{}",
            "要怎么{}",
            "应该怎么{}",
            "该如何{}",
            "我要怎么{}",
            "我怎么{}",
            "我如何{}",
            "我们怎么{}",
            "我想知道怎么{}",
            "我不知道怎么{}",
            "我不会{}",
            "我无法{}",
            "能不能{}",
            "能{}吗",
            "可不可以{}",
            "有办法{}吗",
            "有没有办法{}",
            "{}怎么弄",
            "{}怎么操作",
            "{}要怎么做",
            "{}用什么命令",
            "{}的步骤",
            "{}的命令",
            "请教一下怎么{}",
            "麻烦告诉我怎么{}",
            "请说明如何{}",
            "告诉我如何{}",
            "想要{}",
            "如果要{}怎么办",
            "为了{}要做什么",
            "需要做什么才能{}",
            "请帮我{}",
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
            "{}是怎么回事",
            "{}的说明",
            "{}的信息",
            "说一下{}",
            "解释{}",
            "解释一下{}",
            "请介绍{}",
            "请讲一下{}",
            "能介绍一下{}吗",
            "能说说{}吗",
            "我对{}有疑问",
            "我不懂{}",
            "想问{}",
            "问一下{}",
            "{}怎么样",
            "有关{}",
            "{}相关的问题",
            "谈谈{}",
            "{}呢",
        ),
    },
}


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


def said_of(topic: str, language: str) -> tuple[Phrases, Phrases]:
    """What is listed for a topic beside its facts, and the wider wordings."""
    found = next(each for each in TOPICS if each.id == topic)
    if language == "en":
        return found.en, wider_en.WIDER[topic]
    return found.zh, wider_zh.WIDER[topic]


def lines(block: str) -> list[str]:
    """The patterns of a block, one a line."""
    return [line.strip() for line in block.splitlines() if line.strip()]


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
    found = {}
    for form in ("ask", "do", "about"):
        block = "\n".join(getattr(phrases, form) for phrases in said_of(topic, language))
        chosen = split_of(list(dict.fromkeys(lines(block))), split, seed, topic, language, form)
        if chosen:
            found[form] = tuple(chosen)
    return found


def frame(text: str, form: str, language: str, split: str, rng: random.Random, seed: int) -> str:
    """A phrase as a question; frames are split as the patterns are, but too few to have some for validation."""
    if form == "ask":
        return text
    frames = split_of(FRAMES[language][form], "held_out", seed, language, form)
    if split != "held_out":
        frames = [each for each in FRAMES[language][form] if each not in frames]
    return rng.choice(frames).format(text)
