"""An upstream engine on its socket, over a server that stands in: outcomes, cancellation, deadlines, deaths."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from src.engine.upstream.client import Client
from src.engine.upstream.dialects import LLAMA_SERVER, VLLM, Dialect, ServerFacts
from src.engine.upstream.main import _Lifecycle
from src.engine.upstream.server import UpstreamServer
from src.errors import ModelLoadFailed
from src.ipc.framing import Decoder, encode
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.chat import (
    Admitted,
    ChatMessage,
    Choice,
    ChoiceEnded,
    Delta,
    Detokenized,
    DetokenizeRequest,
    Finished,
    GenerateRequest,
    HandedOver,
    RawPrompt,
    Sampling,
    Tokenized,
    TokenizeRequest,
    Usage,
)
from src.ipc.messages.control import Ping
from src.ipc.messages.status import Health
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings
from tests.conftest import MakeSettings
from tests.unit.engine.upstream.standin import DONE, HEAD, Asked, Script, Standin, counted, echo, piece, usage, whole

PATIENCE_S = 5.0


def ask(text: str = "hello", **fields: Any) -> GenerateRequest:
    return GenerateRequest("r", "demo", (ChatMessage("user", text),), **fields)


class Engine:
    """An upstream engine and what it stands on."""

    def __init__(self, path: Path, server: UpstreamServer, standin: Standin) -> None:
        self._path = path
        self.server = server
        self.standin = standin

    async def send(self, message: AnyMessage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        writer.write(encode(message))
        return reader, writer

    async def all(self, message: AnyMessage) -> list[AnyMessage]:
        """Everything up to the end of the connection."""
        reader, writer = await self.send(message)
        data = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        return list(Decoder().feed(data))

    async def last(self, message: AnyMessage) -> AnyMessage:
        return (await self.all(message))[-1]

    async def health(self) -> Health:
        reader, writer = await self.send(Ping())
        answer = next(iter(Decoder().feed(await reader.read(1 << 16))))
        writer.close()
        assert isinstance(answer, Health)
        return answer

    async def until(self, **figures: int) -> None:
        """Return once its load has these figures."""
        for _ in range(int(PATIENCE_S / 0.01)):
            load = (await self.health()).load
            if all(getattr(load, name) == figure for name, figure in figures.items()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(figures)


@asynccontextmanager
async def engine(
    settings: Settings,
    script: Script = echo,
    *,
    dialect: Dialect = VLLM,
    ready: bool = True,
    slots: int | None = None,
    context: int = 512,
) -> AsyncIterator[Engine]:
    standin = Standin(script)
    client = Client(await standin.start(), "secret", local=True)
    path = settings.runtime_path / "engine.sock"
    server = UpstreamServer(path, "demo", "vllm", settings)
    await server.start()
    if ready:
        server.ready(client, ServerFacts(dialect, "served", context, vocabulary=1000, slots=slots), 0.1)
    try:
        yield Engine(path, server, standin)
    finally:
        await server.close()
        await client.close()
        await standin.stop()


def reply(*parts: bytes) -> Script:
    """Says these, one after the other."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return script


async def hang(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + piece("h"))
    await writer.drain()
    await asked.left.wait()


