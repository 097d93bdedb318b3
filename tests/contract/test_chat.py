"""POST /v1/chat/completions as the `openai` package sees it, over the real engine stack on the fake engine."""

from __future__ import annotations

import re
from typing import Any, cast

import openai
import pytest
from loguru import logger
from werkzeug.test import create_environ

from src.api.edge.middleware import Exchange
from tests.contract.conftest import Service, StartService, text_of

CHAT = "/v1/chat/completions"
TEXTS = [
    "hello",
    "Привет, 你好, こんにちは",
    "👩‍👩‍👧‍👦 family, 🇩🇪 flag, 🎉",
    "e\u0301 n\u0303 and Zalgo: Z\u0351\u036b\u0343\u036a\u0302",
    'quotes " \\ and \n newlines \r\n\t tabs',
    "\u0000 \u2028 \u200b \ufeff",
    "<|im_end|> {braces} %s",
    " leading and trailing ",
    "data: [DONE]\n\n",
]


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


# ---- whole answers


def test_an_answer_without_a_limit_has_one(start_service: StartService) -> None:
    """A request that names no max_tokens gets DEFAULT_MAX_TOKENS."""
    answer = start_service(default_max_tokens=5).openai.chat.completions.create(model="demo", messages=user("abcdefgh"))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("abcde", "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_a_whole_answer(service: Service) -> None:
    """The openai client gets what it expects, its usage adds up, and the id is the request's."""
    raw = service.openai.chat.completions.with_raw_response.create(model="demo", messages=user("hello"))
    answer = raw.parse()
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "hello", "stop")
    assert (answer.object, answer.model) == ("chat.completion", "demo")
    assert answer.id == f"chatcmpl-{raw.headers['X-Request-Id']}"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len("hello") + 1  # the end mark counts
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_as_it_went(text: str, service: Service) -> None:
    """Any text survives the way in and out, whole and streamed, and no chunk holds half a character."""
    whole = service.openai.chat.completions.create(model="demo", messages=user(text))
    assert whole.choices[0].message.content == text
    stream = service.stream(text)
    assert text_of(stream) == text
    assert "\ufffd" not in str(stream)


def test_the_model_may_be_left_out(service: Service) -> None:
    """Without a model the configured one answers, and is named."""
    response = service.chat("hello")
    assert (response.status_code, response.json()["model"]) == (200, "demo")


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_reaches_its_limit(limit: str, stream: bool, service: Service) -> None:
    """The answer is cut at the limit and says so."""
    if stream:
        chunks = service.stream("hello", **{limit: 3})
        reasons = [choice["finish_reason"] for e in chunks if e != "[DONE]" for choice in e["choices"]]
        assert (text_of(chunks), reasons[-1], set(reasons[:-1])) == ("hel", "length", {None})
    else:
        body = service.chat("hello", **{limit: 3}).json()
        assert (body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]) == ("hel", "length")
        assert body["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("limit", range(1, 10))
def test_a_limit_inside_a_character(limit: int, service: Service) -> None:
    """A cut in the middle of a character leaves that character out; it is never garbled."""
    text = "é你🎉"  # 2, 3 and 4 bytes, a token each
    answer = service.chat(text, max_tokens=limit).json()["choices"][0]["message"]["content"]
    assert answer == text.encode()[:limit].decode(errors="ignore")
    assert text_of(service.stream(text, max_tokens=limit)) == answer


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("hello world", " ", "hello"),
        ("hello world", ["wor", "xyz"], "hello "),
        ("hello world", ["ld", "lo"], "hel"),
        ("hello world", "hello world", ""),
        ("hello world", "h", ""),
        ("aaab", "aab", "a"),
        ("你好世界", "世", "你好"),
        ("a🎉b", "🎉", "a"),
        ("hello worl", "world", "hello worl"),
        ("hello wo", ["world", "wow"], "hello wo"),
        ("hello", ["xyz"], "hello"),
    ],
)
def test_stop_strings(text: str, stop: str | list[str], expected: str, service: Service) -> None:
    """A stop string ends the answer and is never shown, not even in part; what only began like one is shown."""
    body = service.chat(text, stop=stop).json()["choices"][0]
    assert (body["message"]["content"], body["finish_reason"]) == (expected, "stop")
    stream = service.stream(text, stop=stop)
    assert text_of(stream) == expected
    assert stream[-1] == "[DONE]"


