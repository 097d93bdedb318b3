"""What real servers streamed (recorded/) and what it means: the same request, the same events, whoever answers."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from src.engine.upstream.dialects import LLAMA_CPP_PYTHON, LLAMA_SERVER, OPENAI, VLLM, Dialect, ServerFacts, fit
from src.engine.upstream.response import Translation
from src.engine.upstream.stream import DONE, Events
from src.errors import InternalError
from src.ipc.messages.chat import (
    ChatMessage,
    ChoiceEnded,
    Delta,
    Finished,
    GenerateRequest,
    PromptProgress,
    Timings,
    ToolCall,
    Usage,
)
from tests.unit.engine.upstream.record import REQUESTS

DIALECTS = {dialect.name: dialect for dialect in (VLLM, LLAMA_SERVER, LLAMA_CPP_PYTHON)}
RECORDED = Path(__file__).parent / "recorded"
TIMINGS = Timings(0.0, 0.1, 0.2)

every_server = pytest.mark.parametrize("server", DIALECTS)
# llama_cpp.server tells no usage in a stream, and has one choice whatever is asked (`Dialect.lacks`)
telling = pytest.mark.parametrize("server", ["vllm", "llama-server"])


class Heard:
    """All that one recorded stream says."""

    def __init__(self, server: str, name: str) -> None:
        translation = Translation(REQUESTS.get(name, REQUESTS["chat"]), DIALECTS[server])
        data = Events().feed((RECORDED / server / f"{name}.sse").read_bytes())
        assert data.pop() == DONE
        self.events = [event for one in data for event in translation.feed(one)]
        assert translation.complete
        self.finished: Finished = translation.finished(TIMINGS)
        self.deltas = [event for event in self.events if isinstance(event, Delta)]

    def text(self, index: int = 0) -> str:
        return "".join(delta.text for delta in self.deltas if delta.index == index)

    def call(self) -> ToolCall:
        pieces = [call for delta in self.deltas for call in delta.calls]
        first = pieces[0]
        return ToolCall(first.id or "", first.name or "", "".join(piece.arguments for piece in pieces))


def test_what_is_cached_of_an_answer_is_none_of_its_prompt() -> None:
    """Of one that went on at a server that had outlived the process before: the prompt it was asked had both."""
    translation = Translation(REQUESTS["chat"], VLLM, kept=8)
    usage = {"prompt_tokens": 20, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 16}}
    choices = [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]
    translation.feed(json.dumps({"choices": choices, "usage": usage}).encode())
    assert translation.finished(TIMINGS).usage == Usage(12, 10, 12)


@every_server
def test_text(server: str) -> None:
    """Text, an end, and how long it was; no token ids, so that nobody takes it for what can be gone on with."""
    heard = Heard(server, "chat")
    assert heard.text() == "I am Stoker's small demo model."
    assert (heard.finished.reason, heard.finished.stop) == ("length", None)
    assert sum(delta.count for delta in heard.deltas) == heard.finished.usage.completion_tokens == 8
    assert not any(delta.tokens for delta in heard.deltas)


def told(*events: dict[str, object], dialect: Dialect = VLLM, kept: int = 0, dropped: int = 0) -> list[Delta]:
    """The deltas of these events, in a greedy answer whose ids are asked for."""
    translation = Translation(REQUESTS["chat"], dialect, kept, dropped)
    found = [delta for event in events for delta in translation.feed(json.dumps(event).encode())]
    return [delta for delta in found if isinstance(delta, Delta)]


def chunk(text: str, ids: list[int], so_far: int, finish: str | None = None, **delta: str) -> dict[str, object]:
    """As vLLM says it to who asks for ids."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "token_ids": ids, "finish_reason": finish}
    return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": so_far}}


def test_llamas_token_ids() -> None:
    """What it streamed to who asks for them: each token's id, and no scores that nobody asked for."""
    heard = Heard("llama-server", "told")
    assert heard.text() == "I'm a helpful AI designed to assist"
    assert [token for delta in heard.deltas for token in delta.tokens] == [57, 5248, 253, 5356, 5646, 2724, 288, 4237]
    assert not any(delta.unreported_tokens or delta.logprobs for delta in heard.deltas)
    assert heard.finished.usage.completion_tokens == 8


