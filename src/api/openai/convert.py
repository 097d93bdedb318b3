"""Between OpenAI's shapes and our messages. No clock, and no I/O but that of the `PartSources` that are handed in."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, get_args

import msgspec

from src.api.openai import custom_input, forms, history, options, schemas
from src.api.openai.custom_calls import CallStream, whole_call
from src.api.openai.schemas import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, ChunkChoice, DeltaOut
from src.documents import kinds
from src.errors import InvalidImage, InvalidRequest
from src.ipc.messages.base import Priority
from src.ipc.messages.chat import (
    Alternative,
    CallDelta,
    ChatMessage,
    ChoiceEnded,
    Delta,
    Finished,
    GenerateRequest,
    ImagePart,
    PromptProgress,
    TokenLogprob,
    ToolCall,
    Usage,
)
from src.settings import VERSION

_NO_CHOICES: tuple[ChunkChoice, ...] = ()

Parts = tuple[str | ImagePart, ...]
# a URL and the parameter it stands in → the image's bytes
Fetch = Callable[[str, str], bytes]


class ReadFile(Protocol):
    """A PDF as texts and pictures of its pages. `in_result`: it belongs to a tool's result."""

    def __call__(self, file: schemas.FileIn, param: str, *, in_result: bool) -> Parts: ...


@dataclass(frozen=True)
class PartSources:
    """How parts that are no text are got: a picture that a URL names, a PDF's pages. `stand_in`: what stands for the
    next picture of a tool's result, where the model is not shown it."""

    fetch: Fetch
    read: ReadFile
    stand_in: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Headers:
    """What headers ask for: X-Priority, and X-Request-Timeout in seconds, which can only shorten."""

    priority: str | None = None
    timeout: str | None = None


def to_generate(
    body: ChatCompletionRequest, request_id: str, model: str, headers: Headers, sources: PartSources
) -> GenerateRequest:
    """A validated body as the engine's request. Images that are named by a URL are fetched, PDFs are read.

    Raises:
        InvalidRequest: for what the schema cannot say.
    """
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("stream_options needs stream: true.", param="stream_options")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    offered, choice = options.tools(body)
    messages = history.with_whole_calls(_messages(body, sources))
    return GenerateRequest(
        id=request_id,
        model=model,
        messages=messages,
        sampling=options.sampling(body, random.getrandbits(63)),  # samples, not secrets
        choices=options.choices(body),
        tools=offered,
        tool_choice=choice,
        json_schema=forms.json_schema(body),
        answer_form=forms.answer_form(body),
        thinking=options.thinking(body),
        reasoning_effort=body.reasoning_effort,
        continue_final=options.continue_final(body),
        template_options=options.template_options(body),
        prediction=body.prediction.text if body.prediction is not None else "",
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=stop,
        stream=bool(body.stream),
        progress=body.progress,
        has_images=_pictures(messages) > 0,
        priority=priority_of(body, headers),
        timeout_s=timeout(body.timeout, headers.timeout),
    )


_TIERS: dict[str, Priority] = {"priority": "high", "flex": "low"}


def priority(field: Priority | None, header: str | None, tier: str | None = None) -> Priority:
    """The class a request asks for: field, header, or OpenAI's service tier, in this order."""
    if field is not None:
        return field
    if header is None:
        return _TIERS.get(tier or "", "normal")
    if header not in get_args(Priority):
        raise InvalidRequest("X-Priority must be high, normal, low or background.", param="X-Priority")
    return cast(Priority, header)


def priority_of(body: ChatCompletionRequest, headers: Headers) -> Priority:
    return priority(body.priority, headers.priority, body.service_tier)


def timeout(field: float | None, header: str | None) -> float | None:
    """The shorter of what the field and the header ask for."""
    if header is None:
        return field
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidRequest("X-Request-Timeout must be a number of seconds above 0.", param="X-Request-Timeout")
    return seconds if field is None else min(seconds, field)