def test_a_stop_string_frees_the_engine(service: Service) -> None:
    """After a stop string nothing goes on computing for nobody."""
    assert service.engine is not None
    assert service.chat("abc fake:count=1000000", stop="d", max_tokens=1_000_000).status_code == 200
    assert service.engine.becomes_idle()


@pytest.mark.parametrize(
    "content", [[{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}], [{"type": "text", "text": "hello"}]]
)
def test_content_parts(content: list[Any], service: Service) -> None:
    """Text parts are put together."""
    answer = service.openai.chat.completions.create(model="demo", messages=user(content))
    assert answer.choices[0].message.content == "hello"


def test_roles(service: Service) -> None:
    """All text roles reach the prompt, and developer is what models know as system."""

    def prompt_tokens(role: str) -> int:
        messages = [{"role": role, "content": "be brief"}, {"role": "assistant", "content": "yes"}, *user("hello")]
        body = service.http.post(CHAT, json={"messages": messages}).json()
        return int(body["usage"]["prompt_tokens"])

    alone = service.chat("hello").json()["usage"]["prompt_tokens"]
    assert prompt_tokens("developer") == prompt_tokens("system") == prompt_tokens("user") + 2
    assert prompt_tokens("user") > alone + len("be briefyes")


# ---- streams


def test_a_streamed_answer(service: Service) -> None:
    """The openai client reads a stream: the role first, then the text, the reason once, all under one id."""
    stream = service.openai.chat.completions.create(model="demo", messages=user("hello"), stream=True)
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert {(chunk.id, chunk.object, chunk.created, chunk.model) for chunk in chunks} == {
        (chunks[0].id, "chat.completion.chunk", chunks[0].created, "demo")
    }


def test_the_form_of_a_stream(service: Service) -> None:
    """One event a token, no usage unless asked for, and [DONE] once, at the end."""
    stream = service.stream("hello")
    assert stream.count("[DONE]") == 1
    assert stream[-1] == "[DONE]"
    assert len(stream) == 1 + len("hello") + 1 + 1
    assert not any("usage" in event for event in stream[:-1])


def test_usage_at_the_end_of_a_stream(service: Service) -> None:
    """With include_usage every chunk has `usage: null` and one more, without choices, has the counts."""
    stream = service.stream("hello", stream_options={"include_usage": True})
    *chunks, last, done = stream
    assert done == "[DONE]"
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 6
    assert last["usage"] == service.chat("hello").json()["usage"]


def test_a_streams_headers(service: Service) -> None:
    """Proxies neither buffer nor store a stream."""
    headers = service.chat("hello", stream=True).headers
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Cache-Control"] == "no-store"


def test_a_silent_stream_is_kept_alive(start_service: StartService) -> None:
    """While the engine computes a long prompt, comments keep proxies from closing the connection."""
    service = start_service(sse_ping_seconds=0.02)
    response = service.chat("hi fake:prefill=0.15", stream=True)
    assert response.text.count(": ping\n\n") >= 2
    assert response.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_client_that_leaves_ends_its_answer(chunks: int, service: Service) -> None:
    """The sequence leaves the engine soon after the client does, and its slot is free."""
    assert service.engine is not None
    stream = service.openai.chat.completions.create(
        model="demo", messages=user("fake:count=100000 fake:delay=0.002"), max_tokens=100_000, stream=True
    )
    for _ in range(chunks):
        next(stream)
    assert service.engine.becomes_busy()
    stream.close()
    assert service.engine.becomes_idle()
    assert len(service.inflight) == 0


