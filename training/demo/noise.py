"""How people really type: greetings before a question, missing punctuation, odd case, a typo."""

from __future__ import annotations

import random

from training.demo.text import sections

PREFIXES = {
    "en": (
        "hi, ",
        "hello, ",
        "hey, ",
        "please, ",
        "ok, ",
        "so, ",
        "hello! ",
        "hi! ",
        "good morning, ",
        "excuse me, ",
        "quick question: ",
        "sorry, ",
        "um, ",
        "one more question: ",
        "and ",
    ),
    "zh": (
        "你好，",
        "您好，",
        "请问",
        "请问一下，",
        "想问一下，",
        "麻烦问一下，",
        "那么，",
        "嗨，",
        "问个问题，",
        "不好意思，",
    ),
}
SUFFIXES = {
    "en": ("?", "?", "?", "?", "", "", "", ".", " please", " please?", ", thanks", "? thanks", "??", "!", " ?"),
    "zh": ("？", "？", "？", "？", "", "", "", "。", "呢？", "，谢谢", "？谢谢", "?", "！"),
}


CONTEXT_SHARE = 0.1


def in_context(text: str, language: str, rng: random.Random) -> str:
    """Mostly the question alone, sometimes with what people write before or after one."""
    drawn, listed = rng.random(), sections(f"context.{language}")
    space = " " if language == "en" else ""
    if drawn < CONTEXT_SHARE:
        return rng.choice(listed["before"]) + space + text
    if drawn > 1 - CONTEXT_SHARE:
        return text + (rng.choice(("", ",")) if space else "") + space + rng.choice(listed["after"])
    return text


def typo(text: str, rng: random.Random) -> str:
    """One letter of one longer word lost, doubled or swapped with the next."""
    places = [i for i in range(1, len(text) - 2) if text[i - 1 : i + 2].isalpha() and text[i].isascii()]
    if not places:
        return text
    i = rng.choice(places)
    changed = (text[i + 1] + text[i], text[i + 1], text[i] * 2 + text[i + 1])
    return text[:i] + rng.choice(changed) + text[i + 2 :]


def case(text: str, rng: random.Random) -> str:
    """Mostly a capital first letter; sometimes all small, rarely all capitals."""
    draw = rng.random()
    if draw < 0.02:
        return text.upper()
    return text if draw < 0.35 else text[:1].upper() + text[1:]


def as_typed(text: str, language: str, rng: random.Random) -> str:
    """The question as a person might have typed it."""
    if language == "en" and rng.random() < 0.06:
        text = typo(text, rng)
    if rng.random() < 0.2:
        text = rng.choice(PREFIXES[language]) + text
    text += rng.choice(SUFFIXES[language])
    return case(text, rng)