def test_llama_tells_the_last_id_alone_of_a_character_it_held_back() -> None:
    """An emoji of three tokens: the count tells, and nobody takes the answer for what can be gone on with."""
    heard = Heard("llama-server", "held")
    assert heard.text()
    assert not any(delta.tokens for delta in heard.deltas)
    assert heard.deltas[0].unreported_tokens == 3


def test_vllms_token_ids() -> None:
    """Also of what is held back; the end mark is no token of the answer."""
    found = told(chunk("a", [1], 1), chunk("", [2, 3], 3), chunk("é", [4], 4), chunk("", [5], 5, "stop"))
    assert [(delta.text, delta.tokens) for delta in found] == [("a", (1,)), ("", (2, 3)), ("é", (4,))]
    assert not any(delta.unreported_tokens for delta in found)


@pytest.mark.parametrize(
    "event", [chunk("b", [2], 3), chunk("b", [], 2), chunk("", [2], 2, reasoning="b"), {"choices": [{"text": "b"}]}]
)
def test_ids_that_are_not_all_are_none(event: dict[str, object]) -> None:
    """A count that does not fit, a server that stops telling, or thinking, which is told apart: from here on the answer
    cannot go on elsewhere."""
    found = told(chunk("a", [1], 1), event, chunk("c", [9], 4))
    assert [delta.tokens for delta in found] == [(1,), (), ()]
    assert all(delta.unreported_tokens for delta in found[1:])


def test_ids_the_client_has_already() -> None:
    """Their text comes now; the counts are of the whole answer."""
    found = told(chunk("é", [2, 3], 2), chunk("b", [4], 3), kept=5, dropped=2)
    assert [(delta.text, delta.tokens) for delta in found] == [("é", ()), ("b", (4,))]


@telling
def test_usage_is_the_servers_own(server: str) -> None:
    """Prompt and answer as the server counted them."""
    assert Heard(server, "chat").finished.usage == Usage(15, 8, 0)


@telling
def test_the_prompts_length_is_known_before_the_first_text(server: str) -> None:
    """vLLM tells it with its first chunk, llama-server as it begins with the prompt."""
    translation = Translation(REQUESTS["chat"], DIALECTS[server])
    data = Events().feed((RECORDED / server / "chat.sse").read_bytes())
    assert translation.feed(data[0]) == []
    assert translation.prompt_tokens == 15


@every_server
def test_log_probabilities(server: str) -> None:
    """Of each token that came and of the two likeliest at its place, in bytes, best first."""
    scores = [score for delta in Heard(server, "scored").deltas for score in delta.logprobs]
    assert [score.chosen.text for score in scores] == [b"I", b" am", b" Stoker"]
    for score in scores:
        assert score.top[0].text == score.chosen.text  # greedy
        assert len(score.top) == 2
        assert 0 > score.top[0].logprob > score.top[1].logprob
    assert scores[0].chosen.logprob == pytest.approx(-0.0031, abs=2e-4)  # three servers, one model


@every_server
def test_log_probabilities_without_a_conversation(server: str) -> None:
    """/v1/completions has an older form of them in vLLM and llama_cpp.server; the answer is the same."""
    scores = [score for delta in Heard(server, "raw").deltas for score in delta.logprobs]
    assert [score.chosen.text for score in scores] == [b" se", b"a", b"a"]
    assert scores[0].chosen.logprob == pytest.approx(-2.246, abs=0.01)
    assert all(len(score.top) == 2 and score.top[0].logprob >= score.top[1].logprob for score in scores)


@every_server
def test_stop_strings(server: str) -> None:
    """They end the answer and are not shown; vLLM alone says which it was."""
    heard = Heard(server, "stopped")
    assert (heard.text().strip(), heard.finished.reason) == ("I", "stop")
    assert heard.finished.stop == (" am" if server == "vllm" else None)


@telling
def test_choices(server: str) -> None:
    """Each has its text and its end; the last end is the outcome, with the counts of all."""
    heard = Heard(server, "choices")
    assert {delta.index for delta in heard.deltas} == {0, 1}
    ended = [event for event in heard.events if isinstance(event, ChoiceEnded)]
    assert {ended[0].index, heard.finished.index} == {0, 1}
    assert heard.finished.usage == Usage(15, 6, heard.finished.usage.cached_tokens)


