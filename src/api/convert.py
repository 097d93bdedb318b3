"""Between OpenAI's shapes and our messages. Pure: no I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

import msgspec

from src.api import schemas
from src.api.schemas import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, ChunkChoice, DeltaOut
from src.errors import InvalidRequest
from src.ipc.messages import (
    ChatMessage,
    Delta,
    Finished,
    GenerateRequest,
    Priority,
    Sampling,
    Usage,
)

_NO_CHOICES: tuple[ChunkChoice, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What headers ask for: X-Priority, and X-Request-Timeout in seconds, which can only shorten."""

    priority: str | None = None
    timeout: str | None = None


def to_generate(
    body: ChatCompletionRequest, request_id: str, default_model: str, wishes: Wishes | None = None
) -> GenerateRequest:
    """A validated body as the engine's request.

    Raises:
        InvalidRequest: for what the schema cannot say.
    """
    body.refuse_unsupported()
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("stream_options needs stream: true.", param="stream_options")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return GenerateRequest(
        id=request_id,
        model=body.model or default_model,
        messages=tuple(_message(turn, at) for at, turn in enumerate(body.messages)),
        sampling=Sampling(temperature=body.temperature, top_p=body.top_p),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=stop,
        stream=bool(body.stream),
        priority=_priority(body, wishes.priority if wishes else None),
        timeout_s=_timeout(wishes.timeout if wishes else None),
    )


_TIERS: dict[str, Priority] = {"priority": "high", "flex": "low"}


def _priority(body: ChatCompletionRequest, header: str | None) -> Priority:
    """The class a request asks for: field, header, or OpenAI's service tier, in this order."""
    if body.priority is not None:
        return body.priority
    if header is None:
        return _TIERS.get(str(body.extra.get("service_tier")), "normal")
    if header not in get_args(Priority):
        raise InvalidRequest("X-Priority must be high, normal or low.", param="X-Priority")
    return cast(Priority, header)


def _timeout(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidRequest("X-Request-Timeout must be a number of seconds above 0.", param="X-Request-Timeout")
    return seconds


def _message(turn: schemas.Turn, at: int) -> ChatMessage:
    if turn.content is None and turn.role != "assistant":
        raise InvalidRequest("content is missing.", param=f"messages[{at}].content")
    content = turn.content if isinstance(turn.content, str) else "".join(part.text for part in turn.content or ())
    # what OpenAI renamed to developer is what models were trained on as system
    return ChatMessage("system" if turn.role == "developer" else turn.role, content)


def completion(events: Sequence[object], completion_id: str, created: int, model: str) -> ChatCompletion:
    """A whole answer from all its events; the last is `Finished`."""
    finished = next(event for event in reversed(events) if isinstance(event, Finished))
    text = "".join(event.text for event in events if isinstance(event, Delta))
    choice = schemas.ChoiceOut(0, schemas.MessageOut("assistant", text), finished.reason)
    return ChatCompletion(completion_id, created, model, (choice,), usage(finished.usage))


def usage(counts: Usage) -> schemas.UsageOut:
    total = counts.prompt_tokens + counts.completion_tokens
    return schemas.UsageOut(counts.prompt_tokens, counts.completion_tokens, total)


class ChunkWriter:
    """Encodes one stream's chunks. Every chunk but the last carries `usage: null` when usage was asked for."""

    def __init__(self, completion_id: str, created: int, model: str, *, include_usage: bool) -> None:
        self._id, self._created, self._model = completion_id, created, model
        self._include_usage = include_usage
        self._usage: None | msgspec.UnsetType = None if include_usage else msgspec.UNSET

    def first(self) -> ChatCompletionChunk:
        return self._chunk(DeltaOut(role="assistant", content=""))

    def delta(self, event: Delta) -> ChatCompletionChunk:
        return self._chunk(DeltaOut(content=event.text))

    def finished(self, event: Finished) -> list[ChatCompletionChunk]:
        """The chunk with the reason, then the one with the usage if it was asked for."""
        chunks = [self._chunk(DeltaOut(), event.reason)]
        if self._include_usage:
            last = ChatCompletionChunk(self._id, self._created, self._model, _NO_CHOICES, usage(event.usage))
            chunks.append(last)
        return chunks

    def _chunk(self, delta: DeltaOut, reason: str | None = None) -> ChatCompletionChunk:
        choices = (ChunkChoice(0, delta, reason),)
        return ChatCompletionChunk(self._id, self._created, self._model, choices, self._usage)
