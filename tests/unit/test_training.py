"""The demo model's training data: what is kept back is never taught; a longer list moves nothing across the split."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from typing import Any, get_args

import pytest

from src import logs
from src.api.openai.schemas import ChatCompletionRequest
from src.settings import ROOT, Settings
from tests import names
from training.demo import near, newcomers, phrases, unanswerable
from training.demo.dialogues import SEED, normal, training
from training.demo.text import FOLDER, LANGUAGES, sections
from training.demo.topics import FORMS, TOPICS

KEPT_BACK = ("validation", "held_out")
TAUGHT = (
    "3c30212bf9980b5cdfc287b3371e9eb0b396df45dacce7fda3e13f8ead62910b"  # sha256 of the seed's first 2,000 dialogues
)
ANSWERS = {
    f"{topic.id}.{language}": topic.wordings[language].answer
    for topic, language in itertools.product(TOPICS, LANGUAGES)
} | {f"near.{language}": near.ANSWERS[language] for language in LANGUAGES}


def _choices(setting: str) -> tuple[str, ...]:
    return get_args(Settings.model_fields[setting].annotation)


def _exists(span: str) -> bool:
    """Whether what an answer names is there: a command, route, setting, choice, file, address, field or package."""
    settings = Settings(_env_file=None)
    address = f"http://{settings.host}:{settings.port}"
    if span.startswith("docker build -f "):
        return (ROOT / span.split()[3]).is_file()
    if span.startswith("curl "):
        return names.route_exists("POST " + span.split(address)[1])
    return (
        names.command_exists(span)
        or names.route_exists(span)
        or names.setting_exists(span)
        or span in {*_choices("inference_engine"), *_choices("log_level"), address, f"{address}/v1", "Retry-After"}
        or span == "git pull"
        or span in {".env", ".env.example", f"{settings.log_dir}/", *logs.FILES.values(), "logs/errors.log"}
        or (span.startswith('"') and span.split('"')[1] in ChatCompletionRequest.model_fields)
        or f"\n{span}>=" in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_names_exists(answer: str) -> None:
    """Routes, settings and commands that the demo model tells people are those of this checkout."""
    assert [span for span in names.spans(answer) if not _exists(span)] == []


def test_the_defaults_in_the_answers_are_the_settings_defaults() -> None:
    """A number that an answer calls a default is the one of the setting it names."""
    found = [answer for answer in ANSWERS.values() if "by default" in answer]
    assert len(found) == 2
    for answer in found:
        setting = next(span for span in names.spans(answer) if names.setting_exists(span)).lower()
        assert re.findall(r"\b\d+\b", answer) == [str(Settings.model_fields[setting].default)]


def test_the_training_data_is_unchanged() -> None:
    """A changed phrase asks for a new model: train it, then write the new digest here."""
    found = hashlib.sha256()
    for dialogue in itertools.islice(training(SEED), 2000):
        found.update(repr(dialogue).encode())
    assert found.hexdigest() == TAUGHT


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_a_file_of_phrases_has_no_empty_section_and_no_line_twice(path: Any) -> None:
    """A line that stands twice would be drawn twice as often."""
    found = sections(path.stem)
    assert found
    for section, lines in found.items():
        assert lines, section
        assert len(set(lines)) == len(lines), section


def test_a_longer_list_moves_nothing_across_the_split() -> None:
    """Wordings can be added while the held-out ones stay unseen."""
    items = [f"wording {number}" for number in range(40)]
    for split in ("train", *KEPT_BACK):
        before = phrases.split_of(items, split, 1, "key")
        after = phrases.split_of([*items, "one more", "and another"], split, 1, "key")
        assert [item for item in after if item in items] == before


@pytest.mark.parametrize("topic", [topic.id for topic in TOPICS])
def test_a_topic_is_taught_and_judged_in_both_languages(topic: str) -> None:
    """Every topic has patterns to learn and patterns held out."""
    for language in LANGUAGES:
        taught = phrases.patterns(topic, language, "train", SEED)
        judged = phrases.patterns(topic, language, "held_out", SEED)
        assert sum(map(len, taught.values())) >= 8
        assert sum(map(len, judged.values())) >= 1


def test_no_phrase_that_is_kept_back_is_trained_on() -> None:
    """Two patterns may stand for the same text: it is then not taught."""
    kept_back = {
        normal(text)
        for topic, language, split in itertools.product(TOPICS, LANGUAGES, KEPT_BACK)
        for pattern in phrases.patterns(topic.id, language, split, SEED).get("ask", ())
        for text in phrases.expand(pattern)
    }
    taught = {normal(turn.question) for each in itertools.islice(training(), 3000) for turn in each.turns}
    assert len(kept_back) > 1000
    assert not taught & kept_back


def test_the_same_seed_gives_the_same_dialogues() -> None:
    """Data and order come from the seed alone."""
    first, second = (list(itertools.islice(training(SEED), 300)) for _ in range(2))
    assert first == second
    assert first != list(itertools.islice(training(SEED + 1), 300))


def test_the_quick_swiglu_is_the_usual_one() -> None:
    """Values and gradients of training differ from the model's own by less than a float16 weight can tell."""
    from src.gpu import blas

    blas.preload()  # before anything imports MLX
    import mlx.core as mx
    from mlx import nn

    from training.demo.swiglu import swiglu

    gate, x = mx.random.normal((64, 96)) * 4, mx.random.normal((64, 96))

    def quick(gate: mx.array, x: mx.array) -> Any:
        return (swiglu(gate, x) * x).sum()

    def usual(gate: mx.array, x: mx.array) -> Any:
        return (nn.silu(gate) * x * x).sum()

    assert mx.allclose(swiglu(gate, x), nn.silu(gate) * x, atol=5e-4)
    found: Any = mx.grad(quick, (0, 1))(gate, x)
    expected: Any = mx.grad(usual, (0, 1))(gate, x)
    for number in (0, 1):
        assert mx.allclose(found[number], expected[number], atol=2e-3)


