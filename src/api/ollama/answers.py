"""How answers look to Ollama's clients: lines of JSON, the last with counts and durations."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Response

from src.api.generation import streaming
from src.api.generation.streaming import Event
from src.api.ollama import schemas as shapes
from src.api.openai import convert
from src.api.wire import PlainError, Wire
from src.errors import ServiceError
from src.ipc.messages.chat import CallDelta, Delta, Finished, PromptProgress, TokenLogprob

MIMETYPE = "application/x-ndjson"
# white space before a line's JSON: a client that reads lines sees nothing of it
PING = b" "
_NS = 1_000_000_000


def now() -> str:
    return stamp(time.time())


def stamp(seconds: float) -> str:
    """As RFC 3339 writes a moment."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def line(data: Wire) -> bytes:
    return msgspec.json.encode(data) + b"\n"


def as_lines(response: Response) -> Response:
    """A stream's response in this API's form."""
    if response.mimetype == streaming.MIMETYPE:
        response.mimetype = MIMETYPE
    return response


class Form:
    """How one request's answer looks: a chat's `message`, or a text's `response`."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self._model = model
        self._chat = chat
        self._began = time.monotonic()

    def piece(
        self, text: str, thinking: str = "", calls: Iterable[CallDelta] = (), **fields: Any
    ) -> shapes.OllamaResponse:
        """A part of the answer, or all of it."""
        answer = shapes.OllamaResponse(self._model, now(), **fields)
        if self._chat:
            made = tuple(_call(at, call) for at, call in enumerate(convert.whole_calls(tuple(calls))))
            message = shapes.OllamaMessageOut("assistant", text, thinking or None, made)
            return msgspec.structs.replace(answer, message=message)
        return msgspec.structs.replace(answer, response=text, thinking=thinking or msgspec.UNSET)

    def last(self, event: Finished) -> dict[str, Any]:
        """What the end tells."""
        return {
            "done": True,
            "done_reason": "length" if event.reason == "length" else "stop",
            "total_duration": int((time.monotonic() - self._began) * _NS),
            "prompt_eval_count": event.usage.prompt_tokens,
            "prompt_eval_duration": int(event.timings.prefill_s * _NS),
            "eval_count": event.usage.completion_tokens,
            "eval_duration": int(event.timings.decode_s * _NS),
        }

    def whole(self, events: list[Event]) -> shapes.OllamaResponse:
        deltas = [event for event in events if isinstance(event, Delta)]
        finished = next(event for event in reversed(events) if isinstance(event, Finished))
        return self.piece(
            "".join(delta.text for delta in deltas),
            "".join(delta.reasoning for delta in deltas),
            (call for delta in deltas for call in delta.calls),
            logprobs=tuple(_logprob(score) for delta in deltas for score in delta.logprobs),
            **self.last(finished),
        )


def _call(at: int, call: Any) -> shapes.CallOut:
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError:
        arguments = {}  # an answer that was cut inside its call
    return shapes.CallOut(call.id, shapes.OllamaFunctionOut(call.name, arguments, at))


def _logprob(score: TokenLogprob) -> shapes.Logprob:
    shown = convert.logprobs((score,)).content[0]
    others = tuple(shapes.OllamaTopLogprob(top.token, top.logprob, top.bytes) for top in shown.top_logprobs)
    return shapes.Logprob(shown.token, shown.logprob, shown.bytes, others)


class LineWriter:
    """A stream of lines. Calls are told when they are whole: before the end."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._calls: list[CallDelta] = []

    def begin(self, prompt_tokens: int) -> bytes:  # noqa: ARG002  # the counts come at the end
        return b""

    def event(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            self._calls += event.calls
            scores = tuple(map(_logprob, event.logprobs))
            if not (event.text or event.reasoning or scores):
                return b""
            return line(self._form.piece(event.text, event.reasoning, done=False, logprobs=scores))
        if not isinstance(event, Finished):
            return b""
        called = line(self._form.piece("", calls=self._calls, done=False)) if self._calls else b""
        return called + line(self._form.piece("", **self._form.last(event)))

    def keep_alive(self, progress: PromptProgress | None) -> bytes:  # noqa: ARG002  # a line has no comments
        return PING

    def progress(self, progress: PromptProgress) -> bytes:  # noqa: ARG002  # there is no way to ask for it
        return b""

    def failed(self, error: ServiceError) -> bytes:
        return line(PlainError(error.message))

    def end(self) -> bytes:
        return b""
