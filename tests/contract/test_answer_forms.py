"""vLLM's and llama.cpp's words for the form of an answer, over HTTP, on a model with random weights that would like to
say something else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Service
from tests.contract.test_openai import start

SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
CHOICES = ["a/b", "c.d (e)", "好 ", "back\\slash", "two\nlines"]
LARK = 'start: "x" DIGIT DIGIT?\nDIGIT: /[0-9]/'
GBNF = 'root ::= "yes" | "no" tail\ntail ::= "!" [a-c]'
# fields, and what the answer must match
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "regex": ({"guided_regex": r"\d{3}-[a-f]{2}"}, r"\d{3}-[a-f]{2}"),
    "regex with slashes": ({"guided_regex": r"a/\d\/b"}, r"a/\d/b"),
    "regex of two parts": ({"structured_outputs": {"regex": "cat|dog"}}, "cat|dog"),
    "choice": ({"guided_choice": CHOICES}, "|".join(map(re.escape, CHOICES))),
    "one choice": ({"structured_outputs": {"choice": CHOICES[3:4]}}, re.escape(CHOICES[3])),
    "lark": ({"guided_grammar": LARK}, r"x\d\d?"),
    "gbnf": ({"structured_outputs": {"grammar": GBNF}}, "yes|no![abc]"),
    "llama.cpp's": ({"grammar": GBNF}, "yes|no![abc]"),
}
JSON_FORMS: list[dict[str, Any]] = [
    {"guided_json": SCHEMA},
    {"guided_json": json.dumps(SCHEMA)},
    {"structured_outputs": {"json": SCHEMA}},
    {"json_schema": SCHEMA},
]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"guided_json": "no schema"}, "guided_json"),
    ({"guided_json": {"not": {}}}, "guided_json"),
    ({"structured_outputs": {"json": {"not": {}}}}, "structured_outputs.json"),
    ({"guided_regex": "("}, "guided_regex"),
    ({"guided_grammar": "root ::= ("}, "guided_grammar"),
    ({"guided_grammar": "root ::= " + "(" * 5000}, "guided_grammar"),
    ({"guided_grammar": "start: nothing"}, "guided_grammar"),
    ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_choice"),
    ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "guided_regex"),
    ({"guided_regex": "a", "ignore_eos": True}, "ignore_eos"),
    ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs.choice"),
    ({"structured_outputs": {"structural_tag": "{}"}}, "structured_outputs.structural_tag"),
]


@pytest.fixture(scope="module")
def mlx(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from start("mlx", random_model, tmp_path_factory)


@pytest.mark.parametrize("name", FORMS)
def test_the_form_is_kept(name: str, mlx: Service) -> None:
    """On both routes; ended by the form, not cut."""
    fields, pattern = FORMS[name]
    for seed in range(3):
        chat = mlx.chat("hello", max_tokens=120, seed=seed, **fields)
        assert chat.status_code == 200, chat.text
        choice = chat.json()["choices"][0]
        body = {"prompt": "hello", "max_tokens": 120, "seed": seed, **fields}
        plain = mlx.http.post("/v1/completions", json=body).json()["choices"][0]
        for text in (choice["message"]["content"], plain["text"]):
            assert re.fullmatch(pattern, text), text


@pytest.mark.parametrize("fields", JSON_FORMS)
def test_json_by_other_names(fields: dict[str, Any], mlx: Service) -> None:
    content = mlx.chat("hello", max_tokens=120, **fields).json()["choices"][0]["message"]["content"]
    assert json.loads(content)["a"] in (1, 2)


def test_what_asks_for_nothing(mlx: Service) -> None:
    fields: dict[str, Any] = {
        "guided_regex": "",
        "guided_choice": [],
        "guided_json": None,
        "grammar": "",
        "structured_outputs": {},
    }
    assert mlx.chat("hello", max_tokens=3, **fields).status_code == 200


@pytest.mark.parametrize(("fields", "param"), WRONG)
def test_what_cannot_be_kept_is_named(fields: dict[str, Any], param: str, mlx: Service) -> None:
    for refused in (
        mlx.chat("hello", max_tokens=5, **fields),
        mlx.http.post("/v1/completions", json={"prompt": "hello", "max_tokens": 5, **fields}),
    ):
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text