def _messages(body: ChatCompletionRequest, sources: PartSources) -> tuple[ChatMessage, ...]:
    return tuple(
        _message(turn, at, _PartReader(sources, turn.role, in_result=in_result))
        for at, (turn, in_result) in enumerate(zip(body.messages, body.results(), strict=True))
    )


def _message(turn: schemas.Turn, at: int, reader: _PartReader) -> ChatMessage:
    if turn.content is None and turn.role != "assistant":
        raise InvalidRequest("content is missing.", param=f"messages[{at}].content")
    if turn.role == "tool" and turn.tool_call_id is None:
        raise InvalidRequest("A tool's answer needs its tool_call_id.", param=f"messages[{at}].tool_call_id")
    if turn.tool_calls and turn.role != "assistant":
        raise InvalidRequest("Only an assistant's turn has tool_calls.", param=f"messages[{at}].tool_calls")
    # what OpenAI renamed to developer is what models were trained on as system
    role = "system" if turn.role == "developer" else turn.role
    calls = tuple(map(_earlier_call, turn.tool_calls or ()))
    reasoning = turn.reasoning_content or turn.reasoning
    parts = reader.parts(turn.content, f"messages[{at}].content")
    text = "".join(part for part in parts if isinstance(part, str))
    pictured = len(parts) if any(isinstance(part, ImagePart) for part in parts) else 0
    return ChatMessage(role, text, turn.name, calls, turn.tool_call_id, reasoning, parts[:pictured])


def _earlier_call(call: schemas.ToolCallIn | schemas.CustomCallIn) -> ToolCall:
    if isinstance(call, schemas.CustomCallIn):
        return ToolCall(call.id, call.custom.name, custom_input.arguments(call.custom.input))
    return ToolCall(call.id, call.function.name, call.function.arguments)


@dataclass(frozen=True)
class _PartReader:
    """A turn's texts and pictures, in their order."""

    sources: PartSources
    role: str
    in_result: bool

    def parts(self, content: str | list[schemas.PartIn] | None, param: str) -> Parts:
        if content is None or isinstance(content, str):
            return (content or "",)
        return tuple(one for at, part in enumerate(content) for one in self._parts(part, f"{param}[{at}]"))

    def _parts(self, part: schemas.PartIn, param: str) -> Parts:
        if isinstance(part, schemas.TextPart):
            return (part.text,)
        if isinstance(part, schemas.RefusalPart):
            return (part.refusal,)
        if self.role not in ("user", "tool"):
            raise InvalidRequest("Images and files stand in a user's turns, or a tool's.", param=param)
        if isinstance(part, schemas.FilePart):
            return self.sources.read(part.file, part.file.origin or param, in_result=self.in_result)
        if self.in_result and (text := self.sources.stand_in()) is not None:
            return (text,)
        return (self._picture(part, param),)

    def _picture(self, part: schemas.ImageUrlPart, param: str) -> ImagePart:
        param = f"{param}.image_url.url"
        data = part.image_url.url.encode()
        if data[:5].lower() != b"data:":
            return ImagePart(self.sources.fetch(part.image_url.url, param))
        if kinds.kind(kinds.base64_head(data)) is None:
            raise InvalidImage("The data: URL holds no image, or none in base64.", param=param)
        return ImagePart(data)


def _pictures(messages: tuple[ChatMessage, ...]) -> int:
    return sum(isinstance(part, ImagePart) for message in messages for part in message.parts)


def fingerprint(model: str, engine: str) -> str:
    """What a seed's text depends on beside the request: the model, the engine, our version."""
    return f"fp_{hashlib.sha256(f'{VERSION} {engine} {model}'.encode()).hexdigest()[:10]}"


