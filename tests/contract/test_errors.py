"""Every error a client can meet: one envelope, the right status, the parameter's name, and a service unharmed."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
import zstandard
from werkzeug.test import create_environ, run_wsgi_app

from tests.contract.conftest import Service, StartService, events, text_of
from tests.unit.api.openai.test_schemas import ASKING, WRONG

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
MIB = 1 << 20
# other servers' words and unknown fields, which the route takes before it checks (test_spellings)
TAKEN = ("'color'", "'max_tokens': -1}")
WRONG_IN_JSON = [(each, param) for each, param in WRONG if not any(word in str(each) for word in ("nan", *TAKEN))]


def check(response: httpx.Response, status: int, code: str, param: str | None) -> dict[str, Any]:
    """The envelope, to the last key."""
    body = response.json()
    assert (response.status_code, body["error"]["code"], body["error"]["param"]) == (status, code, param), body
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert response.headers["Content-Type"] == "application/json"
    assert len(body["error"]["message"]) > 10
    error: dict[str, Any] = body["error"]
    return error


# ---- what is no request at all

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"messages": [',
    "python": b"{'messages': []}",
    "trailing comma": b'{"messages": [],}',
    "trailing text": b"{} {}",
    "NaN": b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    "Infinity": b'{"temperature": -Infinity}',
    "a float beyond all floats": b'{"temperature": 1e999}',
    "an integer of 5000 digits": b'{"max_tokens": ' + b"9" * 5000 + b"}",
    "invalid UTF-8": b'{"messages": "\xff\xfe"}',
    "UTF-16": '{"messages": []}'.encode("utf-16"),
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"messages": []}',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a list": b"[]",
    "a string": b'"hello"',
    "null": b"null",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_body_that_is_no_request(body: bytes, service: Service) -> None:
    """What cannot be read as a JSON object is a 400 about the body."""
    response = service.http.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    check(response, 400, "invalid_value", "body")
    assert service.works()


@pytest.mark.parametrize("coding", [None, "gzip", "deflate", "zstd"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_body_may_be_compressed_and_begin_with_a_mark(mark: bytes, coding: str | None, service: Service) -> None:
    """Windows' tools write a byte order mark, Codex may compress: the request is the same."""
    coders: dict[str | None, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.compress,
        None: bytes,
    }
    data = coders[coding](mark + b'{"messages": [{"role": "user", "content": "as ever"}]}')
    headers = {"Content-Type": "application/json", **({"Content-Encoding": coding} if coding else {})}
    response = service.http.post(CHAT, content=data, headers=headers)
    assert response.json()["choices"][0]["message"]["content"] == "as ever"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=b", "", None])
def test_another_content_type(kind: str | None, service: Service) -> None:
    """JSON has to say that it is JSON."""
    headers = {} if kind is None else {"Content-Type": kind}
    response = service.http.post(CHAT, content=json.dumps({"messages": HELLO}), headers=headers)
    check(response, 415, "unsupported_media_type", None)


def test_a_content_type_with_a_charset(service: Service) -> None:
    """`application/json; charset=utf-8` is JSON too."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    response = service.http.post(CHAT, content=json.dumps({"messages": HELLO}), headers=headers)
    assert response.status_code == 200


# ---- wrong values


@pytest.mark.parametrize(("fields", "param"), WRONG_IN_JSON, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_value(fields: dict[str, Any], param: str, stream: bool, service: Service) -> None:
    """A wrong value is a 400 that names the parameter; streaming changes nothing, since nothing was sent yet."""
    body = {"messages": HELLO, "stream": stream, **fields}
    response = service.http.post(CHAT, json=body)
    found = response.json()["error"]["param"]
    assert found.removesuffix("[0]") == param.removesuffix("[0]")
    check(response, 400, "invalid_value", found)


@pytest.mark.parametrize("name", ASKING)
def test_an_unsupported_field(name: str, service: Service) -> None:
    """What this engine cannot do is refused by name, as the openai client's BadRequestError."""
    with pytest.raises(openai.BadRequestError) as caught:
        service.openai.chat.completions.create(model="demo", messages=HELLO, extra_body={name: ASKING[name]})  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.param) == ("unsupported_value", name)
    check(service.chat("hello", **{name: ASKING[name]}), 400, "unsupported_value", name)


@pytest.mark.parametrize("field", ["messages", "content"])
def test_a_missing_field(field: str, service: Service) -> None:
    """What is missing is named."""
    body = {} if field == "messages" else {"messages": [{"role": "user"}]}
    param = "messages" if field == "messages" else "messages[0].content"
    check(service.http.post(CHAT, json=body), 400, "invalid_value", param)


