"""From a server's chunks to our events. Pure: one `Translation` follows one answer to its end."""

from __future__ import annotations

from typing import Annotated, get_args

import msgspec

from src.engine.upstream import calls
from src.engine.upstream.dialects import Dialect, is_resumable
from src.engine.upstream.errors import from_event
from src.ipc.messages.chat import (
    Alternative,
    CallDelta,
    ChoiceEnded,
    Delta,
    Finished,
    FinishReason,
    GenerateRequest,
    PromptProgress,
    Timings,
    TokenLogprob,
    Usage,
)

_UNKNOWN_TOKEN = -1
_SURE = 0.0
_FINISH_REASONS: dict[str, FinishReason] = {reason: reason for reason in get_args(FinishReason)}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Piece(msgspec.Struct):
    """`reasoning_content` and `reasoning` are two names for the same: llama.cpp has one, vLLM the other."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Top(msgspec.Struct):
    token: str
    logprob: float | None = None
    bytes: list[int] | None = None
    id: int | None = None


class _Score(_Top):
    top_logprobs: list[_Top] = []


class _StreamScores(msgspec.Struct):
    """Chat's form (`content`), which llama.cpp has everywhere, or the older one of /v1/completions."""

    content: list[_Score] | None = None
    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None


class _ChoiceText(msgspec.Struct):
    index: int = 0
    delta: _Piece | None = None
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    logprobs: _StreamScores | None = None
    token_ids: list[int] | None = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]  # a key's budget is charged by it


class _Cached(msgspec.Struct):
    cached_tokens: _Count | None = None


class _StreamUsage(msgspec.Struct):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    prompt_tokens_details: _Cached | None = None


class _Progress(msgspec.Struct):
    """As llama.cpp's server tells it."""

    total: _Count = 0
    cache: _Count = 0
    processed: _Count = 0
    time_ms: float = 0.0


class _Counts(msgspec.Struct):
    """llama.cpp's tokens so far."""

    predicted_n: _Count | None = None


class StreamChunk(msgspec.Struct):
    """One event of a stream; what is not listed here is passed over."""

    choices: list[_ChoiceText] = []
    usage: _StreamUsage | None = None
    prompt_progress: _Progress | None = None
    timings: _Counts | None = None
    error: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(StreamChunk)


