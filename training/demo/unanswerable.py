"""Questions that the demo model must decline: many templates filled from large word lists, so the class is learned."""

from __future__ import annotations

import random

from training.demo.phrases import split_of
from training.demo.text import sections, words

ANSWERS = {
    "en": "I don't know. I am only a small demo model.",
    "zh": "我不知道。我只是一个小型演示模型。",
}
KEYS = {"en": "I don't know", "zh": "我不知道"}


def _number(slot: str, rng: random.Random) -> str:
    ranges = {"big": (11, 9999), "digit": (2, 9), "year": (800, 2020), "future": (2030, 2200)}
    return str(rng.randint(*ranges[slot]))


def junk(language: str, rng: random.Random) -> str:
    """A pronounceable word that means nothing; in Chinese, now and then, a few unrelated characters."""
    if language == "zh" and rng.random() < 0.7:
        characters = "".join(words("syllables", "characters"))
        return "".join(rng.choice(characters) for _ in range(rng.randint(1, 3)))
    onsets, nuclei, codas = (words("syllables", part) for part in ("onsets", "nuclei", "codas"))
    word = "".join(rng.choice(onsets) + rng.choice(nuclei) for _ in range(rng.randint(1, 2)))
    return word + rng.choice(codas)


def _fill(slot: str, language: str, split: str, rng: random.Random, seed: int) -> str:
    if slot == "junk":
        return junk(language, rng)
    if slot not in sections(f"fillers.{language}"):
        return _number(slot, rng)
    if split == "train" and rng.random() < 0.3:  # words it will never have seen must also be declined
        return junk(language, rng)
    part = "held_out" if split == "held_out" else "train"
    return rng.choice(split_of(words(f"fillers.{language}", slot), part, seed, language, slot)).replace("-", " ")


def question(language: str, split: str, rng: random.Random, seed: int) -> str:
    """A question nobody taught the model to answer; held-out ones use unseen templates and unseen fillers."""
    listed = sections(f"unanswerable.{language}")
    templates = split_of(listed["questions"], split, seed, language, "templates")
    template = rng.choice([*templates, *listed["train only"]] if split == "train" else templates)
    filled = []
    for i, part in enumerate(template.replace("}", "{").split("{")):
        filled.append(_fill(part, language, split, rng, seed) if i % 2 else part)
    return "".join(filled)
