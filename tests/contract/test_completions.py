"""/v1/completions, /tokenize and /detokenize as the `openai` package and plain HTTP see them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.conftest import Service, StartService, events

ROUTE = "/v1/completions"


def post(service: Service, **fields: Any) -> Any:
    return service.http.post(ROUTE, json={"model": "demo", "max_tokens": 50, **fields})


def test_a_completion(service: Service) -> None:
    """The openai client gets a text, its reason and the usage."""
    answer = service.openai.completions.create(model="demo", prompt="hello", max_tokens=50)
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.index) == ("hello", "stop", 0)
    assert (answer.object, answer.id[:5]) == ("text_completion", "cmpl-")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 6)


def test_token_ids_of_no_vocabulary_are_refused(service: Service) -> None:
    """Of any engine: such an id names no token, and must not reach what computes."""
    reply = service.http.post("/v1/completions", json={"prompt": [1 << 30], "max_tokens": 1})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "prompt")
    assert service.http.post("/v1/completions", json={"prompt": [256, 65], "max_tokens": 1}).status_code == 200


def test_sixteen_tokens_unless_told(service: Service) -> None:
    """The default length is OpenAI's."""
    answer = service.openai.completions.create(model="demo", prompt="x" * 40)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("x" * 16, "length")


@pytest.mark.parametrize("prompt", ["hi", [104, 105], ["hi"], [[104, 105]]])
def test_every_form_of_a_prompt(prompt: Any, service: Service) -> None:
    """Text or token ids, one or in a list."""
    body = post(service, prompt=prompt).json()
    assert [choice["text"] for choice in body["choices"]] == ["hi"]


def test_several_prompts_and_choices(service: Service) -> None:
    """Prompt by prompt, choice by choice; the usage is of all."""
    body = post(service, prompt=["one", "two", "three"], n=2).json()
    texts = ["one", "one", "two", "two", "three", "three"]
    assert [(c["index"], c["text"]) for c in body["choices"]] == list(enumerate(texts))
    assert body["usage"]["prompt_tokens"] == len("onetwothree")
    assert body["usage"]["completion_tokens"] == 2 * (4 + 4 + 6)


def test_a_stream(service: Service) -> None:
    """Text in pieces, the reason at its end, the usage if asked for, and [DONE]."""
    found = events(post(service, prompt="hello", stream=True, stream_options={"include_usage": True}).text)
    *chunks, last, done = found
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "hello"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 5 + ["stop"]
    assert last["usage"]["completion_tokens"] == 6
    stream = service.openai.completions.create(model="demo", prompt="hello", stream=True, n=2)
    texts = ["", ""]
    for chunk in stream:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == ["hello", "hello"]


@pytest.mark.parametrize("stream", [False, True])
def test_echo(stream: bool, service: Service) -> None:
    """The prompt stands before the answer."""
    reply = post(service, prompt="ab", echo=True, stream=stream)
    if stream:
        assert "".join(e["choices"][0]["text"] for e in events(reply.text)[:-1]) == "abab"
    else:
        assert reply.json()["choices"][0]["text"] == "abab"


def test_log_probabilities(service: Service) -> None:
    """Old style: lists of tokens, values, likeliest, places."""
    scores = post(service, prompt="abc", logprobs=1).json()["choices"][0]["logprobs"]
    assert scores["tokens"] == ["a", "b", "c"]
    assert scores["text_offset"] == [0, 1, 2]
    assert scores["token_logprobs"] == [0.0] * 3
    assert scores["top_logprobs"] == [{"a": 0.0}, {"b": 0.0}, {"c": 0.0}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x", "best_of": 3}, "best_of"),
        ({"prompt": "x", "suffix": "y"}, "suffix"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "x", "max_tokens": 0, "echo": True, "stream": True}, "max_tokens"),
        ({"prompt": [1 << 20], "echo": True, "logprobs": 1}, "prompt"),
        ({"prompt": ["x", "y"], "stream": True}, "prompt"),
        ({"prompt": "x", "logprobs": 21}, "logprobs"),
        ({"prompt": "x", "temperature": 3}, "temperature"),
        ({"prompt": "x", "messages": []}, "messages"),
        ({"prompt": "x", "tools": []}, "tools"),
        ({"prompt": "x", "modalities": ["audio"]}, "modalities"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, service: Service) -> None:
    """Every refusal is a 400 in the envelope, and names the parameter."""
    reply = service.http.post(ROUTE, json=fields)
    assert reply.status_code == 400, reply.text
    found = reply.json()["error"]["param"]
    assert str(found).startswith(param)
    assert service.works()


def test_a_context_that_is_too_small(start_service: StartService) -> None:
    """The numbers are in the text."""
    reply = post(start_service(max_model_len=64), prompt="x" * 200)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")


# ---- tokens


def test_tokens_of_a_text(service: Service) -> None:
    """A text's tokens, and back."""
    body = service.http.post("/tokenize", json={"model": "demo", "prompt": "hé"}).json()
    assert body == {"tokens": list("hé".encode()), "count": 3, "max_model_len": 1 << 20}
    back = service.http.post("/detokenize", json={"tokens": body["tokens"]})
    assert back.json() == {"prompt": "hé"}


def test_tokens_of_a_conversation(service: Service) -> None:
    """Messages are counted as chat would count them."""
    messages = [{"role": "user", "content": "hello"}]
    body = service.http.post("/tokenize", json={"messages": messages}).json()
    assert body["count"] == service.chat("hello").json()["usage"]["prompt_tokens"]


@pytest.mark.parametrize("body", [{}, {"prompt": "x", "messages": []}, {"prompt": 5}, {"prompt": "x", "zoo": 1}])
def test_a_tokenize_body_is_checked(body: dict[str, Any], service: Service) -> None:
    """One of text and messages, and nothing unknown."""
    assert service.http.post("/tokenize", json=body).status_code == 400


@pytest.mark.parametrize("route", ["/tokenize", "/detokenize"])
def test_tokens_need_an_engine(route: str, start_service: StartService) -> None:
    """Without one: 503, and a model that is not there is a 404."""
    service = start_service(engine=False)
    body: dict[str, Any] = {"prompt": "x"} if route == "/tokenize" else {"tokens": [1]}
    assert service.http.post(route, json=body).status_code == 503
    assert service.http.post(route, json={**body, "model": "other"}).status_code == 404
