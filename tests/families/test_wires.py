"""What a family's text becomes in chat completions, responses and messages: the same whole and byte by byte.

No process: a reader's pieces are an engine's events, which the wires' own builders and stream writers turn into bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from src.api.anthropic.messages import MessageWriter, _MessageBuilder
from src.api.generation.streaming import Event, StreamWriter
from src.api.openai import translation
from src.api.openai.chat import _ChatBuilder, _ChunkStream
from src.api.openai.response_builder import ResponseBuilder, ResponseWriter, first_response
from src.api.openai.schemas import ChatCompletionRequest
from src.api.openai.schemas_responses import ResponsesRequest
from src.api.wire import Wire
from src.engine.backend import Pieces
from src.ipc.messages.chat import Delta, Finished, FinishReason, GenerateRequest, Timings, Usage
from tests.families.cases import ONE, QUOTES, TWO, UNICODE, Call, Written
from tests.families.test_reading import ANSWER, THOUGHT, every, leaks, parser

REQUEST = GenerateRequest("r", "m", ())
BODY = ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
OWN = ResponsesRequest.model_validate({"model": "m", "input": "Hi", "store": False})


@pytest.fixture(autouse=True)
def _no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application knows which engine answers; here none does."""
    monkeypatch.setattr(translation, "fingerprint", lambda _: "fp")


# what a client got: its text, its thinking, its calls
Got = tuple[str, str, list[tuple[str, Any]]]


def events(written: Written, text: str, *, whole: bool, cut: bool = False) -> list[Event]:
    """As an engine sends them: a token is a letter, or the whole text."""
    one, made = parser(written), list[Event]()
    for at, token in enumerate([text] if whole else text):
        found = one.push(token) + (one.flush() if at == len(text) - 1 or whole else Pieces())
        if found != Pieces():
            made.append(Delta((at,), found.text, reasoning=found.reasoning, calls=found.calls))
    reason: FinishReason = "length" if cut else "tool_calls" if one.called else "stop"
    return [*made, Finished(reason, Usage(1, len(text)), Timings(0, 0, 0))]


def data(answer: Wire) -> dict[str, Any]:
    return dict(msgspec.json.decode(msgspec.json.encode(answer)))


def sent(writer: StreamWriter[Event], made: list[Event]) -> Iterator[dict[str, Any]]:
    """A stream's events, as their clients read them."""
    told = writer.begin(1) + b"".join(map(writer.event, made)) + writer.end()
    for line in told.decode().splitlines():
        if line.startswith("data: {"):
            yield msgspec.json.decode(line[6:])


class Sums:
    """An answer that grows."""

    def __init__(self) -> None:
        self.text = self.thought = ""
        self.calls: dict[int, list[str]] = {}

    def call(self, at: int, name: str, arguments: str = "") -> None:
        one = self.calls.setdefault(at, ["", ""])
        one[0] += name
        one[1] += arguments

    def got(self) -> Got:
        return self.text, self.thought, [(name, json.loads(text or "{}")) for name, text in self.calls.values()]


def chat(made: list[Event], *, whole: bool) -> Got:
    form, sums = _ChatBuilder(REQUEST, BODY, legacy=False), Sums()
    answers = [data(form.whole(made))] if whole else sent(_ChunkStream(form), made)
    for answer in answers:
        part = answer["choices"][0]["message" if whole else "delta"]
        sums.text += part.get("content") or ""
        sums.thought += part.get("reasoning_content") or ""
        for at, call in enumerate(part.get("tool_calls", ())):
            function = call["function"]
            sums.call(call.get("index", at), function.get("name") or "", function["arguments"])
    return sums.got()


def _from_items(output: list[dict[str, Any]]) -> Got:
    sums = Sums()
    for at, item in enumerate(output):
        if item["type"] == "function_call":
            sums.call(at, item["name"], item["arguments"])
            continue
        text = "".join(part["text"] for part in item["content"])
        sums.text += text if item["type"] == "message" else ""
        sums.thought += text if item["type"] == "reasoning" else ""
    return sums.got()


def responses(made: list[Event], *, whole: bool) -> Got:
    form = ResponseBuilder(first_response(REQUEST, OWN, BODY), {}, lambda _: None)
    if whole:
        return _from_items(data(form.whole(made))["output"])
    sums, last = Sums(), dict[str, Any]()
    for last in sent(ResponseWriter(form), made):
        kind, piece = last["type"], last.get("delta", "")
        if kind == "response.output_item.added" and last["item"]["type"] == "function_call":
            sums.call(last["output_index"], last["item"]["name"])
        elif kind == "response.function_call_arguments.delta":
            sums.call(last["output_index"], "", piece)
        sums.text += piece if kind == "response.output_text.delta" else ""
        sums.thought += piece if kind == "response.reasoning_text.delta" else ""
    assert _from_items(last["response"]["output"]) == sums.got(), "the last event has the whole response"
    return sums.got()


def messages(made: list[Event], *, whole: bool) -> Got:
    form, sums = _MessageBuilder(REQUEST), Sums()
    if whole:
        blocks = list(enumerate(data(form.whole(made))["content"]))
    else:
        blocks = [
            (event["index"], event.get("content_block") or event["delta"])
            for event in sent(MessageWriter(form), made)
            if event["type"] in ("content_block_start", "content_block_delta")
        ]
    for at, block in blocks:
        sums.text += block.get("text", "")
        sums.thought += block.get("thinking", "")
        if "name" in block or "partial_json" in block:
            arguments = json.dumps(block["input"]) if whole else block.get("partial_json", "")
            sums.call(at, block.get("name", ""), arguments)
    return sums.got()


def answers(written: Written) -> Iterator[tuple[str, Got]]:
    """Texts of a family, and what a client is to get of each."""
    thought, thinks = (written.thought(THOUGHT), THOUGHT) if written.thought is not None else ("", "")
    made: list[Call] = [ONE, QUOTES, TWO, UNICODE]
    yield thought + written.answer(ANSWER), (ANSWER, thinks, [])
    yield thought + written.calls(made), ("", thinks, made)


@every
def test_the_same_whole_and_byte_by_byte(written: Written) -> None:
    for text, expected in answers(written):
        once, growing = events(written, text, whole=True), events(written, text, whole=False)
        for wire in (chat, responses, messages):
            assert wire(once, whole=True) == expected, wire
            assert wire(growing, whole=False) == expected, wire


@every
def test_a_cut_leaks_no_mark_in_any_wire(written: Written) -> None:
    """At max_tokens: what the client sees of a thought and a call is what the reader gave, and of no mark a piece."""
    text = (written.thought(THOUGHT) if written.thought is not None else "") + written.calls([ONE])
    for cut in range(len(text) // 3, len(text), len(text) // 4):
        made = events(written, text[:cut], whole=False, cut=True)
        for writer in (
            _ChunkStream(_ChatBuilder(REQUEST, BODY, legacy=False)),
            ResponseWriter(ResponseBuilder(first_response(REQUEST, OWN, BODY), {}, lambda _: None)),
            MessageWriter(_MessageBuilder(REQUEST)),
        ):
            shown = "".join(_strings(event) for event in sent(writer, made))
            assert leaks(written, Pieces(text=shown)) == [], text[:cut]


def _strings(value: Any) -> str:
    if isinstance(value, dict | list):
        return "".join(map(_strings, value.values() if isinstance(value, dict) else value))
    return value if isinstance(value, str) else ""
