"""Other words for the words of a training question, and words left out: held-out phrases use words no list foresees."""

from __future__ import annotations

import random
import re

from training.demo.text import LANGUAGES, sections, words

SWAP_SHARE = 0.4
DROP_SHARE = 0.1
LOSE_SHARE = 0.02
KEY_WORDS_SHARE = 0.08


def _alternatives(language: str) -> dict[str, list[str]]:
    """What may stand for each word."""
    pairs = (line.split(": ") for line in sections(f"synonyms.{language}")["words"])
    return {word: choices.split(", ") for word, choices in pairs}


ALTERNATIVES = {language: _alternatives(language) for language in LANGUAGES}
SMALL_WORDS = frozenset(words("words.en", "small"))
FRAME_WORDS = SMALL_WORDS | frozenset(words("words.en", "frame"))
_ZH_FRAME = re.compile("|".join(words("words.zh", "frame")))
_ZH = re.compile("(" + "|".join(sorted(ALTERNATIVES["zh"], key=len, reverse=True)) + ")")


def _other(word: str, choices: list[str], rng: random.Random) -> str:
    return word if rng.random() >= SWAP_SHARE else rng.choice(choices)


def _english(text: str, rng: random.Random) -> str:
    table = ALTERNATIVES["en"]
    kept = [word for word in text.split() if rng.random() >= (DROP_SHARE if word in SMALL_WORDS else LOSE_SHARE)]
    return " ".join(_other(word, table[word], rng) if word in table else word for word in kept)


def _chinese(text: str, rng: random.Random) -> str:
    table = ALTERNATIVES["zh"]
    return _ZH.sub(lambda match: _other(match[0], table[match[0]], rng), text)


def _key_words(text: str, language: str) -> str:
    """The words that carry the meaning, as one types them into a search box."""
    if language == "zh":
        return _ZH_FRAME.sub("", text)
    return " ".join(word for word in text.split() if word not in FRAME_WORDS)


def vary(text: str, language: str, rng: random.Random) -> str:
    """The phrase with some words swapped or left out; never empty."""
    varied = (_english if language == "en" else _chinese)(text, rng)
    if rng.random() < KEY_WORDS_SHARE:
        bare = _key_words(varied, language)
        varied = bare if len(bare) > 3 else varied
    return varied or text