def completion(
    events: Sequence[object],
    completion_id: str,
    created: int,
    model: str,
    system_fingerprint: str | None = None,
    customs: Collection[str] = (),
) -> ChatCompletion:
    """A whole answer from all its events; the last is `Finished`. `customs`: the names of custom tools."""
    finished = next(event for event in reversed(events) if isinstance(event, Finished))
    deltas: dict[int, list[Delta]] = {finished.index: []}
    reasons: dict[int, str] = {finished.index: finished.reason}
    for event in events:
        if isinstance(event, Delta):
            deltas.setdefault(event.index, []).append(event)
        elif isinstance(event, ChoiceEnded):
            reasons[event.index] = event.reason
    made = tuple(_choice(index, deltas[index], reasons[index], customs) for index in sorted(deltas))
    return ChatCompletion(
        completion_id, created, model, made, usage(finished.usage), system_fingerprint=system_fingerprint
    )


def with_functions(made: ChatCompletion) -> ChatCompletion:
    """Calls as they were before there were tools: one, in the message."""
    return msgspec.structs.replace(made, choices=tuple(map(_with_function, made.choices)))


def _with_function(choice: schemas.ChoiceOut) -> schemas.ChoiceOut:
    calls = choice.message.tool_calls
    if isinstance(calls, msgspec.UnsetType):  # functions and custom tools never come together
        return choice
    message = msgspec.structs.replace(choice.message, tool_calls=msgspec.UNSET, function_call=calls[0].function)
    return msgspec.structs.replace(choice, message=message, finish_reason=_reason(choice.finish_reason))


def _reason(reason: str | None) -> str | None:
    return "function_call" if reason == "tool_calls" else reason


def _choice(index: int, deltas: list[Delta], reason: str, customs: Collection[str]) -> schemas.ChoiceOut:
    calls = whole_calls([call for delta in deltas for call in delta.calls])
    text = "".join(delta.text for delta in deltas)
    thought = "".join(delta.reasoning for delta in deltas)
    scores = tuple(score for delta in deltas for score in delta.logprobs)
    message = schemas.MessageOut(
        "assistant",
        None if calls and not text.strip() else text,
        reasoning_content=thought or msgspec.UNSET,
        reasoning=thought or msgspec.UNSET,
        tool_calls=tuple(whole_call(call, customs) for call in calls) or msgspec.UNSET,
    )
    return schemas.ChoiceOut(index, message, reason, logprobs(scores) if scores else None)


def whole_calls(pieces: Sequence[CallDelta]) -> list[ToolCall]:
    """The calls that these pieces make."""
    found: dict[int, ToolCall] = {}
    for piece in pieces:
        before = found.get(piece.index, ToolCall("", "", ""))
        found[piece.index] = ToolCall(
            piece.id or before.id, piece.name or before.name, before.arguments + piece.arguments
        )
    return list(found.values())


def logprobs(scores: Sequence[TokenLogprob]) -> schemas.ChoiceLogprobs:
    return schemas.ChoiceLogprobs(tuple(map(_score, scores)))


def _score(score: TokenLogprob) -> schemas.TokenLogprobOut:
    text, logprob, raw = _alternative(score.chosen)
    return schemas.TokenLogprobOut(
        text, logprob, raw, tuple(schemas.TopLogprob(*_alternative(one)) for one in score.top)
    )


def _alternative(one: Alternative) -> tuple[str, float, tuple[int, ...]]:
    return one.text.decode(errors="replace"), one.logprob, tuple(one.text)


def usage(counts: Usage) -> schemas.UsageOut:
    total = counts.prompt_tokens + counts.completion_tokens
    details = schemas.PromptDetails(counts.cached_tokens)
    told = counts.prediction
    predicted = msgspec.UNSET if told is None else schemas.CompletionDetails(told.accepted, told.rejected)
    return schemas.UsageOut(counts.prompt_tokens, counts.completion_tokens, total, details, predicted)


def progress(told: PromptProgress) -> schemas.PromptProgressOut:
    return schemas.PromptProgressOut(told.total, told.cached, told.processed, round(1000 * told.elapsed_s))


