"""The help topics of the demo model: what people ask about Stoker and the answers, from `text/topics.*.txt`."""

from __future__ import annotations

from dataclasses import dataclass

from training.demo.text import LANGUAGES, sections

FORMS = ("ask", "do", "about")


@dataclass(frozen=True)
class Wording:
    """A topic in one language: the answer taught, the strings of a right answer, patterns of questions by form."""

    answer: str
    keys: tuple[str, ...]
    patterns: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Topic:
    """One thing the model is taught."""

    id: str
    wordings: dict[str, Wording]


def _wording(topic: str, language: str) -> Wording:
    found = sections(f"topics.{language}")
    patterns = {form: found[f"{topic} {form}"] for form in FORMS if f"{topic} {form}" in found}
    return Wording(found[f"{topic} answer"][0], found[f"{topic} keys"], patterns)


def _ids() -> list[str]:
    return [section.removesuffix(" answer") for section in sections("topics.en") if section.endswith(" answer")]


TOPICS = tuple(Topic(topic, {language: _wording(topic, language) for language in LANGUAGES}) for topic in _ids())