def test_a_stream_that_is_never_read_ends_its_answer(service: Service) -> None:
    """A client may leave before the first byte is written: what was begun for it is ended all the same."""
    body = {"messages": user("fake:count=100000 fake:delay=0.002"), "max_tokens": 100_000, "stream": True}
    response = cast(Exchange, service.app(create_environ(CHAT, method="POST", json=body), lambda *_: lambda _: None))
    assert service.engine is not None
    assert service.engine.becomes_busy()
    response.close()
    assert service.engine.becomes_idle()
    assert len(service.inflight) == 0


def test_many_streams_at_once(service: Service) -> None:
    """Answers that are computed together do not mix."""
    texts = [f"answer {number} {'x' * number}" for number in range(20)]
    create = service.openai.chat.completions.create
    streams = [create(model="demo", messages=user(text), stream=True) for text in texts]
    found = ["" for _ in texts]
    for _ in range(max(map(len, texts)) + 3):
        for at, stream in enumerate(streams):
            chunk = next(stream, None)
            found[at] += (chunk.choices[0].delta.content or "") if chunk else ""
    assert found == texts


# ---- around the answer


@pytest.mark.parametrize("stream", [False, True])
def test_the_request_id_is_echoed(stream: bool, service: Service) -> None:
    """A client's own id comes back, and names nothing."""
    body = {"messages": user("hello"), "stream": stream}
    response = service.http.post(CHAT, json=body, headers={"X-Request-Id": "my-id"})
    assert response.headers["X-Request-Id"] == "my-id"
    assert "my-id" not in response.text
    assert re.search('"chatcmpl-[0-9a-f]{32}"', response.text)


def test_a_request_id_is_made(service: Service) -> None:
    """Every answer has an id."""
    first, second = (service.chat("hello").headers["X-Request-Id"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


@pytest.mark.parametrize("stream", [False, True])
def test_ignored_fields_are_named(stream: bool, service: Service) -> None:
    """A field nobody knows is reported in a header and the debug log; one without effect is not."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="DEBUG", format="{message}")
    response = service.chat("hello", stream=stream, temprature=1, user="me", zoo=[1])
    logger.remove(sink)
    assert any("temprature, zoo" in line for line in lines)
    assert response.headers["X-Ignored-Fields"] == "temprature, zoo"
    assert "X-Ignored-Fields" not in service.chat("hello", user="me").headers


@pytest.mark.parametrize("name", ["a\nSet-Cookie: x=1", "ключ", "x" * 5000, "\x00"])
def test_a_field_name_cannot_break_the_header(name: str, service: Service) -> None:
    """Whatever a field is called, the response's headers stay whole."""
    response = service.chat("hello", **{name: 1})
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert len(response.headers["X-Ignored-Fields"]) <= 512


def test_an_answer_is_counted(service: Service) -> None:
    """Metrics know the answer: its tokens, its outcome, its latencies."""
    service.chat("hello")
    service.stream("hello")
    page = service.http.get("/metrics").text
    labels = 'engine="fake",model_name="demo"'
    assert 'stoker_request_success_total{engine="fake",finished_reason="stop",model_name="demo"} 2.0' in page
    assert f"stoker_generation_tokens_total{{{labels}}} 12.0" in page
    assert f"stoker_time_to_first_token_seconds_count{{{labels}}} 2.0" in page
    assert 'stoker_http_requests_total{method="POST",route="/v1/chat/completions",status="200"} 2.0' in page


def test_models_of_the_openai_client(service: Service) -> None:
    """`models.list` and `models.retrieve` work, and an unknown model is what openai calls NotFoundError."""
    assert [model.id for model in service.openai.models.list()] == ["demo", "ocr-tiny"]
    assert service.openai.models.retrieve("demo").owned_by == "stoker"
    with pytest.raises(openai.NotFoundError):
        service.openai.models.retrieve("other")
