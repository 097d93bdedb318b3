"""What an OpenAI server is asked, in its own dialect; and what it is not asked, because it would not do it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from src.engine.upstream import request as question
from src.engine.upstream.dialects import (
    LLAMA_CPP_PYTHON,
    LLAMA_SERVER,
    OPENAI,
    VLLM,
    Dialect,
    NoSuchModel,
    ServerFacts,
    fit,
    recognise,
    refuse,
)
from src.errors import UnsupportedValue
from src.ipc.messages.chat import (
    ChatMessage,
    Choice,
    GenerateRequest,
    ImagePart,
    InputFormat,
    RawPrompt,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
)

TOOLS = (Tool("f", "does", '{"type":"object"}'), Tool("g"))


def ask(**fields: Any) -> GenerateRequest:
    return GenerateRequest("r", "demo", (ChatMessage("user", "hello"),), **fields)


def sent(request: GenerateRequest, dialect: Dialect = VLLM, max_tokens: int | None = 5) -> dict[str, Any]:
    body = json.loads(question.body(request, ServerFacts(dialect, "served"), max_tokens))
    assert isinstance(body, dict)
    return body


def test_a_plain_request_says_no_more_than_was_asked() -> None:
    """What a client leaves to the model is left to it: no field of chance, no default of ours."""
    assert sent(ask(), OPENAI) == {
        "model": "served",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
    }
    assert "max_tokens" not in sent(ask(), max_tokens=None)


@pytest.mark.parametrize(
    ("dialect", "penalty"),
    [(VLLM, "repetition_penalty"), (LLAMA_SERVER, "repeat_penalty"), (LLAMA_CPP_PYTHON, "repeat_penalty")],
)
def test_every_wish_has_a_name(dialect: Dialect, penalty: str) -> None:
    """All of sampling arrives under the server's names."""
    wish = Sampling(0.5, 0.9, 40, 0.05, 0.1, 0.2, 1.3, {7: -100.0}, seed=(1 << 40) + 3, seeded=True, ignore_eos=True)
    body = sent(ask(sampling=wish, stop=("x", "y"), choices=(Choice(0), Choice(1))), dialect)
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "frequency_penalty": 0.1,
        "n": 2,
    }
    fields |= {"presence_penalty": 0.2, penalty: 1.3, "logit_bias": {"7": -100.0}, "ignore_eos": True}
    assert fields | {"stop": ["x", "y"], "seed": ((1 << 40) + 3) % dialect.seeds} == {
        name: body[name] for name in (*fields, "stop", "seed")
    }


def test_a_seed_of_chance_is_not_sent() -> None:
    """vLLM computes seeded requests one by one; the seed that web invents is for resuming, which there is none of."""
    assert "seed" not in sent(ask(sampling=Sampling(seed=7)))


def test_top_p_zero_is_greedy() -> None:
    """As with our own engines; vLLM refuses the number."""
    body = sent(ask(sampling=Sampling(temperature=1.0, top_p=0.0)))
    assert (body["temperature"], "top_p" in body) == (0.0, False)


def test_keys_are_kept_apart() -> None:
    """What was computed for one API key is used for no other."""
    assert sent(ask(salt="k"))["cache_salt"] == "k"
    assert sent(ask(salt="k"), LLAMA_SERVER)["cache_prompt"] is False
    assert "cache_prompt" not in sent(ask(), LLAMA_SERVER)


@pytest.mark.parametrize(
    ("dialect", "raw", "fields"),
    [
        (VLLM, False, {"logprobs": True, "top_logprobs": 0}),
        (VLLM, True, {"logprobs": 0}),
        (LLAMA_SERVER, False, {"logprobs": True, "top_logprobs": 1}),  # where 0 means none at all
        (LLAMA_SERVER, True, {"logprobs": 1}),
    ],
)
def test_log_probabilities(dialect: Dialect, raw: bool, fields: dict[str, object]) -> None:
    """The chosen token's alone can be asked of everybody."""
    prompt = RawPrompt("x") if raw else None
    body = sent(ask(sampling=Sampling(logprobs=0), raw_prompt=prompt), dialect)
    assert {name: body.get(name) for name in fields} == fields


def test_conversations() -> None:
    """Turns with calls, answers of tools, thoughts."""
    turns = (
        ChatMessage("assistant", "", tool_calls=(ToolCall("c1", "f", "{}"),), reasoning="hm"),
        ChatMessage("tool", "42", tool_call_id="c1"),
    )
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert sent(GenerateRequest("r", "demo", turns))["messages"] == [
        {"role": "assistant", "content": "", "tool_calls": [called], "reasoning_content": "hm"},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ]