class Translation:
    """Feed it the data of each event; ask for `finished` at the end.

    `kept`: tokens of the answer that stand in the prompt; `dropped`: of those that come first, the client has the ids.
    `tells_tokens`: all so far came with their ids.
    """

    def __init__(self, request: GenerateRequest, dialect: Dialect, kept: int = 0, dropped: int = 0) -> None:
        self.tells_tokens = is_resumable(request, dialect)
        self._kept, self._dropped, self._told = kept, dropped, 0
        self._shows_scores = request.sampling.logprobs is not None
        self._choices = max(1, len(request.choices))
        forced = calls.is_forced(request) and not dialect.forces_tools
        self._readers = {index: calls.reader(request) for index in range(self._choices)} if forced else {}
        self._top = request.sampling.logprobs or 0
        self._shows_progress, self._streamed = request.progress, request.stream
        self._ended: list[tuple[int, FinishReason]] = []
        self._stop: str | None = None
        self._usage: _StreamUsage | None = None
        self._passing: _StreamUsage | None = None
        self.prompt_tokens = 0
        self._counts: dict[int, int] = {}

    def feed(self, data: bytes) -> list[Delta | PromptProgress | ChoiceEnded]:
        """What one event says.

        Raises:
            ServiceError: when it says that the answer failed.
            msgspec.DecodeError: when it is none of an OpenAI server's.
        """
        chunk = _decoder.decode(data)
        if error := bytes(chunk.error):
            raise from_event(error)
        self._note(chunk)
        so_far = _so_far(chunk)
        told = [] if chunk.prompt_progress is None else self._progress(chunk.prompt_progress)
        return [*told, *(event for choice in chunk.choices for event in self._events(choice, so_far))]

    def _progress(self, told: _Progress) -> list[PromptProgress]:
        """For streams; the end of a prompt is told to whoever asks."""
        if not (self._shows_progress or (self._streamed and told.processed < told.total)):
            return []
        return [PromptProgress(told.total, told.processed, told.cache, told.time_ms / 1000)]

    @property
    def made(self) -> int:
        """Tokens so far: as the server counts them as it goes, or a token a piece."""
        return sum(self._counts.values())

    @property
    def complete(self) -> bool:
        """Whether every choice has said how it ended."""
        return len(self._ended) >= self._choices

    def finished(self, timings: Timings) -> Finished:
        """The outcome. A server that does not tell the usage is counted by what it sent: a piece is a token there."""
        index, reason = self._ended[-1]
        reported = self._usage or self._passing or _StreamUsage(self.prompt_tokens, self.made)
        cached = reported.prompt_tokens_details.cached_tokens if reported.prompt_tokens_details else None
        prompt_tokens = max(0, reported.prompt_tokens - self._kept)
        # a server that outlived this process has cached some of the answer, too
        usage = Usage(prompt_tokens, reported.completion_tokens + self._kept, min(cached or 0, prompt_tokens))
        return Finished(reason, usage, timings, index, self._stop)

    def _note(self, chunk: StreamChunk) -> None:
        """Some tell the usage as they go, most at the end; with several choices llama.cpp tells one of each."""
        if chunk.prompt_progress is not None:
            self.prompt_tokens = max(0, chunk.prompt_progress.total - self._kept)
        if chunk.usage is None:
            return
        self.prompt_tokens = max(0, chunk.usage.prompt_tokens - self._kept)
        if chunk.choices:
            self._passing = chunk.usage
        elif self._usage is None:
            self._usage = chunk.usage
        else:
            self._usage.completion_tokens += chunk.usage.completion_tokens

    def _events(self, choice: _ChoiceText, so_far: int | None) -> list[Delta | ChoiceEnded]:
        delta = self._delta(choice, so_far)
        found: list[Delta | ChoiceEnded] = [] if delta is None else [self._read(delta)]
        if choice.finish_reason is not None:
            found += self._end(choice, choice.finish_reason)
        return found

    def _delta(self, choice: _ChoiceText, so_far: int | None) -> Delta | None:
        piece = choice.delta or _Piece()
        text = choice.text or piece.content or ""
        reasoning = piece.reasoning_content or piece.reasoning or ""
        called = tuple(map(_call, piece.tool_calls or ()))
        if self.tells_tokens:
            ids = _token_ids(choice)
            self._told += len(ids)
            self.tells_tokens = not (reasoning or called) and (self._told == so_far or not (text or ids))
            if self.tells_tokens:
                return self._with_tokens(choice, text, ids)
        scores = self._scores(choice.logprobs) if choice.logprobs is not None and self._shows_scores else ()
        if not (text or reasoning or called or scores):
            return None
        count = len(scores) or 1 if so_far is None else so_far - self._counts.get(choice.index, 0)
        self._counts[choice.index] = self._counts.get(choice.index, 0) + count
        return Delta((), text, choice.index, scores, reasoning, called, unreported_tokens=count)

    def _with_tokens(self, choice: _ChoiceText, text: str, ids: list[int]) -> Delta | None:
        """The end mark is nobody's token: it comes with the end."""
        fresh = ids[self._dropped :] if text or choice.finish_reason is None else []
        self._dropped = max(0, self._dropped - len(ids))
        self._counts[choice.index] = self._counts.get(choice.index, 0) + len(ids)
        return Delta(tuple(fresh), text, choice.index) if text or fresh else None

    def _read(self, delta: Delta) -> Delta:
        """Text that is a call becomes one."""
        if delta.index not in self._readers:
            return delta
        pieces = self._readers[delta.index].push(delta.text)
        return msgspec.structs.replace(delta, text=pieces.text, calls=pieces.calls)

    def _end(self, choice: _ChoiceText, said: str) -> list[Delta | ChoiceEnded]:
        reason = _FINISH_REASONS.get(said, "stop")
        found: list[Delta | ChoiceEnded] = []
        if (reader := self._readers.get(choice.index)) is not None:
            rest = reader.flush()
            if rest.text or rest.calls:
                found.append(Delta((), rest.text, choice.index, calls=rest.calls))
            reason = "tool_calls" if reason == "stop" and reader.called else reason
        self._stop = choice.stop_reason if isinstance(choice.stop_reason, str) else None
        self._ended.append((choice.index, reason))
        return found if self.complete else [*found, ChoiceEnded(choice.index, reason)]

    def _scores(self, scores: _StreamScores) -> tuple[TokenLogprob, ...]:
        if scores.content is not None:
            return tuple(
                TokenLogprob(_alternative(one), tuple(map(_alternative, one.top_logprobs[: self._top])))
                for one in scores.content
            )
        tops = scores.top_logprobs or [None] * len(scores.tokens)
        each = zip(scores.tokens, scores.token_logprobs, tops, strict=False)
        return tuple(self._older(token, logprob, top) for token, logprob, top in each)

    def _older(self, token: str, logprob: float | None, top: dict[str, float] | None) -> TokenLogprob:
        best = sorted((top or {}).items(), key=lambda pair: -pair[1])[: self._top]
        return TokenLogprob(_named(token, logprob), tuple(_named(*pair) for pair in best))


def _so_far(chunk: StreamChunk) -> int | None:
    """Tokens of the answer, as the server counts them as it goes."""
    if chunk.usage is not None:
        return chunk.usage.completion_tokens
    return chunk.timings.predicted_n if chunk.timings is not None else None


def _token_ids(choice: _ChoiceText) -> list[int]:
    """Of what a chunk says. llama.cpp gives the last id alone of a character that it has held back: the count tells."""
    if choice.token_ids is not None:
        return choice.token_ids
    scores = choice.logprobs.content if choice.logprobs is not None else None
    return [one.id for one in scores or () if one.id is not None]


def _call(call: _Call) -> CallDelta:
    return CallDelta(call.index, call.id, call.function.name, call.function.arguments or "")


def _alternative(one: _Top) -> Alternative:
    text = one.token.encode() if one.bytes is None else bytes(one.bytes)
    return Alternative(
        _UNKNOWN_TOKEN if one.id is None else one.id, text, _SURE if one.logprob is None else one.logprob
    )


def _named(token: str, logprob: float | None) -> Alternative:
    return Alternative(_UNKNOWN_TOKEN, token.encode(), _SURE if logprob is None else logprob)