@pytest.mark.parametrize("traceparent", ["", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
def test_the_server_goes_on_with_the_trace(make_settings: MakeSettings, traceparent: str) -> None:
    """The header is the request's span, as its `GenerateRequest` says; there is none where nothing is traced."""

    async def case() -> None:
        async with engine(make_settings()) as on:
            await on.all(ask("hello", traceparent=traceparent))
            (asked,) = on.standin.asked
            sent = [line.partition(": ")[2] for line in asked.headers.split("\r\n") if line.startswith("traceparent:")]
            assert sent == [traceparent] * bool(traceparent)

    asyncio.run(case())


def test_an_answer(make_settings: MakeSettings) -> None:
    """Accepted, admitted, text as it comes, one outcome with the server's own counts and our times."""

    async def case() -> None:
        async with engine(make_settings()) as on:
            accepted, admitted, *deltas, finished = await on.all(ask("héllo"))
            assert isinstance(accepted, Accepted)
            assert isinstance(admitted, Admitted)
            assert "".join(delta.text for delta in deltas if isinstance(delta, Delta)) == "héllo"
            assert all(isinstance(delta, Delta) and not delta.tokens and delta.count == 1 for delta in deltas)
            assert isinstance(finished, Finished)
            assert (finished.reason, finished.usage) == ("stop", Usage(7, 5))
            assert min(finished.timings.queue_s, finished.timings.prefill_s, finished.timings.decode_s) >= 0
            asked = on.standin.asked[0]
            assert "authorization: bearer secret" in asked.headers.lower()
            assert asked.body["model"] == "served"

    asyncio.run(case())


def test_several_choices(make_settings: MakeSettings) -> None:
    """Each choice has its end; the last one's is the request's, with the counts of all."""
    script = reply(
        HEAD,
        piece("a", 0),
        piece("b", 1),
        piece("", 1, "length"),
        piece("c", 0),
        piece("", 0, "stop"),
        usage(7, 2),
        usage(7, 1),
        DONE,
    )

    async def case() -> None:
        async with engine(make_settings(), script, dialect=LLAMA_SERVER) as on:
            messages = await on.all(ask(choices=(Choice(0), Choice(1))))
            assert [(e.index, e.reason) for e in messages if isinstance(e, ChoiceEnded)] == [(1, "length")]
            finished = messages[-1]
            assert isinstance(finished, Finished)
            assert (finished.index, finished.reason, finished.usage) == (0, "stop", Usage(7, 3))

    asyncio.run(case())


@pytest.mark.parametrize(
    ("answer", "code", "param"),
    [
        (whole(400, {"error": {"message": "no", "param": "top_k"}}), "invalid_value", "top_k"),
        (whole(429, {}, "Retry-After: 7\r\n"), "overloaded", None),
        (whole(500, {"error": {"message": "a secret of the server"}}), "internal_error", None),
        (HEAD + b'data: {"error": {"message": "too long", "code": 400}}\n\n' + DONE, "invalid_value", None),
        (HEAD + b'data: {"error": {"message": "kernel died", "code": 500}}\n\n', "internal_error", None),
    ],
)
def test_a_refusal_is_an_outcome(answer: bytes, code: str, param: str | None, make_settings: MakeSettings) -> None:
    """What the server refuses is the client's error; what is wrong with it is told as ours, not in its words."""

    async def case() -> None:
        async with engine(make_settings(), reply(answer)) as on:
            failed = await on.last(ask(max_tokens=5))
            assert isinstance(failed, Failed)
            assert (failed.code, failed.param) == (code, param)
            assert "secret" not in failed.message
            assert failed.retry_after_s == (7.0 if code == "overloaded" else None)

    asyncio.run(case())


def test_a_length_beyond_the_context_gives_way(make_settings: MakeSettings) -> None:
    """The server is asked again without it, and a wish is disclosed; under STRICT_FIELDS it is a 400."""

    async def small(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.body.get("max_tokens", 0) > 500:
            writer.write(whole(400, {"error": {"message": "maximum context length is 512", "param": "max_tokens"}}))
        else:
            await echo(asked, writer)

    async def case() -> None:
        async with engine(make_settings(default_max_tokens=5), small) as on:
            assert isinstance(await on.last(ask()), Finished)
            messages = await on.all(ask(max_tokens=501))
            assert isinstance(messages[-1], Finished)
            # what is left of the context, not of the default: a resumed answer is measured by it
            assert [message.max_tokens for message in messages if isinstance(message, Admitted)] == [512]
            failed = await on.last(ask(max_tokens=501, strict=True))
            assert isinstance(failed, Failed)
            assert (failed.code, failed.param) == ("context_length_exceeded", "max_tokens")

    asyncio.run(case())


def test_a_client_that_leaves_ends_its_request_upstream(make_settings: MakeSettings) -> None:
    """Closing our connection closes the server's, at once."""

    async def case() -> None:
        async with engine(make_settings(), hang) as on:
            reader, writer = await on.send(ask())
            await reader.read(1)
            asked = await asyncio.wait_for(on.standin.arrived.get(), PATIENCE_S)
            await on.until(running=1)
            writer.close()
            await asyncio.wait_for(asked.left.wait(), PATIENCE_S)
            await on.until(running=0)

    asyncio.run(case())


@pytest.mark.parametrize("stream", [False, True])
def test_deadlines(stream: bool, make_settings: MakeSettings) -> None:
    """A server that stops in the middle is given up: by the gap in a stream, by the whole budget otherwise."""
    settings = make_settings(request_timeout=0.3 if not stream else 60, stream_gap_timeout=0.3 if stream else 60)

    async def case() -> None:
        async with engine(settings, hang) as on:
            failed = await on.last(ask(stream=stream))
            assert isinstance(failed, Failed)
            assert failed.code == "deadline_exceeded"
            assert "1 tokens" in failed.message
            await asyncio.wait_for(on.standin.asked[0].left.wait(), PATIENCE_S)

    asyncio.run(case())


def test_turns(make_settings: MakeSettings) -> None:
    """No more than the server has slots run together; the rest waits here, has its own budget, and leaves by itself."""

    async def case() -> None:
        async with engine(make_settings(queue_timeout=0.4), hang, slots=1) as on:
            reader, writer = await on.send(ask())
            await reader.read(1)
            _, gone = await on.send(ask())
            await on.until(waiting=1)
            gone.close()
            failed = await on.last(ask())
            assert isinstance(failed, Failed)
            assert "QUEUE_TIMEOUT" in failed.message
            assert len(on.standin.asked) == 1
            writer.close()

    asyncio.run(case())


def test_a_full_house(make_settings: MakeSettings) -> None:
    """Beyond what may run and wait it is 429 at once, with the limit named."""

    async def case() -> None:
        async with engine(make_settings(max_num_seqs=1, max_queue_size=1), hang) as on:
            inside = [await on.send(ask()) for _ in range(2)]
            await on.until(running=1, waiting=1)
            failed = await on.last(ask())
            assert isinstance(failed, Failed)
            assert failed.code == "overloaded"
            assert "MAX_QUEUE_SIZE" in failed.message
            assert len(inside) == 2

    asyncio.run(case())


def test_load_and_health(make_settings: MakeSettings) -> None:
    """Before it is ready it says what it waits for; then what it serves, and how long the server has been silent."""

    async def case() -> None:
        async with engine(make_settings(), hang, ready=False) as on:
            on.server.detail = "waiting for http://there"
            health = await on.health()
            assert (health.state, health.detail) == ("loading", "waiting for http://there")
        async with engine(make_settings(), hang) as on:
            idle = await on.health()
            assert idle.load is not None
            assert idle.load.step_age_s == 0
            reader, _ = await on.send(ask())
            await reader.read(1)
            await asyncio.sleep(0.2)
            health = await on.health()
            assert health.load is not None
            assert health.load.step_age_s >= 0.15
            assert health.model is not None
            assert health.model.context_length == 512
            assert health.engine == "vllm"

    asyncio.run(case())


def test_a_server_that_cannot_start(make_settings: MakeSettings) -> None:
    """Who waited gets the reason, and so does the supervisor, which this waits for."""

    async def case() -> None:
        async with engine(make_settings(), ready=False) as on:
            waiting = asyncio.ensure_future(on.last(ask()))
            await asyncio.sleep(0.05)
            told = asyncio.ensure_future(on.server.failed(ModelLoadFailed("no such file"), PATIENCE_S))
            assert (await on.health()).state == "failed"
            await asyncio.wait_for(told, PATIENCE_S)
            failed = await waiting
            assert isinstance(failed, Failed)
            assert (failed.code, failed.message) == ("model_load_failed", "no such file")

    asyncio.run(case())


def test_one_broken_answer_of_a_living_server(make_settings: MakeSettings) -> None:
    """An answer that breaks off without an end is a crash of this request alone."""

    async def case() -> None:
        async with engine(make_settings(), reply(HEAD, piece("h"))) as on:
            failed = await on.last(ask())
            assert isinstance(failed, Failed)
            assert failed.code == "engine_crashed"
            assert not on.server.lost.done()

    asyncio.run(case())


def test_a_server_that_breaks_off_where_it_should_refuse(make_settings: MakeSettings) -> None:
    """llama_cpp.server does so with a prompt beyond its context: the reason is asked for, and is the answer."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        refused = {
            "error": {"message": "Requested tokens exceed context window of 8", "code": "context_length_exceeded"}
        }
        writer.write(HEAD if asked.body["stream"] else whole(400, refused))

    async def case() -> None:
        async with engine(make_settings(), script) as on:
            failed = await on.last(ask())
            assert isinstance(failed, Failed)
            assert failed.code == "context_length_exceeded"

    asyncio.run(case())


def test_a_server_that_is_gone_takes_the_engine_along(make_settings: MakeSettings) -> None:
    """Nobody is answered any more: the engine says it is lost, and its clients see a crash, not an error."""

    async def case() -> None:
        async with engine(make_settings()) as on:
            await on.standin.stop()
            reader, _ = await on.send(ask())
            await asyncio.wait_for(asyncio.shield(on.server.lost), PATIENCE_S)
            await on.server.close()
            messages = list(Decoder().feed(await asyncio.wait_for(reader.read(), PATIENCE_S)))
            assert [type(message) for message in messages] == [Accepted]

    asyncio.run(case())


def test_a_planned_end_hands_over(make_settings: MakeSettings) -> None:
    """Who has been shown nothing goes on in the next engine, and so does a greedy answer, whose tokens are known; any
    other that has begun can only break."""

    async def known(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + counted(ord("h"), 1, delta={"content": "h"}))
        await writer.drain()
        await asked.left.wait()

    async def greedy() -> None:
        async with engine(make_settings(), known) as on:
            reader, _writer = await on.send(ask(sampling=GREEDY))
            await asyncio.wait_for(on.standin.arrived.get(), PATIENCE_S)
            found = await reader.readuntil(b"Delta")
            await on.server.close(planned=True)
            messages = list(Decoder().feed(found + await reader.read()))
            assert [type(message) for message in messages] == [Accepted, Admitted, Delta, HandedOver]

    asyncio.run(greedy())

    async def case() -> None:
        async with engine(make_settings(), hang, slots=1) as on:
            begun, _first = await on.send(ask())
            await asyncio.wait_for(on.standin.arrived.get(), PATIENCE_S)
            waiting, _second = await on.send(ask())
            await on.until(running=1, waiting=1)
            await begun.read(1)
            await on.server.close(planned=True)
            messages = list(Decoder().feed(await waiting.read()))
            assert [type(message) for message in messages] == [Accepted, HandedOver]
            assert b"HandedOver" not in await begun.read()
            assert on.server.idle.is_set()

    asyncio.run(case())


GREEDY = Sampling(temperature=0.0)


def of(text: str) -> tuple[int, ...]:
    """Its tokens at the stand-in."""
    return tuple(map(ord, text))


@pytest.mark.parametrize(("said", "kept"), [("he", "he"), ("he\ufffd\ufffd", "he"), ("\ufffd", ""), ("hello", "hello")])
def test_an_answer_goes_on_behind_its_tokens(said: str, kept: str, make_settings: MakeSettings) -> None:
    """Asked as the ids of prompt and answer; without those of a character that is not whole, which come again and are
    told once. The counts are those of the whole answer."""
    text = said + "llo"[: 3 * (len(kept) < 5)]

    async def case() -> None:
        async with engine(make_settings()) as on:
            on.standin.tokenizes = True
            messages = await on.all(ask(text, sampling=GREEDY, prefix=of(said), max_tokens=100))
            (asked,) = on.standin.asked
            assert (asked.path, asked.body["prompt"]) == ("/v1/completions", [*of(text), 0, *of(kept)])
            assert (asked.body["max_tokens"], asked.body["return_token_ids"]) == (100 - len(kept), True)
            deltas = [message for message in messages if isinstance(message, Delta)]
            assert kept + "".join(delta.text for delta in deltas) == text
            assert of(said) + tuple(token for delta in deltas for token in delta.tokens) == of(text)
            assert not any(delta.unreported_tokens for delta in deltas)
            finished = messages[-1]
            assert isinstance(finished, Finished)
            assert finished.usage == Usage(len(text) + 1, len(text))

    asyncio.run(case())


def test_an_answer_that_has_its_length_is_finished(make_settings: MakeSettings) -> None:
    """The server died between the last token and the end: nothing is asked."""

    async def case() -> None:
        async with engine(make_settings()) as on:
            on.standin.tokenizes = True
            finished = await on.last(ask("hello", sampling=GREEDY, prefix=of("hel"), max_tokens=3))
            assert isinstance(finished, Finished)
            assert (finished.reason, finished.usage, on.standin.asked) == ("length", Usage(6, 3), [])

    asyncio.run(case())


def test_an_answer_goes_on_at_a_server_that_does_not_tell_its_context(make_settings: MakeSettings) -> None:
    """There the client was admitted for 0 tokens, which is no length that the answer has reached."""

    async def case() -> None:
        async with engine(make_settings(default_max_tokens=0), context=0) as on:
            on.standin.tokenizes = True
            admitted = next(message for message in await on.all(ask("hello")) if isinstance(message, Admitted))
            again = ask("hello", sampling=GREEDY, prefix=of("he"), max_tokens=admitted.max_tokens)
            messages = await on.all(again)
            assert "".join(message.text for message in messages if isinstance(message, Delta)) == "llo"
            assert isinstance(finished := messages[-1], Finished)
            assert finished.reason == "stop"

    asyncio.run(case())


@pytest.mark.parametrize(
    "fields",
    [
        {"sampling": Sampling(temperature=0.7, seed=1, seeded=True)},
        {"sampling": Sampling(temperature=0.0, frequency_penalty=1.0)},
        {"sampling": Sampling(temperature=0.0, logprobs=1)},
        {"sampling": GREEDY, "stop": ("x",)},
        {"sampling": GREEDY, "json_schema": "{}"},
    ],
)
def test_what_would_not_go_on_the_same_fails(fields: dict[str, Any], make_settings: MakeSettings) -> None:
    """Nor are its tokens asked for: an answer that dies is a crash, as ever."""

    async def case() -> None:
        async with engine(make_settings()) as on:
            on.standin.tokenizes = True
            failed = await on.last(ask("hello", prefix=of("he"), **fields))
            assert isinstance(failed, Failed)
            assert (failed.code, on.standin.asked) == ("engine_crashed", [])
            deltas = [message for message in await on.all(ask("hello", **fields)) if isinstance(message, Delta)]
            assert all(delta.unreported_tokens for delta in deltas)
            assert "return_token_ids" not in on.standin.asked[0].body

    asyncio.run(case())


def test_tokens(make_settings: MakeSettings) -> None:
    """Asked of the server, in its words; where it has no such route, a 400 that says so."""
    question = TokenizeRequest(ask(raw_prompt=RawPrompt("hello")))

    async def case() -> None:
        async with engine(make_settings()) as on:
            failed = await on.last(question)
            assert isinstance(failed, Failed)
            assert (failed.code, failed.param) == ("unsupported_value", "model")
            on.standin.answers["/tokenize"] = whole(200, {"tokens": [1, 2], "count": 2, "max_model_len": 99})
            assert await on.last(question) == Tokenized((1, 2), 99)
            on.standin.answers["/detokenize"] = whole(200, {"prompt": "he"})
            assert await on.last(DetokenizeRequest("demo", (1,))) == Detokenized("he")
        async with engine(make_settings(), dialect=LLAMA_SERVER) as on:
            on.standin.answers["/apply-template"] = whole(200, {"prompt": "<user>hello"})
            on.standin.answers["/tokenize"] = whole(200, {"tokens": [3]})
            assert await on.last(TokenizeRequest(ask())) == Tokenized((3,), 512)

    asyncio.run(case())


def test_a_text_that_cannot_fit_is_not_passed_on(make_settings: MakeSettings) -> None:
    """More bytes, or ids, than the server's context can hold are refused here; it is not asked."""
    text = "x" * (512 * 256 + 1)

    async def case() -> None:
        async with engine(make_settings()) as on:
            messages = (ask(text), TokenizeRequest(ask(text)), DetokenizeRequest("demo", (1,) * 513))
            for message in messages:
                failed = await on.last(message)
                assert isinstance(failed, Failed)
                assert (failed.code, "512" in failed.message) == ("context_length_exceeded", True)
            assert on.standin.asked == []

    asyncio.run(case())


def test_answers_are_counted_not_requests(make_settings: MakeSettings) -> None:
    """A request of n answers takes the room of n."""

    async def case() -> None:
        async with engine(make_settings(max_num_seqs=1, max_queue_size=2), hang) as on:
            inside = await on.send(ask(choices=(Choice(0), Choice(1))))
            await on.until(running=1)
            failed = await on.last(ask(choices=(Choice(0), Choice(1))))
            assert isinstance(failed, Failed)
            assert failed.code == "overloaded"
            inside[1].close()

    asyncio.run(case())


def test_what_it_would_ignore_is_refused(make_settings: MakeSettings) -> None:
    """A wish the server would take and not fulfil never reaches it."""

    async def case() -> None:
        async with engine(make_settings(), dialect=LLAMA_SERVER) as on:
            failed = await on.last(ask(sampling=Sampling(logit_bias={1000: 5.0})))
            assert isinstance(failed, Failed)
            assert (failed.code, failed.param) == ("unsupported_value", "logit_bias")
            assert on.standin.asked == []

    asyncio.run(case())


def test_late_system_turns_are_folded_where_the_server_refuses_them(make_settings: MakeSettings) -> None:
    """Its template is not ours to see: the conversation is put again, in the next form."""
    roles: list[list[str]] = []

    async def guarded(asked: Asked, writer: asyncio.StreamWriter) -> None:
        roles.append([turn["role"] for turn in asked.body["messages"]])
        if "system" in roles[-1][1:]:
            writer.write(whole(400, {"error": {"message": "System message must be at the beginning."}}))
        else:
            await echo(asked, writer)

    async def case() -> None:
        late = (ChatMessage("user", "a"), ChatMessage("system", "b"), ChatMessage("user", "c"))
        async with engine(make_settings(), guarded) as on:
            assert isinstance(await on.last(GenerateRequest("r", "demo", late)), Finished)
        assert roles == [["user", "system", "user"], ["user", "user"]]

    asyncio.run(case())


@pytest.mark.parametrize(
    ("owner", "props", "setting", "sees"),
    [
        ("llamacpp", {"modalities": {"vision": True}}, "auto", True),
        ("llamacpp", {"modalities": {"vision": False}}, "auto", False),
        ("llamacpp", {}, "auto", None),
        ("llamacpp", {"modalities": {"vision": False}}, "true", True),
        ("vllm", {}, "auto", None),
        ("vllm", {}, "true", True),
        ("vllm", {}, "false", False),
    ],
)
def test_whether_the_model_reads_images(
    owner: str, props: dict[str, Any], setting: str, sees: bool | None, make_settings: MakeSettings
) -> None:
    """llama-server says so in /props; what no server says, UPSTREAM_VISION does. The engine's health tells it."""
    settings = make_settings(upstream_vision=setting)

    async def told() -> bool | None:
        standin = Standin(owner=owner)
        standin.answers["/props"] = whole(200, props)
        client = Client(await standin.start(), "secret", local=True)
        facts = await _Lifecycle(settings.runtime_path / "x.sock", "demo", "llama.cpp", settings)._ask(client)
        await client.close()
        await standin.stop()
        async with engine(settings, ready=False) as upstream:
            upstream.server.ready(client, facts, 0.1)
            model = (await upstream.health()).model
        assert model is not None
        return model.reads_images

    assert asyncio.run(told()) is sees