def test_pictures() -> None:
    """In their order among the texts, as data URLs, files too (a PDF's page); a model that reads none refuses them."""
    shown = [ImagePart(data) for data in (b"aGk=", b"DATA:image/jpeg;base64,aGk=", b"\xff\xd8\xff\xe0")]
    turn = ChatMessage("user", "ab", parts=("a", *shown, "b"))
    request = GenerateRequest("r", "demo", (turn,))
    parts = sent(request)["messages"][0]["content"]
    assert [part.get("text") or part["image_url"]["url"] for part in parts] == [
        "a",
        "data:image/png;base64,aGk=",
        "data:image/jpeg;base64,aGk=",
        "data:image/jpeg;base64,/9j/4A==",
        "b",
    ]
    with pytest.raises(UnsupportedValue):
        refuse(request, ServerFacts(LLAMA_SERVER, "m", reads_images=False))


def test_tools() -> None:
    """Offered as they are; one that must be called becomes the answer's form, but where the server forces it itself."""
    body = sent(ask(tools=TOOLS, tool_choice=ToolChoice("auto", parallel=False)))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["f", "g"]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", False)
    named = ask(tools=TOOLS, tool_choice=ToolChoice("named", "f"))
    assert sent(named, OPENAI)["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    body = sent(named, LLAMA_SERVER)
    assert body["tool_choice"] == "none"
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    form = sent(ask(tools=TOOLS, tool_choice=ToolChoice("required")), LLAMA_SERVER)["response_format"]
    assert [one["properties"]["name"] for one in form["json_schema"]["schema"]["anyOf"]] == [
        {"const": "f"},
        {"const": "g"},
    ]


@pytest.mark.parametrize(
    ("dialect", "raw", "field"),
    [
        (VLLM, False, {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}),
        (VLLM, True, {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}),
        (LLAMA_CPP_PYTHON, False, {"type": "json_object", "schema": {"type": "object"}}),
    ],
)
def test_forms(dialect: Dialect, raw: bool, field: object) -> None:
    """A schema arrives as one."""
    body = sent(ask(json_schema='{"type":"object"}', raw_prompt=RawPrompt("x") if raw else None), dialect)
    assert body["response_format"] == field


def test_prompts_without_a_conversation() -> None:
    """Text or token ids, at their own route; llama-server has a field of its own for their form."""
    assert question.path(ask(raw_prompt=RawPrompt("x"))) == "/v1/completions"
    assert sent(ask(raw_prompt=RawPrompt(tokens=(1, 2))))["prompt"] == [1, 2]
    body = sent(ask(raw_prompt=RawPrompt("x"), json_schema='{"type":"object"}'), LLAMA_SERVER)
    assert body["json_schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("dialect", "fields", "param"),
    [
        (LLAMA_SERVER, {"sampling": Sampling(logprobs=1), "tools": TOOLS}, "logprobs"),
        (LLAMA_SERVER, {"sampling": Sampling(logit_bias={100: 1.0})}, "logit_bias"),
        (LLAMA_CPP_PYTHON, {"choices": (Choice(0), Choice(1))}, "n"),
        (LLAMA_CPP_PYTHON, {"sampling": Sampling(ignore_eos=True)}, "ignore_eos"),
        (LLAMA_CPP_PYTHON, {"tools": TOOLS}, "tools"),
        (LLAMA_CPP_PYTHON, {"raw_prompt": RawPrompt(tokens=(1,))}, "prompt"),
        (LLAMA_CPP_PYTHON, {"raw_prompt": RawPrompt("x"), "json_schema": "{}"}, "response_format"),
    ],
)
def test_what_would_be_ignored_is_refused(dialect: Dialect, fields: dict[str, Any], param: str) -> None:
    """By name, before it is sent; and nobody else refuses it."""
    with pytest.raises(UnsupportedValue) as refused:
        refuse(ask(**fields), ServerFacts(dialect, "served", vocabulary=100))
    assert refused.value.param == param
    refuse(ask(**fields), ServerFacts(VLLM, "served"))


def test_tools_that_the_template_does_not_know_are_refused() -> None:
    """llama-server tells the model's template: a wish that it would swallow is a 400."""
    refuse(ask(tools=TOOLS), ServerFacts(LLAMA_SERVER, "m", template="{% if enable_thinking %}"))
    with pytest.raises(UnsupportedValue) as refused:
        refuse(ask(tools=TOOLS), ServerFacts(LLAMA_SERVER, "m", template="plain", takes_tools=False))
    assert refused.value.param == "tools"


SWITCHED: list[tuple[dict[str, Any], str]] = [
    ({"reasoning_effort": "low", "thinking": True}, "reasoning_effort"),
    ({"thinking": False}, "reasoning_effort"),
    ({"template_options": {"preserve_thinking": True}}, "chat_template_kwargs.preserve_thinking"),
]


@pytest.mark.parametrize(("fields", "name"), SWITCHED)
@pytest.mark.parametrize(
    "facts", [ServerFacts(LLAMA_SERVER, "m", template="plain"), ServerFacts(LLAMA_CPP_PYTHON, "m")]
)
def test_a_switch_that_the_template_does_not_know_is_set_aside(
    fields: dict[str, Any], name: str, facts: ServerFacts
) -> None:
    """It is not sent, and it is named; where nothing may be set aside, it is refused by that name."""
    made, names = fit(ask(**fields), facts)
    assert names == (name,)
    sent = question.prompt(made, facts.dialect)
    assert (sent["chat_template_kwargs"], sent["reasoning_effort"]) == (None, None)
    with pytest.raises(UnsupportedValue) as refused:
        fit(ask(**fields, strict=True), facts)
    assert refused.value.param == name


@pytest.mark.parametrize(("fields", "name"), SWITCHED)
def test_a_switch_that_the_template_knows_is_sent(fields: dict[str, Any], name: str) -> None:
    facts = ServerFacts(LLAMA_SERVER, "m", template="{% if enable_thinking and preserve_thinking %}")
    made, names = fit(ask(**fields), facts)
    assert (made, names) == (ask(**fields), ())
    assert question.prompt(made, facts.dialect)["chat_template_kwargs"], name


CUSTOM = Tool("patch", input_format=InputFormat("lark", 'start: "x"'))
NUMBER = Tool("number", input_format=InputFormat("regex", "[0-9]+"))


def test_the_form_of_a_custom_tools_input_is_named_or_kept() -> None:
    """Chosen: set aside by name. Forced: a regular expression goes as a schema, a Lark grammar is refused."""
    facts = ServerFacts(VLLM, "m")
    assert fit(ask(tools=(CUSTOM, NUMBER)), facts)[1] == ("tools.format",)
    forced = ToolChoice("named", "number")
    made, names = fit(ask(tools=(CUSTOM, NUMBER), tool_choice=forced), facts)
    refuse(ask(tools=(CUSTOM, NUMBER), tool_choice=forced), facts)
    assert names == ()
    assert json.loads(made.tools[1].parameters)["properties"]["input"]["pattern"] == "^(?:[0-9]+)$"
    for choice in (ToolChoice("required"), ToolChoice("named", "patch")):
        with pytest.raises(UnsupportedValue, match="Lark"):
            refuse(ask(tools=(CUSTOM, NUMBER), tool_choice=choice), facts)


def test_a_length_beyond_the_context_is_named() -> None:
    """llama-server cuts it without a word; a server that refuses it is asked again without one."""
    assert fit(ask(max_tokens=101), ServerFacts(LLAMA_SERVER, "m", 100))[1] == ("max_tokens",)
    assert fit(ask(max_tokens=100), ServerFacts(LLAMA_SERVER, "m", 100))[1] == ()
    assert fit(ask(max_tokens=101), ServerFacts(VLLM, "m", 100))[1] == ()


@pytest.mark.parametrize(
    ("card", "dialect", "context"),
    [
        ({"owned_by": "vllm", "max_model_len": 2048}, VLLM, 2048),
        ({"owned_by": "llamacpp", "meta": {"n_ctx": 4096, "n_vocab": 9, "ftype": "F16"}}, LLAMA_SERVER, 4096),
        ({"owned_by": "llamacpp", "meta": None}, LLAMA_SERVER, 0),
        ({"owned_by": "me", "permissions": []}, LLAMA_CPP_PYTHON, 0),
        ({"owned_by": "stoker", "context_length": 512}, OPENAI, 512),
        ({}, OPENAI, 0),
    ],
)
def test_a_server_is_known_by_its_models(card: dict[str, Any], dialect: Dialect, context: int) -> None:
    """Its own word for who owns a model says which server it is."""
    facts = recognise(json.dumps({"object": "list", "data": [{"id": "any", **card}]}).encode(), "demo")
    assert (facts.dialect, facts.model, facts.context_length) == (dialect, "any", context)


@pytest.mark.parametrize(
    ("card", "sees"),
    [
        ({"owned_by": "vllm"}, None),
        ({"owned_by": "me"}, False),
        ({"capabilities": ["chat", "vision"]}, True),
        ({"capabilities": ["completion", "multimodal"]}, True),
        ({"capabilities": ["chat"]}, None),
        ({"capabilities": {"vision": False}}, False),
        ({"architecture": {"input_modalities": ["text", "image"]}}, True),
        ({"architecture": {"input_modalities": ["text"]}}, False),
        ({"capabilities": 7, "architecture": "llama"}, None),
    ],
)
def test_a_server_says_whether_it_reads_images(card: dict[str, Any], sees: bool | None) -> None:
    facts = recognise(json.dumps({"data": [{"id": "any", **card}]}).encode(), "demo")
    assert facts.reads_images is sees


def test_one_of_several_models_must_be_named() -> None:
    """The only model is taken whatever its name; of several, the one asked for, or none."""
    several = b'{"data":[{"id":"a"},{"id":"b"}]}'
    assert recognise(several, "b").model == "b"
    with pytest.raises(NoSuchModel, match="a, b"):
        recognise(several, "demo")
    with pytest.raises(NoSuchModel, match=r"^a$"):
        recognise(b'{"data":[{"id":"a"}]}', "demo", any_name=False)


def test_a_prediction_is_named() -> None:
    """No server is told it."""
    assert fit(ask(prediction="text"), ServerFacts(VLLM, "m"))[1] == ("prediction",)
    assert fit(ask(prediction="text"), ServerFacts(LLAMA_SERVER, "m"))[1] == ("prediction",)
