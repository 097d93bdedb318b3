"""From a request to a sequence: chat template, token ids, length check, time budget. Runs on the tokenizer thread.

The choices of a request share one `Prompt`. A resumed answer is replayed here: its tokens go behind the prompt, and its
text stream is brought to where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from src.engine.backend import Backend
from src.engine.deadlines import budget
from src.engine.sequence import Sequence
from src.engine.text import TextStream
from src.errors import ContextLengthExceeded, InvalidRequest, UnsupportedValue
from src.ipc.messages.chat import FinishReason, GenerateRequest
from src.settings import EngineSettings


@dataclass(frozen=True)
class Prompt:
    """A request's token ids, and what of it is no text."""

    tokens: list[int]
    media: object | None
    arrived: float


def encode(request: GenerateRequest, backend: Backend, clock: Callable[[], float]) -> Prompt:
    """Raises InvalidRequest for a conversation that the template refuses, or that is empty."""
    arrived = clock()
    tokens = backend.tokenizer.encode(request)
    if not tokens:
        raise InvalidRequest("The prompt is empty: it has no tokens.", param="messages")
    return Prompt(tokens, backend.tokenizer.media(request), arrived)


def prepare(
    request: GenerateRequest,
    prompt: Prompt,
    backend: Backend,
    settings: EngineSettings,
    seconds_per_token: float | None,
) -> Sequence:
    """The sequence of one answer; `seconds_per_token` as measured on this engine.

    Raises:
        ContextLengthExceeded: when prompt and answer do not fit the model.
    """
    context = backend.info.context_length
    asked, strict = request.max_tokens, request.strict
    max_tokens = answer_budget(len(prompt.tokens), asked, settings.default_max_tokens, context, strict=strict)
    reader = backend.tokenizer.reader(request, prompt.tokens)
    text = TextStream(backend.tokenizer.detokenizer(), request.stop, reader)
    whole = [*prompt.tokens, *request.prefix] if request.prefix else prompt.tokens
    return Sequence(
        request,
        whole,
        max_tokens,
        text,
        prompt.arrived,
        budget(request, max_tokens, settings, seconds_per_token),
        finished_on_replay=replay(request.prefix, text, max_tokens, backend.end_tokens),
        prefill_left=len(whole),
        completion_tokens=len(request.prefix),
        media=prompt.media,
        set_aside=_set_aside(request, prompt.tokens, backend, cut=asked is not None and max_tokens < asked),
    )


def _set_aside(request: GenerateRequest, prompt: list[int], backend: Backend, *, cut: bool) -> tuple[str, ...]:
    """What the answer is made without; raises UnsupportedValue where nothing may be."""
    names = (*backend.tokenizer.set_aside(request, prompt), *(("max_tokens",) if cut else ()))
    if names and request.strict:
        raise UnsupportedValue("This model has no use for this field (STRICT_FIELDS).", param=names[0])
    return names


def replay(prefix: tuple[int, ...], text: TextStream, max_tokens: int, ends: frozenset[int]) -> FinishReason | None:
    """Bring `text` to where it was after `prefix`; the outcome, if only that was lost in the crash."""
    for token in prefix:
        if token in ends:
            return "stop"
        text.push(token)
    if text.stopped:
        return "stop"
    return "length" if len(prefix) >= max_tokens else None


def answer_budget(prompt: int, asked: int | None, default: int, context: int, *, strict: bool = False) -> int:
    """Tokens the answer may take: what was asked (or the default; 0 is all), but no more than the context has left.

    Raises:
        ContextLengthExceeded: naming the numbers; `strict`: also where an asked length would have to be cut.
    """
    left = context - prompt
    if left < 1:
        raise ContextLengthExceeded(
            f"The prompt has {prompt} tokens; the model's context is {context}, and an answer needs at least one.",
            param="messages",
        )
    if asked is not None and asked > left and strict:
        raise ContextLengthExceeded(
            f"The prompt has {prompt} tokens and max_tokens asks for {asked}; the model's context is {context}.",
            param="max_tokens",
        )
    return min((default or left) if asked is None else asked, left)
