"""Answers of a given form, on a model with random weights: whatever it would like to say, the form holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from llguidance import LLParserLimits

from src.engine.backend import Backend
from src.engine.mlx.text import grammar as constraint
from src.engine.text import TextStream
from src.errors import InvalidRequest, UnsupportedValue
from src.ipc.messages.chat import ChatMessage, GenerateRequest, InputFormat, Sampling, Tool, ToolChoice
from tests.contract.test_backends import GREEDY, TEXTS, Batch, Made, alone, load, prompt, text_tokens

ROOM = 700
AT_ONCE = 8


@pytest.fixture(scope="module")
def backend(random_model: Any) -> Iterator[Backend]:
    backend = load(str(random_model))
    yield backend
    backend.close()


def asking(schema: dict[str, Any] | None = None, **fields: Any) -> GenerateRequest:
    text = None if schema is None else json.dumps(schema)
    return GenerateRequest("r", "m", (ChatMessage("user", "hello"),), json_schema=text, **fields)


def tokens(backend: Backend, request: GenerateRequest, seeds: list[int], prefix: list[int] | None = None) -> list[Made]:
    """Answers to a request with these seeds, computed together."""
    batch, grammar, before = Batch(backend), backend.tokenizer.grammar(request), prefix or []
    for seed in seeds:
        sampling = Sampling(temperature=1.0, seed=seed)
        uid = backend.insert([*backend.tokenizer.encode(request), *before], ROOM, sampling, len(before), grammar)
        batch.made[uid] = Made()
    for _ in range(ROOM + 2):
        if not any(made.finish is None for made in batch.made.values()):
            break
        assert batch.step().failed == {}
    return list(batch.made.values())


def text(backend: Backend, made: Made) -> str:
    assert made.finish == "stop", "the answer was cut"
    detokenizer = backend.tokenizer.detokenizer()
    return "".join(detokenizer.add(token) for token in made.tokens[:-1]) + detokenizer.flush()


# ---- schemas


def _text_bounds(bounds: tuple[int, int]) -> dict[str, Any]:
    return {"type": "string", "minLength": bounds[0], "maxLength": bounds[1]}


def _number_bounds(bounds: tuple[int, int]) -> dict[str, Any]:
    return {"type": "integer", "minimum": bounds[0], "maximum": bounds[1]}


LEAVES: list[st.SearchStrategy[dict[str, Any]]] = [
    st.just({"type": "null"}),
    st.just({"type": "boolean"}),
    st.integers(0, 8).map(lambda most: {"type": "string", "maxLength": most}),
    st.tuples(st.integers(0, 3), st.integers(3, 7)).map(_text_bounds),
    st.sampled_from(
        [
            {"type": "string", "pattern": "^[a-z]{1,6}$"},
            {"type": "string", "format": "date"},
            {"type": "string", "format": "uuid"},
            {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        ]
    ),
    st.tuples(st.integers(-99, 0), st.integers(0, 99)).map(_number_bounds),
    st.lists(st.integers(0, 9) | st.sampled_from("abc"), min_size=1, max_size=4).map(lambda values: {"enum": values}),
    st.sampled_from(["x", 7, None, True, "é🎉"]).map(lambda value: {"const": value}),
]
NAMES = st.sampled_from(["a", "b", "name", "with space", "é", 'quote"', "$id_", "0"])


def _object(properties: dict[str, Any], optional: set[str]) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _grow(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.builds(
        lambda items, low, more: {"type": "array", "items": items, "minItems": low, "maxItems": low + more},
        inner,
        st.integers(0, 2),
        st.integers(0, 2),
    )
    return (
        arrays
        | st.builds(_object, st.dictionaries(NAMES, inner, max_size=3), st.sets(NAMES, max_size=2))
        | st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda target: {"$ref": "#/$defs/it", "$defs": {"it": target}}, st.one_of(LEAVES))
    )


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """References point to the root: definitions that are further inside have to stand there too."""
    found: dict[str, Any] = {}

    def lift(value: Any) -> Any:
        if isinstance(value, list):
            return [lift(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$defs" in value and "$ref" in value:
            name = f"d{len(found)}"
            found[name] = value["$defs"]["it"]
            return {"$ref": f"#/$defs/{name}"}
        return {key: one if key in ("const", "enum") else lift(one) for key, one in value.items()}

    lifted = lift(schema)
    return {**lifted, "$defs": found} if found else lifted


SCHEMAS = st.recursive(st.one_of(LEAVES), _grow, max_leaves=5).map(_rooted)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(schema=SCHEMAS)
def test_every_answer_keeps_to_its_schema(backend: Backend, schema: dict[str, Any]) -> None:
    """Two hundred schemas: each answer is JSON and valid, though the model knows nothing."""
    for made in tokens(backend, asking(schema), [1, 2]):
        jsonschema.validate(json.loads(text(backend, made)), schema)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "string"}}, "not"),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, "if"),
        ({"type": "object", "propertyNames": {"maxLength": 3}}, "propertyNames"),
        ({"type": "array", "contains": {"type": "integer"}}, "contains"),
        ({"type": "string", "format": "planet"}, "planet"),
        ({"$ref": "#/$defs/nowhere"}, "nowhere"),
        ({"$ref": "https://example.com/x.json"}, "example.com"),
        ({"type": "wizard"}, "wizard"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
        ({"type": "array", "items": {"type": "object", "minProperties": 2}}, "minProperties"),
    ],
)
def test_what_cannot_be_kept_is_refused(schema: dict[str, Any], named: str, backend: Backend) -> None:
    """An unsupported keyword is an error that names it, never a promise that is not kept."""
    with pytest.raises(UnsupportedValue, match=named) as caught:
        backend.tokenizer.grammar(asking(schema))
    assert caught.value.param == "response_format"


def test_a_tools_schema_is_refused_as_a_tools(backend: Backend) -> None:
    """What cannot be kept of a tool's arguments is not told of response_format."""
    schemas: list[dict[str, Any]] = [{"type": "object", "minProperties": 5}, {"not": {}}]
    for parameters in schemas:
        request = asking(tools=(Tool("f", None, json.dumps(parameters)),), tool_choice=ToolChoice("required"))
        with pytest.raises(UnsupportedValue) as caught:
            backend.tokenizer.grammar(request)
        assert caught.value.param == "tools"