def test_no_question_of_the_newcomers_is_taught() -> None:
    """Nor held out: neither a whole pattern nor one in a frame makes it. Spaces and punctuation do not count."""
    asked = [question for name in newcomers.LISTS for question in newcomers.questions(name)]
    wanted = {normal(question.text): question.text for question in asked}
    made = {form: _expanded(form) for form in FORMS}
    framed = {
        question
        for question in wanted
        for form in FORMS[1:]
        for frame in sections("frames.en")[form]
        if (inner := _inside(question, *map(normal, frame.split("{}")))) is not None and inner in made[form]
    }
    assert len(wanted) == 38 + 46 + 32
    assert framed | (wanted.keys() & made["ask"]) == set()


def test_no_question_of_the_newcomers_is_taught_to_be_declined() -> None:
    """Nor is one made of a template of near questions and a word of its lists."""
    asked = {normal(question.text) for name in newcomers.LISTS for question in newcomers.questions(name)}
    found = []
    for template in sections("near.en")["questions"]:
        words = [{normal(word) for word in near.listed(slot, "en")} for slot in near.SLOT.findall(template)]
        for text in phrases.expand(near.SLOT.sub("SLOT", template)):
            form = re.compile("(.+)".join(re.escape(normal(part)) for part in text.split("SLOT")))
            filled = [match.groups() for question in asked if (match := form.fullmatch(question))]
            found += [said for said in filled if all(word in known for word, known in zip(said, words, strict=True))]
    assert found == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_question_near_a_topic_is_one_of_a_topic(language: str) -> None:
    """What is taught to be declined is nothing that is taught to be answered."""
    rng = random.Random(1)
    declined = {
        normal(near.question(language, split, rng, SEED)) for split in ("train", "held_out") for _ in range(1500)
    }
    answered = {
        normal(text)
        for topic in TOPICS
        for pattern in topic.wordings[language].patterns.get("ask", ())
        for text in phrases.expand(pattern)
    }
    assert len(declined) > 1500
    assert not declined & answered


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_near_a_topic_are_judged_with_templates_and_words_of_their_own(language: str) -> None:
    """Neither half of a held-out question is taught."""
    pairs = [(near.templates(language, "train", SEED), near.templates(language, "held_out", SEED))]
    pairs += [
        (near.words_of(slot, language, "train", SEED), near.words_of(slot, language, "held_out", SEED))
        for slot in sections(f"near_words.{language}")
    ]
    for taught, judged in pairs:
        assert taught
        assert judged
        assert not set(taught) & set(judged)


def test_a_question_near_a_topic_is_declined_as_any_other() -> None:
    """The judge of newcomers' questions knows both answers."""
    for language in LANGUAGES:
        assert unanswerable.KEYS[language] in near.ANSWERS[language]


def _expanded(form: str) -> frozenset[str]:
    found = (topic.wordings["en"].patterns.get(form, ()) for topic in TOPICS)
    return frozenset(normal(text) for pattern in itertools.chain(*found) for text in phrases.expand(pattern))


def _inside(question: str, before: str, after: str) -> str | None:
    """What stands in a frame's place, where the question has that frame."""
    whole = question.startswith(before) and question.endswith(after) and len(question) > len(before) + len(after)
    return question[len(before) : len(question) - len(after)] if whole else None


def test_a_wrong_answer_that_names_a_command_is_told_apart() -> None:
    """It is acted on; declining is no fault, and a question without a right answer is only declined rightly."""
    known, unknown = newcomers.Question("start", ("make serve",)), newcomers.Question("why", ())
    assert known.verdict("Run `make serve`.") == "right"
    assert known.verdict("Run `make test`.") == unknown.verdict("Run `make serve`.") == "wrong on a command"
    assert known.verdict("I don't know. I am small.") == unknown.verdict("I don't know.") == "declined"
    assert known.verdict("Just so.") == "wrong"
