"""The table of fields: what each wire honours, translates, sets aside and refuses."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from src.api.anthropic.schemas import MessagesRequest
from src.api.ollama.schemas import ChatRequest, EmbedBody, EmbeddingsBody, GenerateBody, NamedModel
from src.api.openai import fields
from src.api.openai.fields import ADVISORY, FIELDS, FOREIGN, REFUSED, WIRES, WireName
from src.api.openai.schemas import ChatCompletionRequest
from src.api.openai.schemas_completions import CompletionRequest
from src.api.openai.schemas_embeddings import EmbeddingsRequest
from src.api.openai.schemas_rerank import RerankRequest
from src.api.openai.schemas_responses import ResponsesRequest
from src.errors import InvalidRequest, UnsupportedValue
from src.settings import ROOT
from tests.unit.api.openai.test_schemas import ASKING

MODELS: dict[WireName, Any] = {
    "chat": ChatCompletionRequest,
    "completions": CompletionRequest,
    "responses": ResponsesRequest,
    "messages": MessagesRequest,
    "embeddings": EmbeddingsRequest,
    "rerank": RerankRequest,
    "ollama": ChatRequest,
}
# a value of each advisory field that asks for something
ASIDE: dict[str, object] = {
    "truncation": "auto",
    "store": True,
    "service_tier": "scale",
    "max_tool_calls": 3,
    "cache_control": {"type": "ephemeral"},
    "prompt_cache_breakpoint": {"mode": "explicit"},
    "reasoning_details": [{"type": "reasoning.text"}],
    "context_management": {"edits": []},
    "diagnostics": {"k": "v"},
    "client_metadata": {"a": "b"},
    "thinking.budget_tokens": 1024,
}
ADR = (ROOT / "docs" / "adr" / "0020-three-classes-of-fields.md").read_text(encoding="utf-8")


def is_of_another_route(wire: WireName, place: str) -> bool:
    """Whether the field that this place is in belongs to another wire, where it is refused."""
    head = place.partition("[")[0]
    others = {field.name for field in fields.of_wire(wire) if field.kind == "refused" and not field.paths}
    return "[" in place and head in {*FOREIGN[wire], *others}


def put(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """`body` with a value at a path; lists get one entry."""
    head, _, rest = path.partition(".")
    inner = value if not rest else put({}, rest, value)
    return body | {head.removesuffix("[]"): [inner] if head.endswith("[]") else inner}


def test_the_advisory_class_grows_by_decision() -> None:
    """Every field that may be set aside has a line in the ADR that says why, and the ADR has no other lines."""
    lines = set(re.findall(r"^\* `([^`]+)`", ADR, re.MULTILINE))
    engines = {name for engine in fields.SETS_ASIDE.values() for name in engine}
    hosted = {f"tools.{kind}" for kind in fields.HOSTED_TOOLS}
    assert lines == {field.name for field in ADVISORY} | engines | hosted | {*fields.STAND_INS, *fields.INPUT_FORMS}


def test_nothing_that_changes_an_answer_is_advisory() -> None:
    """Sampling, form, tools and what is said are never set aside."""
    meaning = {"messages", "input", "prompt", "system", "instructions", "tools", "tool_choice", "response_format"}
    meaning |= {"temperature", "top_p", "top_k", "min_p", "seed", "logit_bias", "stop", "stop_sequences", "n"}
    meaning |= {"logprobs", "functions", "modalities", "audio", "mcp_servers", "thread", "inference_geo"}
    meaning |= {"previous_response_id", "conversation", "container", "background", "echo", "suffix", "text.format"}
    assert not meaning & {field.name for field in ADVISORY}


@pytest.mark.parametrize("wire", WIRES)
def test_a_field_has_one_class_on_a_wire(wire: WireName) -> None:
    names = [field.name for field in fields.of_wire(wire)]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("wire", WIRES)
def test_every_field_that_is_read_is_in_the_table(wire: WireName) -> None:
    """What a body's model reads is known, so that it is not set aside as unknown."""
    known = {place.partition(".")[0] for field in fields.of_wire(wire) for place in field.places}
    assert set(MODELS[wire].model_fields) <= known


def test_ollamas_bodies_are_in_the_table() -> None:
    """It has one for each of its routes."""
    known = {place.partition(".")[0] for field in fields.of_wire("ollama") for place in field.places}
    for body in (GenerateBody, EmbedBody, EmbeddingsBody, NamedModel):
        assert set(body.model_fields) <= known