@every_server
@pytest.mark.parametrize("wish", ["named", "required"])
def test_a_tool_that_must_be_called(wish: str, server: str) -> None:
    """The answer's form is the call: with an id of ours, its arguments as JSON, and no text beside it."""
    heard = Heard(server, wish)
    call = heard.call()
    assert call.id.startswith("call_")
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Rome"})
    assert heard.text() == ""
    assert heard.finished.reason == ("stop" if wish == "named" else "tool_calls")


def test_a_call_cut_short_is_shown_as_text() -> None:
    """Nothing a model said is dropped."""
    translation = Translation(REQUESTS["required"], LLAMA_SERVER)
    translation.feed(b'{"choices":[{"delta":{"content":"{\\"name\\": \\"wea"}}]}')
    (delta,) = translation.feed(b'{"choices":[{"delta":{},"finish_reason":"length"}]}')
    assert delta == Delta((), '{"name": "wea')
    assert translation.finished(TIMINGS).reason == "length"


def test_thinking_and_calls_of_the_models_own() -> None:
    """Both names of reasoning, and calls in pieces, as servers with a parser for the model send them."""
    translation = Translation(REQUESTS["chat"], OPENAI)
    first, second, third = (
        *translation.feed(b'{"choices":[{"delta":{"reasoning":"hm"}}]}'),
        *translation.feed(b'{"choices":[{"delta":{"reasoning_content":"so"}}]}'),
        *translation.feed(
            b'{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"c","function":{"name":"f","arguments":""}}]}}]}'
        ),
    )
    assert isinstance(first, Delta)
    assert isinstance(second, Delta)
    assert isinstance(third, Delta)
    assert (first.reasoning, second.reasoning) == ("hm", "so")
    assert [(call.index, call.id, call.name, call.arguments) for call in third.calls] == [(1, "c", "f", "")]
    translation.feed(b'{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}')
    assert translation.finished(TIMINGS).reason == "tool_calls"


def test_a_failure_in_the_middle() -> None:
    """An error event is the request's error; the server's words about itself stay here."""
    translation = Translation(REQUESTS["chat"], VLLM)
    with pytest.raises(InternalError):
        translation.feed(b'{"error":{"message":"EngineCore died","type":"InternalServerError","code":500}}')


def test_events_come_in_any_pieces() -> None:
    """However the network cuts it, the same events; comments and other lines are passed over."""
    stream = b': ping\r\n\r\ndata: {"a":1}\r\n\r\nevent: x\ndata:{"b":"\xc3\xa9"}\n\ndata: [DONE]\n\n'
    whole = Events().feed(stream)
    assert whole == [b'{"a":1}', b'{"b":"\xc3\xa9"}', DONE]
    for size in (1, 2, 3, 7):
        events = Events()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [data for piece in pieces for data in events.feed(piece)] == whole


@pytest.mark.parametrize(
    ("stream", "asks", "told"), [(True, True, [400, 1000]), (True, False, [400]), (False, False, [])]
)
def test_progress_of_llama_cpp_is_passed_on(*, stream: bool, asks: bool, told: list[int]) -> None:
    """To streams; the end of the prompt to whoever asks."""
    request = GenerateRequest("r", "m", (ChatMessage("user", "x"),), stream=stream, progress=asks)
    translation = Translation(request, LLAMA_SERVER)
    found = [event for done in (400, 1000) for event in translation.feed(_progress(done))]
    assert found == [PromptProgress(1000, done, 100, done / 1000) for done in told]
    assert translation.prompt_tokens == 1000


def _progress(done: int) -> bytes:
    told = {"total": 1000, "cache": 100, "processed": done, "time_ms": done}
    choice = {"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}
    return json.dumps({"choices": [choice], "prompt_progress": told}).encode()


def test_who_cannot_tell_progress_says_so() -> None:
    request = GenerateRequest("r", "m", (ChatMessage("user", "x"),), stream=True, progress=True)
    assert fit(request, ServerFacts(VLLM, "m"))[1] == ("stream_options.include_progress",)
    assert fit(request, ServerFacts(LLAMA_SERVER, "m"))[1] == ()


@pytest.mark.parametrize("tokens", [-5, 1 << 70])
def test_a_count_that_is_none_is_no_servers(tokens: int) -> None:
    """A key's budget is charged by it, and SQLite holds no more than 63 bits."""
    usage = {"prompt_tokens": 3, "completion_tokens": tokens}
    with pytest.raises(msgspec.DecodeError):
        Translation(REQUESTS["chat"], VLLM).feed(json.dumps({"choices": [], "usage": usage}).encode())