class ChunkWriter:
    """Encodes one stream's chunks. Every chunk but the last carries `usage: null` when usage was asked for.

    `continuous`: each carries what was used up to it, as vLLM's do. `legacy`: calls are functions, not tools.
    `customs`: the names of custom tools.
    """

    def __init__(
        self,
        completion_id: str,
        created: int,
        model: str,
        *,
        include_usage: bool,
        continuous: bool = False,
        legacy: bool = False,
        customs: Collection[str] = (),
        system_fingerprint: str | None = None,
    ) -> None:
        self._id, self._created, self._model = completion_id, created, model
        self._continuous = continuous and include_usage
        self._legacy = legacy
        self._calls = CallStream(customs)
        self._prompt_tokens = self._made = 0
        self._include_usage = include_usage
        self._usage: schemas.UsageOut | None | msgspec.UnsetType = None if include_usage else msgspec.UNSET
        self._fingerprint = system_fingerprint

    def count(self, *, prompt_tokens: int = 0, made: int = 0) -> None:
        """What the next chunk's usage has more."""
        self._prompt_tokens += prompt_tokens
        self._made += made
        if self._continuous:
            self._usage = usage(Usage(self._prompt_tokens, self._made))

    def first(self, index: int = 0) -> ChatCompletionChunk:
        return self._chunk(DeltaOut(role="assistant", content=""), index)

    def progress(self, told: PromptProgress) -> ChatCompletionChunk:
        return msgspec.structs.replace(self._chunk(DeltaOut(), 0), prompt_progress=progress(told))

    def delta(self, event: Delta) -> ChatCompletionChunk:
        scores = logprobs(event.logprobs) if event.logprobs else None
        if not event.reasoning:
            return self._chunk(DeltaOut(content=event.text), event.index, None, scores)
        parts = DeltaOut(content=event.text or None, reasoning_content=event.reasoning, reasoning=event.reasoning)
        return self._chunk(parts, event.index, None, scores)

    def calls(self, event: Delta) -> list[ChatCompletionChunk]:
        """A chunk for each piece of a call: id and name first, then the arguments as they grow."""
        if self._legacy:
            pieces = [schemas.FunctionDelta(piece.name, piece.arguments) for piece in event.calls]
            return [self._chunk(DeltaOut(function_call=piece), event.index) for piece in pieces]
        deltas = (self._calls.delta(event.index, piece) for piece in event.calls)
        return [self._chunk(DeltaOut(tool_calls=(each,)), event.index) for each in deltas if each is not None]

    def ended(self, event: ChoiceEnded) -> list[ChatCompletionChunk]:
        return [*self._rest(event.index), self._chunk(DeltaOut(), event.index, event.reason)]

    def _rest(self, index: int) -> list[ChatCompletionChunk]:
        return [self._chunk(DeltaOut(tool_calls=(each,)), index) for each in self._calls.rest(index)]

    def finished(self, event: Finished) -> list[ChatCompletionChunk]:
        """The chunk with the reason, then the one with the usage if it was asked for."""
        chunks = [*self._rest(event.index), self._chunk(DeltaOut(), event.index, event.reason)]
        if self._include_usage:
            chunks.append(
                ChatCompletionChunk(
                    self._id,
                    self._created,
                    self._model,
                    _NO_CHOICES,
                    usage(event.usage),
                    system_fingerprint=self._fingerprint,
                )
            )
        return chunks

    def _chunk(
        self,
        delta: DeltaOut,
        index: int,
        reason: str | None = None,
        scores: schemas.ChoiceLogprobs | None = None,
    ) -> ChatCompletionChunk:
        choices = (ChunkChoice(index, delta, _reason(reason) if self._legacy else reason, scores),)
        return ChatCompletionChunk(
            self._id, self._created, self._model, choices, self._usage, system_fingerprint=self._fingerprint
        )
