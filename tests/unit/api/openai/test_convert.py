"""Between OpenAI's shapes and our messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from src.api.openai import convert
from src.api.openai.convert import ChunkWriter
from src.api.openai.result_pictures import ResultPictures
from src.api.openai.schemas import ChatCompletionRequest, FileIn
from src.errors import InvalidRequest
from src.ipc.messages.chat import (
    ChatMessage,
    GenerateRequest,
    ImagePart,
    PredictionUsage,
    Sampling,
    ToolChoice,
    Usage,
)
from tests.unit.api.fakes import delta, finished

HELLO = [{"role": "user", "content": "hello"}]


def generate(**fields: Any) -> GenerateRequest:
    body = ChatCompletionRequest.model_validate({"messages": HELLO, **fields})
    return convert.to_generate(body, "req-1", "demo", convert.Headers(), convert.PartSources(fetch, read))


def fetch(url: str, param: str) -> bytes:
    return f"{url} for {param}".encode()


def read(file: FileIn, param: str, *, in_result: bool) -> convert.Parts:
    picture = (ImagePart(b"page"),) if file.filename == "scan" else ()
    return f"\n{file.filename} for {param}{' in a result' if in_result else ''}", *picture


def plain(wire: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(wire))


def test_what_a_body_leaves_out_is_left_to_the_model() -> None:
    """Defaults are the engine's to choose: nothing is invented on the way."""
    request = generate(seed=7)
    tools = ToolChoice("none")
    sampling = Sampling(seed=7, seeded=True)
    expected = GenerateRequest("req-1", "demo", (ChatMessage("user", "hello"),), sampling, tool_choice=tools)
    assert request == expected
    assert (request.sampling.temperature, request.sampling.top_p, request.max_tokens) == (None, None, None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"stop": "a"}, {"stop": ("a",)}),
        ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"stop": None}, {"stop": ()}),
        ({"stop": []}, {"stop": ()}),
    ],
)
def test_a_field_reaches_the_engine(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each field arrives under the engine's name for it."""
    request = generate(**fields)
    assert {name: getattr(request, name) for name in expected} == expected


def test_an_image_is_taken_as_it_comes_or_fetched() -> None:
    """A data URL crosses the wire unread; another URL is fetched, and the fetcher told where it stood."""
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
    urls = [{"type": "image_url", "image_url": {"url": url}} for url in (dot, "https://a.example.com/x.png")]
    (message,) = generate(messages=[{"role": "user", "content": [{"type": "text", "text": "Look:"}, *urls]}]).messages
    fetched = b"https://a.example.com/x.png for messages[0].content[2].image_url.url"
    assert message.parts == ("Look:", ImagePart(dot.encode()), ImagePart(fetched))


@pytest.mark.parametrize(("temperature", "top_p"), [(0, 0), (0.0, 1), (1, 0.5), (2, 1.0)])
def test_sampling_arrives(temperature: float, top_p: float) -> None:
    """Zero is a value, not the absence of one."""
    sampling = generate(temperature=temperature, top_p=top_p).sampling
    assert (sampling.temperature, sampling.top_p) == (temperature, top_p)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"role": "developer", "content": "be brief"}, ("system", "be brief")),
        ({"role": "system", "content": "be brief"}, ("system", "be brief")),
        ({"role": "assistant", "content": None}, ("assistant", "")),
        ({"role": "assistant"}, ("assistant", "")),
        ({"role": "user", "content": ""}, ("user", "")),
        ({"role": "user", "content": []}, ("user", "")),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ("user", "ab")),
        ({"role": "user", "content": "x", "name": "bob"}, ("user", "x", "bob")),
    ],
)
def test_a_turn(turn: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Roles and contents become what a chat template understands."""
    assert generate(messages=[turn]).messages == (ChatMessage(*expected),)


def test_a_turn_without_content_is_named() -> None:
    """Only an assistant's turn may be empty; the error says which turn it was."""
    with pytest.raises(InvalidRequest) as caught:
        generate(messages=[*HELLO, {"role": "user"}])
    assert caught.value.param == "messages[1].content"


def test_stream_options_need_a_stream() -> None:
    """What makes no sense together is refused, as OpenAI does."""
    with pytest.raises(InvalidRequest) as caught:
        generate(stream_options={"include_usage": True})
    assert caught.value.param == "stream_options"
    assert generate(stream=True, stream_options={"include_usage": True}).id == "req-1"


def test_a_whole_answer() -> None:
    """All texts together, the reason, and the usage that adds up."""
    events = [delta(1, text="he"), delta(2, text=""), delta(3, text="llo"), finished("length", 7, 3)]
    assert plain(convert.completion(events, "chatcmpl-1", 123, "demo")) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 123,
        "model": "demo",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello", "refusal": None},
                "finish_reason": "length",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 3,
            "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def test_usage_adds_up() -> None:
    """The total is the sum."""
    assert convert.usage(Usage(4, 6)).total_tokens == 10


def test_usage_tells_what_came_of_a_prediction() -> None:
    """By OpenAI's names; nothing where none was used."""
    told = plain(convert.usage(Usage(4, 6, prediction=PredictionUsage(5, 2))))["completion_tokens_details"]
    assert told == {"accepted_prediction_tokens": 5, "rejected_prediction_tokens": 2}


@pytest.mark.parametrize("content", ["abc", [{"type": "text", "text": "a"}, {"type": "text", "text": "bc"}]])
def test_a_prediction_is_its_text(content: object) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "prediction": {"type": "content", "content": content}}
    assert generate(**body).prediction == "abc"