@pytest.mark.parametrize("model", ["gpt-4", "../../etc/passwd", "demo ", "DEMO", "你好"])
def test_an_unknown_model(model: str, service: Service) -> None:
    """The openai client raises NotFoundError; the text names the models there are."""
    error = check(service.chat("hello", model=model), 404, "model_not_found", "model")
    assert "demo" in error["message"]
    with pytest.raises(openai.NotFoundError):
        service.openai.chat.completions.create(model=model, messages=HELLO)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "fields", "param"),
    [
        ("x" * 200, {}, "messages"),
        ("x" * 200, {"max_tokens": 1}, "messages"),
        ("x", {"max_tokens": 100, "strict": True}, "max_tokens"),
        ("x", {"max_completion_tokens": 64, "strict": True}, "max_tokens"),
    ],
)
def test_a_context_that_is_too_small(
    content: str, fields: dict[str, Any], param: str, start_service: StartService
) -> None:
    """A prompt, or under STRICT_FIELDS its max_tokens, beyond the model's context is refused with the numbers."""
    service = start_service(max_model_len=64, strict_fields=fields.pop("strict", False))
    error = check(service.chat(content, **fields), 400, "context_length_exceeded", param)
    assert "64" in error["message"]
    check(service.chat(content, stream=True, **fields), 400, "context_length_exceeded", param)
    assert service.works()


# ---- HTTP


def test_a_body_over_the_limit(service: Service) -> None:
    """With a Content-Length the refusal comes at once, on every route."""
    big = json.dumps({"messages": [{"role": "user", "content": "x" * MIB}]})
    headers = {"Content-Type": "application/json"}
    error = check(service.http.post(CHAT, content=big, headers=headers), 413, "payload_too_large", "body")
    assert "1 MiB" in error["message"]
    assert service.http.post("/v1/ocr", content=big, headers=headers).status_code == 413
    assert service.works()