def test_a_schema_has_limits(backend: Backend) -> None:
    """Size and depth are bounded before anything is compiled."""
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    for schema in (deep, {"enum": ["x" * 100] * 5000}):
        with pytest.raises(InvalidRequest) as caught:
            backend.tokenizer.grammar(asking(schema))
        assert caught.value.param == "response_format"


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"properties": {"type": "boolean"}}, "required": ["properties"]},
        {"$ref": "#/$defs/o", "$defs": {"o": {"type": "object", "properties": {"a": {"type": "null"}}}}},
        {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "null"}}}, "maxItems": 2},
    ],
)
def test_an_object_has_the_properties_it_names(schema: dict[str, Any], backend: Backend) -> None:
    """A schema that does not forbid others is kept to as if it did: an answer comes to its end."""
    for made in tokens(backend, asking(schema), list(range(4))):
        jsonschema.validate(json.loads(text(backend, made)), schema)
        assert len(made.tokens) < 60


def test_an_object_that_says_so_has_others() -> None:
    """What a schema says of other properties is kept, also through allOf."""
    from src.engine.mlx.text.grammar import closed

    open_ended = {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}}
    both: dict[str, Any] = {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}
    assert closed(open_ended) == open_ended
    assert closed(both) == both


@pytest.mark.parametrize("cut", [1, 2, 5, 9])
def test_a_constrained_answer_goes_on_where_it_was_cut(cut: int, backend: Backend) -> None:
    """The grammar is replayed from the tokens: the rest is the same, and valid."""
    (whole,) = tokens(backend, asking(PERSON), [4])
    (rest,) = tokens(backend, asking(PERSON), [4], prefix=whole.tokens[:cut])
    assert [*whole.tokens[:cut], *rest.tokens] == whole.tokens
    jsonschema.validate(json.loads(text(backend, whole)), PERSON)


def test_neighbours_are_free(backend: Backend) -> None:
    """A constrained row changes nothing for those beside it, nor they for it."""
    expected = [alone(backend, words) for words in TEXTS[:4]]
    (single,) = tokens(backend, asking(PERSON), [4])
    batch, request = Batch(backend), asking(PERSON)
    uids = [batch.insert(prompt(backend, words)) for words in TEXTS[:4]]
    batch.step()
    sampling = Sampling(temperature=1.0, seed=4)
    uid = backend.insert(backend.tokenizer.encode(request), ROOM, sampling, grammar=backend.tokenizer.grammar(request))
    batch.made[uid] = Made()
    assert [made.tokens for made in batch.finish(*uids)] == expected
    assert batch.finish(uid)[0].tokens == single.tokens
    assert GREEDY.temperature == 0


# ---- tools

TRICKY = {
    "type": "object",
    "properties": {"x": {"enum": ['"]}', "\\", "{"]}},
    "required": ["x"],
    "additionalProperties": False,
}
TOOLS = (Tool("weather", "w", json.dumps(PERSON)), Tool("stop", None), Tool("say", None, json.dumps(TRICKY)))