@pytest.mark.parametrize("include_usage", [False, True])
def test_chunks(include_usage: bool) -> None:
    """A stream is: the role, the texts, the reason; with include_usage also `usage: null` each and the usage last."""
    writer = ChunkWriter("chatcmpl-1", 123, "demo", include_usage=include_usage)
    chunks = [plain(c) for c in (writer.first(), writer.delta(delta(1, text="hi")), *writer.finished(finished()))]
    body = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert [choice["delta"] for choice in body] == [{"role": "assistant", "content": ""}, {"content": "hi"}, {}]
    assert [choice["finish_reason"] for choice in body] == [None, None, "stop"]
    assert {(chunk["id"], chunk["object"], chunk["created"]) for chunk in chunks} == {
        ("chatcmpl-1", "chat.completion.chunk", 123)
    }
    usages = [chunk.get("usage", "absent") for chunk in chunks]
    counts = {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert usages == ([None, None, None, counts] if include_usage else ["absent"] * 3)


def test_a_file_is_text_in_its_place() -> None:
    """On a line of its own; whose result it belongs to is told, for a tool's turn and the user's behind it."""
    part = {"type": "file", "file": {"file_data": "x", "filename": "a"}}
    user = {"role": "user", "content": [{"type": "text", "text": "b"}, part]}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    tool = {"role": "tool", "tool_call_id": "c", "content": [part]}
    made = generate(messages=[user, {"role": "assistant", "tool_calls": [call]}, tool, user]).messages
    assert made[0].content == "b\na for messages[0].content[1]"
    assert made[2].content == "\na for messages[2].content[0] in a result"
    assert made[3].content == "b\na for messages[3].content[1] in a result"
    assert not any(message.parts for message in made)
    part["file"] = {"file_data": "x", "filename": "scan"}
    pictured = generate(messages=[user])
    assert pictured.has_images
    assert pictured.messages[0].parts == ("b", "\nscan for messages[0].content[1]", ImagePart(b"page"))
    with pytest.raises(InvalidRequest, match="user"):
        generate(messages=[*HELLO, {"role": "assistant", "content": [part]}])


def test_pictures_of_results_that_are_not_shown() -> None:
    """The earliest are left out where there are too many; the user's own are not."""
    noted: list[str] = []
    shown = {"type": "image_url", "image_url": {"url": "http://a"}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": [shown]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [shown, shown]},
    ]
    body = ChatCompletionRequest.model_validate({"messages": turns})
    assert (body.images, body.result_images) == (3, 2)
    results = ResultPictures(noted.append, sees=True, too_many=1)
    sources = convert.PartSources(fetch, read, results.stand_in)
    made = convert.to_generate(body, "req-1", "demo", convert.Headers(), sources).messages
    assert [sum(isinstance(part, ImagePart) for part in turn.parts) for turn in made] == [1, 0, 1]
    assert made[2].content == "[an earlier picture, not shown again]"
    assert noted == ["messages.image"]
