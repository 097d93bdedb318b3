"""One streamed answer, as a client sees it: what came, when, and how it ended. Whatever happens is an outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from src.bench.http import HttpResponse, ServerAddress, http_request
from src.engine.upstream.stream import DONE, Events

_WORDS = 160  # of a server's refusal, for the reader


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _StreamedChoice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class ReportedUsage(msgspec.Struct):
    """What the server counted."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_StreamedChoice] = []
    usage: ReportedUsage | None = None
    error: object = None


class Outcome(msgspec.Struct):
    """Times are seconds since all streams of a round began. `gaps` are those between two events with text.

    `failure` is None for an answer that came whole; a refusal begins with its status.
    """

    began: float = 0.0
    first: float | None = None
    last: float | None = None
    end: float = 0.0
    gaps: list[float] = []
    events: int = 0
    usage: ReportedUsage | None = None
    finish: str | None = None
    failure: str | None = None

    @property
    def tokens(self) -> int:
        """Those that came: as the server counts them, else one for each event with text."""
        return self.usage.completion_tokens if self.usage is not None else self.events

    @property
    def wait(self) -> float | None:
        """Seconds to the first token."""
        return None if self.first is None else self.first - self.began

    def record_event(self, now: float) -> None:
        """An event with text."""
        self.first = now if self.first is None else self.first
        if self.last is not None:
            self.gaps.append(now - self.last)
        self.last = now
        self.events += 1


async def ask(
    where: ServerAddress, body: dict[str, Any], start: float, timeout_s: float, seen: Outcome | None = None
) -> Outcome:
    """Put one request and read its answer to the end; into `seen`, for who wants to look on."""
    seen = Outcome() if seen is None else seen
    seen.began = time.perf_counter() - start
    try:
        seen.failure = await asyncio.wait_for(_read(where, msgspec.json.encode(body), start, seen), timeout_s)
    except TimeoutError:
        seen.failure = f"no end within {timeout_s:g} s"
    except (EOFError, ConnectionResetError):  # asyncio's IncompleteReadError is an EOFError
        seen.failure = "broken off"
    except OSError as error:
        seen.failure = error.strerror or str(error) or type(error).__name__
    except ValueError as error:  # also what msgspec and int say of bytes they cannot read
        seen.failure = f"not understood: {error}"
    seen.end = time.perf_counter() - start
    return seen


async def _read(where: ServerAddress, body: bytes, start: float, seen: Outcome) -> str | None:
    """What went wrong, if the server said so."""
    async with http_request(where, "/v1/chat/completions", body) as reply:
        if reply.status != 200:
            return f"{reply.status}: {error_text(await reply.whole())}"
        async for chunk in _events(reply):
            if chunk.error is not None:
                return f"an error in the stream: {error_text(msgspec.json.encode({'error': chunk.error}))}"
            _note(chunk, seen, time.perf_counter() - start)
    return None if seen.finish is not None else "broken off"


async def _events(reply: HttpResponse) -> AsyncIterator[_Chunk]:
    events, decoder = Events(), msgspec.json.Decoder(_Chunk)
    async for data in reply.body:
        for event in events.feed(data):
            if event == DONE:
                return
            yield decoder.decode(event)


def _note(chunk: _Chunk, seen: Outcome, now: float) -> None:
    for choice in chunk.choices:
        if choice.delta.content or choice.delta.reasoning_content or choice.delta.reasoning:
            seen.record_event(now)
        seen.finish = choice.finish_reason or seen.finish
    seen.usage = chunk.usage or seen.usage


def error_text(body: bytes) -> str:
    """A refusal's own words: OpenAI's envelope, or the beginning of whatever it is."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = body.decode(errors="replace")
    inner = said.get("error", said.get("detail", said)) if isinstance(said, dict) else said
    text = inner.get("message", inner) if isinstance(inner, dict) else inner
    return " ".join(str(text).split())[:_WORDS]