def calls(backend: Backend, request: GenerateRequest, made: Made) -> list[tuple[str, str]]:
    """The calls of an answer, read token by token."""
    reader = backend.tokenizer.reader(request, [])
    assert reader is not None
    detokenizer = backend.tokenizer.detokenizer()
    found: list[list[str]] = []
    for piece in [*(detokenizer.add(token) for token in made.tokens[:-1]), detokenizer.flush()]:
        pieces = reader.push(piece)
        assert pieces.text == ""
        for call in pieces.calls:
            if call.name is not None:
                assert call.id
                assert call.arguments == ""
                found.append([call.name, ""])
            found[call.index][1] += call.arguments
    return [(name, arguments) for name, arguments in found]


@pytest.mark.parametrize("parallel", [True, False])
def test_a_call_that_must_be_made(parallel: bool, backend: Backend) -> None:
    """`required`: one call at least, each of a known tool, its arguments valid, whatever characters they hold."""
    request = asking(tools=TOOLS, tool_choice=ToolChoice("required", None, parallel))
    for made in tokens(backend, request, list(range(AT_ONCE))):
        found = calls(backend, request, made)
        assert 1 <= len(found) <= (8 if parallel else 1)
        for name, arguments in found:
            (tool,) = (tool for tool in TOOLS if tool.name == name)
            jsonschema.validate(json.loads(arguments), json.loads(tool.parameters))


def test_a_tool_that_must_be_called(backend: Backend) -> None:
    """A named tool is the one that is called."""
    request = asking(tools=TOOLS, tool_choice=ToolChoice("named", "weather"))
    for made in tokens(backend, request, list(range(AT_ONCE))):
        ((name, arguments),) = calls(backend, request, made)
        assert name == "weather"
        jsonschema.validate(json.loads(arguments), PERSON)


def test_a_call_that_a_model_chose_to_make(backend: Backend) -> None:
    """Token by token through this model's own tokenizer and marks: the name is told first, the arguments grow."""
    request = asking(tools=TOOLS)
    stream = TextStream(backend.tokenizer.detokenizer(), (), backend.tokenizer.reader(request, []))
    wanted = {"name": "Köln } 🎉", "age": 7}
    written = (
        f'Well: <tool_call>\n{{"name": "weather", "arguments": {json.dumps(wanted, ensure_ascii=False)}}}\n</tool_call>'
    )
    told, shown = [], ""
    for token in text_tokens(backend, written):
        shown += stream.push(token)
        told.append(stream.aside().calls)
    shown += stream.flush()
    pieces = [piece for calls in told for piece in calls]
    assert (pieces[0].name, pieces[0].arguments) == ("weather", "")
    assert json.loads("".join(piece.arguments for piece in pieces)) == wanted
    assert sum(bool(calls) for calls in told) > 5
    assert (shown, stream.called) == ("Well:", True)


def test_a_grammar_at_its_limit_fails_the_answer_alone(random_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as a failure, behind nothing that the form does not allow; the row beside it goes on."""
    few = LLParserLimits(max_lexer_states=60, verbose_errors=False)
    monkeypatch.setattr(constraint, "_LIMITS", few)
    backend = load(str(random_model))
    try:
        request = asking({"type": "string", "pattern": "^(a|b|c)*a(a|b|c){12}$"})
        grammar = backend.tokenizer.grammar(request)
        batch, known = Batch(backend), backend.tokenizer.encode(request)
        uid = backend.insert(known, ROOM, Sampling(temperature=1.0, seed=1), 0, grammar)
        batch.made[uid] = Made()
        other = batch.insert(prompt(backend, TEXTS[0]), 20)
        failed: dict[int, str] = {}
        for _ in range(ROOM):
            failed |= batch.step().failed
            if failed:
                break
        assert list(failed) == [uid]
        assert batch.made[uid].finish is None
        said = "".join(map(backend.tokenizer.detokenizer().add, batch.made[uid].tokens))
        assert set(said) <= set('"abc')
        batch.finish(other)
        assert len(batch.made[other].tokens) == 20
    finally:
        backend.close()


def test_a_custom_tools_input_keeps_to_its_grammar(backend: Backend) -> None:
    """Named or required: what the random model writes is the tool's own language, inside the call's JSON."""
    form = InputFormat("lark", 'start: ("go " /[a-z]{1,3}/ LF){1,3}\nLF: /\\n/')
    tool = Tool("steps", "", '{"type":"object"}', form)
    written = re.compile(r"(go [a-z]{1,3}\n){1,3}")
    for choice in (ToolChoice("named", "steps"), ToolChoice("required")):
        request = asking(tools=(tool,), tool_choice=choice)
        for made in tokens(backend, request, [1, 2, 3]):
            reader = backend.tokenizer.reader(request, backend.tokenizer.encode(request))
            assert reader is not None
            pieces = (reader.push(text(backend, made)) + reader.flush()).calls
            assert pieces[0].name == "steps"
            first = "".join(piece.arguments for piece in pieces if piece.index == 0)
            assert written.fullmatch(json.loads(first)["input"])
