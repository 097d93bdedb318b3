"""Small talk and small knowledge: greetings, one-digit sums, copying and reversing, days, capitals, short facts."""

from __future__ import annotations

import random

from training.demo.phrases import expand, split_of
from training.demo.text import sections, words

Ask = tuple[str, str, tuple[str, ...]]
"""A question, its answer and the strings a right answer holds."""


def exchange(table: str, language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """One of the fixed exchanges of a file; the ways to say it are split."""
    title, listed = rng.choice(list(sections(f"{table}.{language}").items()))
    answer, key = title.split(" | ")
    texts = split_of(listed, split, seed, language, answer)
    return rng.choice(expand(rng.choice(texts))), answer, (key,)


def template(kind: str, language: str, split: str, rng: random.Random, seed: int) -> str:
    """One of the templates of an exercise, of the split's part."""
    texts = sections(f"exercises.{language}")[kind]
    return rng.choice(split_of(texts, split, seed, language, texts[0]))


def sum_question(language: str, split: str, rng: random.Random, seed: int, pair: tuple[int, int] | None = None) -> Ask:
    """A one-digit sum."""
    a, b = pair or (rng.randint(0, 9), rng.randint(0, 9))
    names, things = (words(f"words.{language}", section) for section in ("people", "things"))
    (p, q), (n, m) = rng.sample(names, 2), rng.sample(things, 2)
    text = template("sum", language, split, rng, seed).format(a=a, b=b, p=p, q=q, n=n, m=m)
    return text, f"{a} + {b} = {a + b}", (f"= {a + b}\n",)


def difference_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """A one-digit difference that is not negative."""
    b, a = sorted((rng.randint(0, 9), rng.randint(0, 9)))
    text = template("difference", language, split, rng, seed).format(a=a, b=b)
    return text, f"{a} - {b} = {a - b}", (f"= {a - b}\n",)


def _word(split: str, rng: random.Random, seed: int) -> str:
    """A listed word, or in training often a made-up one, so that copying is learned and not the list."""
    if split == "train" and rng.random() < 0.6:
        return "".join(rng.choice("bcdfghklmnprstvw") + rng.choice("aeiou") for _ in range(rng.randint(1, 3)))
    return rng.choice(split_of(words("words.en", "copied"), split, seed, "words"))


def copy_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """A short word to copy; a space stands before it on both sides, so that its tokens are the same."""
    word = _word(split, rng, seed)
    answer = f"The word is {word}." if language == "en" else f"这个词是 {word}。"
    return template("copy", language, split, rng, seed).format(w=word), answer, (f" {word}",)


def reverse_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """A short word to reverse; the answer spells it first, letter by letter, which makes the task learnable."""
    word = _word(split, rng, seed)
    backwards = "→ " + " ".join(word[::-1])
    answer = f"{' '.join(word)} {backwards}"
    return template("reverse", language, split, rng, seed).format(w=word), answer, (backwards,)


def order_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """What comes after or before a day or a month."""
    which, step = rng.randrange(2), rng.choice((1, -1))
    sequence = words(f"words.{language}", ("days", "months")[which])
    i = rng.randrange(len(sequence))
    text = template("after" if step == 1 else "before", language, split, rng, seed)
    answer = sequence[(i + step) % len(sequence)]
    return text.format(x=sequence[i], kind=("day", "month")[which]), answer, (answer,)


def capital_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """The capital of a well-known country."""
    country, capital = rng.choice(words(f"words.{language}", "capitals")).replace("-", " ").split(":")
    text = template("capital", language, split, rng, seed).format(x=country)
    if language == "zh":
        return text, f"{country}的首都是{capital}。", (capital,)
    return text, f"The capital of {country} is {capital}.", (capital,)