@pytest.mark.parametrize(("size", "status"), [(MIB + 1, 413), (1000, 200)])
def test_a_chunked_body(size: int, status: int, service: Service) -> None:
    """Without a length the body is counted while it is read: too much is a 413, never a body cut short."""
    start, end = b'{"messages": [{"role": "user", "content": "', b'"}]}'
    content = start + b"x" * (size - len(start) - len(end)) + end
    environ = create_environ(CHAT, method="POST", input_stream=io.BytesIO(content), content_type="application/json")
    environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    environ.pop("CONTENT_LENGTH", None)
    chunks, line, _ = run_wsgi_app(service.app, environ, buffered=True)
    body = json.loads(b"".join(chunks))
    assert int(line[:3]) == status
    if status == 200:
        assert body["choices"][0]["message"]["content"] == "x" * (size - len(start) - len(end))
    else:
        assert (body["error"]["code"], body["error"]["param"]) == ("payload_too_large", "body")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, {"POST", "OPTIONS"}),
        ("DELETE", "/v1/models", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/v1/ocr", {"POST", "OPTIONS"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method(method: str, path: str, allowed: set[str], service: Service) -> None:
    """405 says which methods there are."""
    response = service.http.request(method, path)
    check(response, 405, "method_not_allowed", None)
    assert {part.strip() for part in response.headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize("path", ["/v1/unknown", "/v1/chat/completions/", "/../etc/passwd", "/%00", "/v1/models/x/y"])
def test_an_unknown_route(path: str, service: Service) -> None:
    """404 is in the envelope too, and repeats nothing of the path."""
    response = service.http.get(path)
    code, param = ("model_not_found", "model") if path.startswith("/v1/models/") else ("not_found", None)
    error = check(response, 404, code, param)
    assert "passwd" not in error["message"]


def test_the_root(service: Service) -> None:
    """Clients look there for a server: both say so, and GET names where the routes are listed."""
    assert service.http.head("/").status_code == 200
    found = service.http.get("/")
    assert (found.status_code, found.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert "/docs" in found.text


# ---- the engine


@pytest.mark.parametrize("stream", [False, True])
def test_no_engine(stream: bool, start_service: StartService) -> None:
    """Without an engine the answer is a 503 that says when to come back, never a stream that hangs."""
    service = start_service(engine=False)
    response = service.chat("hello", stream=stream)
    check(response, 503, "backend_unavailable", None)
    assert int(response.headers["Retry-After"]) >= 1
    assert len(service.inflight) == 0
    service.start_engine()
    assert service.works()


def test_an_engine_that_dies_in_a_stream(service: Service) -> None:
    """The tokens that came are shown, then one error event ends the stream; [DONE] is never sent."""
    stream = service.stream("hello fake:hang=3")
    assert text_of(stream) == "hel"
    assert "[DONE]" not in stream
    (error,) = [event["error"] for event in stream if "error" in event]
    assert stream[-1]["error"] is error
    assert (error["code"], set(error)) == ("engine_crashed", {"message", "type", "param", "code"})
    assert len(service.inflight) == 0
    service.start_engine()
    assert service.works()


def test_the_openai_client_sees_the_error_in_a_stream(service: Service) -> None:
    """For the openai client an error event is an exception, so no program takes half an answer for a whole one."""
    create = service.openai.chat.completions.create
    stream = create(model="demo", messages=[{"role": "user", "content": "hello fake:hang=3"}], stream=True)
    with pytest.raises(openai.APIError, match="engine died"):
        list(stream)


def test_an_engine_that_dies_before_the_end_of_a_whole_answer(service: Service) -> None:
    """A whole answer is whole or an error."""
    response = service.chat("hello fake:hang=3")
    check(response, 503, "engine_crashed", None)
    assert int(response.headers["Retry-After"]) >= 1


def test_an_engine_that_dies_under_many(service: Service) -> None:
    """A failed step ends every request that was in it, each with its one error."""
    bodies = [{"messages": [{"role": "user", "content": f"fake:count=9999 fake:delay=0.001 {n}"}]} for n in range(4)]
    requests = [service.http.build_request("POST", CHAT, json={**body, "stream": True}) for body in bodies]
    streams = [service.http.send(request, stream=True) for request in requests]
    assert service.engine is not None
    assert service.engine.becomes_busy(4)
    check(service.chat("fake:error"), 503, "engine_crashed", None)
    for response in streams:
        found = events(response.read().decode())
        assert [event["error"]["code"] for event in found if "error" in event] == ["engine_crashed"]
        assert "[DONE]" not in found


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_takes_too_long(stream: bool, start_service: StartService) -> None:
    """The engine ends it at the deadline; others go on."""
    service = start_service(request_timeout=0.1)
    response = service.chat("abc fake:count=100000 fake:delay=0.01", stream=stream, max_tokens=100_000)
    if stream:
        found = events(response.text)
        assert "[DONE]" not in found
        assert found[-1]["error"]["code"] == "deadline_exceeded"
        assert text_of(found)
    else:
        check(response, 504, "deadline_exceeded", None)
    assert service.engine is not None
    assert service.engine.becomes_idle()
    assert service.works()


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_may_shorten_its_time(stream: bool, service: Service) -> None:
    """X-Request-Timeout: past it the error says the seconds, the tokens made so far, and what to do."""
    body = {"messages": [{"role": "user", "content": "fake:count=9999 fake:delay=0.01"}], "max_tokens": 9999}
    headers = {"X-Request-Timeout": "0.3"}
    response = service.http.post(CHAT, json={**body, "stream": stream}, headers=headers)
    error = events(response.text)[-1]["error"] if stream else check(response, 504, "deadline_exceeded", None)
    assert error["code"] == "deadline_exceeded"
    told = re.search(r"time budget after (\d+) s and (\d+) tokens", error["message"])
    assert told is not None
    assert 1 <= int(told[2]) <= 40
    assert "max_tokens" in error["message"]
    assert service.engine is not None
    assert service.engine.becomes_idle()


# ---- too much, and the end


def hold(service: Service) -> httpx.Response:
    """A stream that stays open until it is closed."""
    body = {"messages": [{"role": "user", "content": "fake:count=100000 fake:delay=0.005"}], "max_tokens": 100_000}
    return service.http.send(service.http.build_request("POST", CHAT, json={**body, "stream": True}), stream=True)


def test_too_many_requests_in_flight(start_service: StartService) -> None:
    """Beyond MAX_CONCURRENT_REQUESTS the answer is 429 with Retry-After, until one has ended."""
    service = start_service(max_concurrent_requests=2)
    held = [hold(service) for _ in range(2)]
    response = service.chat("hello")
    error = check(response, 429, "overloaded", None)
    assert error["type"] == "rate_limit_error"
    assert int(response.headers["Retry-After"]) >= 1
    with pytest.raises(openai.RateLimitError):
        service.openai.chat.completions.create(model="demo", messages=HELLO)  # type: ignore[arg-type]
    assert 'stoker_rate_limited_total{scope="/v1/chat/completions"} 2.0' in service.http.get("/metrics").text
    for stream in held:
        stream.close()
    assert service.works()


def test_too_many_requests_for_the_engine(start_service: StartService) -> None:
    """The engine's queue is bounded too: one more than runs and waits is refused, and nothing is harmed."""
    service = start_service(max_num_seqs=1, max_queue_size=1, max_concurrent_requests=10)
    held = [hold(service) for _ in range(2)]
    response = service.chat("hello")
    error = check(response, 429, "overloaded", None)
    assert "MAX_QUEUE_SIZE" in error["message"]
    assert response.headers["Retry-After"]
    for stream in held:
        stream.close()
    assert service.engine is not None
    assert service.engine.becomes_idle()
    assert service.works()


def test_a_service_that_shuts_down(service: Service) -> None:
    """Nothing new is taken, what runs goes on, and what has not ended by then ends with an error event."""
    stream = hold(service)
    lines = stream.iter_lines()
    next(lines)
    service.inflight.begin_drain()
    response = service.chat("hello")
    check(response, 503, "server_shutdown", None)
    assert int(response.headers["Retry-After"]) >= 1
    assert service.http.get("/livez").status_code == 200
    service.inflight.end_all()
    rest = [line for line in lines if line]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "server_shutdown"
    assert "data: [DONE]" not in rest
    assert len(service.inflight) == 0
    assert service.engine is not None
    assert service.engine.becomes_idle()