@pytest.mark.parametrize("wire", WIRES)
def test_an_advisory_field_is_set_aside_and_named(wire: WireName) -> None:
    """Wherever it may stand; its neutral values, and null, are not worth a word."""
    for field in ADVISORY:
        for place in field.places if wire in field.wires else ():
            if is_of_another_route(wire, place):
                continue
            body = put({"model": "m"}, place, ASIDE.get(field.name, "x"))
            assert fields.sort(wire, body) == [field.name], place
            for neutral in (None, *field.neutral):
                assert fields.sort(wire, put({"model": "m"}, place, copy.deepcopy(neutral))) == []


@pytest.mark.parametrize("wire", WIRES)
def test_a_refused_field_is_named(wire: WireName) -> None:
    for field in REFUSED:
        for place in field.places if wire in field.wires else ():
            if is_of_another_route(wire, place):
                continue
            with pytest.raises(UnsupportedValue, match=field.name) as refused:
                fields.sort(wire, put({}, place, ASKING.get(field.name, "x")))
            assert (refused.value.param, refused.value.status) == (field.name, 400)
            for neutral in (None, *field.neutral):
                assert fields.sort(wire, put({}, place, neutral)) == []


def test_every_refused_field_of_chat_is_tried() -> None:
    assert set(ASKING) == {field.name for field in REFUSED if "chat" in field.wires and not field.paths}


@pytest.mark.parametrize(("wire", "name"), [(wire, name) for wire in WIRES for name in FOREIGN[wire]])
def test_a_field_of_chat_alone_is_refused_elsewhere(wire: WireName, name: str) -> None:
    with pytest.raises(InvalidRequest, match="belongs to") as refused:
        fields.sort(wire, {name: "x"})
    assert refused.value.param == name


def test_a_value_that_is_honoured_stays() -> None:
    """A service tier that stands for a priority is no hint."""
    body: dict[str, Any] = {"service_tier": "flex"}
    assert fields.sort("chat", body) == []
    assert body == {"service_tier": "flex"}


def test_unknown_fields_are_set_aside() -> None:
    """What nobody knows is named, and does not reach the models."""
    body: dict[str, Any] = {"model": "m", "zebra": 1, "temprature": 0.5, "user": "me"}
    assert fields.sort("chat", body) == ["temprature", "zebra"]
    assert body == {"model": "m", "user": "me"}


def test_marks_inside_schemas_and_arguments_stay() -> None:
    """A tool may have an argument of that name."""
    schema = {"type": "object", "properties": {"cache_control": {"type": "string"}}}
    call = {"type": "tool_use", "id": "1", "name": "f", "input": {"cache_control": "x"}}
    body = {"tools": [{"name": "f", "input_schema": schema}], "messages": [{"role": "assistant", "content": [call]}]}
    before = copy.deepcopy(body)
    assert fields.sort("messages", body) == []
    assert body == before


def test_hosted_tools_beside_own_ones_are_set_aside() -> None:
    own = {"type": "function", "name": "f"}
    assert fields.split_tools([own, {"type": "web_search_20250305"}, {"type": "tool_search_tool_regex"}]) == (
        [own],
        ["tools.web_search_20250305", "tools.tool_search_tool_regex"],
    )
    assert fields.split_tools([own, {"type": "mcp"}]) == ([own, {"type": "mcp"}], [])
    with pytest.raises(UnsupportedValue, match="web_search_20250305"):
        fields.split_tools([{"type": "web_search_20250305"}])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cache_control", "cache_control"),
        ("text.verbosity", "text.verbosity"),
        ("tools.web_search_20250305", "tools"),
        ("chat_template_kwargs.foo", "chat_template_kwargs"),
        ("my secret", "other"),
        ("", "other"),
    ],
)
def test_a_label_is_the_tables_own_word(name: str, label: str) -> None:
    """No client's text becomes a series."""
    assert fields.label(name) == label


def test_a_body_of_any_shape_is_sorted() -> None:
    """What stands where a list or an object should is for the models to refuse."""
    odds: tuple[Any, ...] = (
        None,
        5,
        "x",
        [],
        [None, 1, "x", [[]]],
        {"content": 5},
        [{"content": "x"}, {"content": [1, None]}],
    )
    for odd in odds:
        for wire in WIRES:
            fields.sort(wire, {"messages": copy.deepcopy(odd), "tools": copy.deepcopy(odd)} if wire == "chat" else {})


def test_the_names_are_the_tables() -> None:
    assert len(FIELDS) == sum(map(len, (fields.HONOURED, fields.TRANSLATED, ADVISORY, REFUSED)))
