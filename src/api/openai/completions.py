"""POST /v1/completions, /tokenize and /detokenize: the model without a conversation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response
from msgspec.structs import replace

from src.api import error_handlers
from src.api.generation import streaming
from src.api.generation.streaming import Event
from src.api.openai import body_spellings, convert, disclosure, forms, prompt_scores, translation
from src.api.openai.schemas import ChatCompletionRequest, StreamOptions
from src.api.openai.schemas_completions import (
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    DetokenizeBody,
    DetokenizeOut,
    TokenizeBody,
    TokenizeOut,
)
from src.api.service import json_body, json_response, service
from src.errors import InvalidRequest, ServiceError, UnsupportedValue
from src.ipc.messages.chat import (
    ChoiceEnded,
    Delta,
    Detokenized,
    DetokenizeRequest,
    Finished,
    GenerateRequest,
    PromptProgress,
    RawPrompt,
    Scored,
    TokenLogprob,
    Usage,
)

blueprint = Blueprint("completions", __name__)

_NO_CONVERSATION = [{"role": "user", "content": ""}]
_NAMES = {"messages": "prompt", "top_logprobs": "logprobs"}
_DEFAULT_TOKENS = 16


@blueprint.post("/v1/completions")
def create() -> Response:
    asked = disclosure.settle("completions", json_body())
    body_spellings.rename(asked)
    own = CompletionRequest.model_validate(asked)
    fields = _as_chat(own)
    with translation.own_names(_NAMES):
        return _create(own, fields)


def _create(own: CompletionRequest, fields: dict[str, Any]) -> Response:
    body, generate = translation.accept(fields)
    with translation.own_names(forms.names(body)):
        return _complete(own, body, generate)


def _complete(own: CompletionRequest, body: ChatCompletionRequest, generate: GenerateRequest) -> Response:
    prompts = _prompts(own)
    if body.stream and len(prompts) > 1:
        raise UnsupportedValue("A stream takes one prompt.", param="prompt")
    requests = [replace(generate, raw_prompt=raw) for raw in prompts]
    for at, each in enumerate(requests[1:], 1):
        requests[at] = replace(each, id=f"{generate.id}-{at}")
    echoes = _echoes(own, generate, prompts)
    form = _CompletionBuilder(generate, echoes, body.n or 1)
    if body.stream:
        writer = CompletionWriter(form, body.stream_options or StreamOptions(), progress=body.progress)
        return translation.respond(translation.open_generation(requests[0]), writer, form.whole)
    return json_response(form.together(_answers(own, requests, echoes)))


def _answers(own: CompletionRequest, requests: list[GenerateRequest], echoes: list[_Echo]) -> list[list[Event]]:
    """What the prompts' scores have not answered already is generated."""
    limit = requests[0].max_tokens if own.max_tokens != 0 else 0
    known = {
        at: answer
        for at, (request, echo) in enumerate(zip(requests, echoes, strict=True))
        if echo.scored is not None and (answer := prompt_scores.answer_of(request, echo.scored, limit or 0)) is not None
    }
    made = iter(translation.collect_all([one for at, one in enumerate(requests) if at not in known]))
    return [known[at] if at in known else next(made) for at in range(len(requests))]


@dataclass(frozen=True)
class _Echo:
    """What stands before the answers to one prompt."""

    text: str = ""
    scored: Scored | None = None

    @property
    def logprobs(self) -> list[TokenLogprob]:
        return list(self.scored.tokens) if self.scored is not None else []


def _echoes(own: CompletionRequest, generate: GenerateRequest, prompts: list[RawPrompt]) -> list[_Echo]:
    if not own.echo:
        return [_Echo()] * len(prompts)
    if own.logprobs is None and own.max_tokens != 0:
        return [_Echo(prompt_scores.text_of(generate.model, prompt)) for prompt in prompts]
    scored = prompt_scores.scores_of(generate, prompts)
    return [_Echo(_text(prompt, one), one) for prompt, one in zip(prompts, scored, strict=True)]


def _text(prompt: RawPrompt, scored: Scored) -> str:
    if prompt.text is not None:
        return prompt.text
    return b"".join(one.chosen.text for one in scored.tokens).decode(errors="replace")


def _as_chat(own: CompletionRequest) -> dict[str, Any]:
    """The fields that chat has too, under its names."""
    extra = dict(own.model_extra or {})
    if own.best_of is not None and own.best_of != (extra.get("n") or 1):
        raise UnsupportedValue("best_of must be n: no answers are thrown away.", param="best_of")
    if own.suffix and (own.echo or not isinstance(own.prompt, str)):
        raise UnsupportedValue("suffix takes one text prompt and no echo.", param="suffix")
    if own.max_tokens == 0 and (not own.echo or extra.get("stream")):
        raise UnsupportedValue("max_tokens: 0 needs echo, and no stream.", param="max_tokens")
    extra["max_tokens"] = _DEFAULT_TOKENS if own.max_tokens is None else max(1, own.max_tokens)
    scores = {} if own.logprobs is None else {"logprobs": True, "top_logprobs": own.logprobs}
    return {**extra, **scores, "messages": _NO_CONVERSATION}


def _prompts(own: CompletionRequest) -> list[RawPrompt]:
    if isinstance(own.prompt, str):
        return [RawPrompt(text=own.prompt, suffix=own.suffix or "")]
    found: list[RawPrompt] = []
    for each in own.prompt:
        if isinstance(each, int):
            return [RawPrompt(tokens=tuple(one for one in own.prompt if isinstance(one, int)))]
        found.append(RawPrompt(text=each) if isinstance(each, str) else RawPrompt(tokens=tuple(each)))
    return found


class _CompletionBuilder:
    """How this request's answers look."""

    def __init__(self, generate: GenerateRequest, echoes: list[_Echo], choices: int) -> None:
        self._id, self._model = f"cmpl-{generate.id}", generate.model
        self._created = int(time.time())
        self._fingerprint = translation.fingerprint(generate)
        self._echoes = echoes
        self._scored = generate.sampling.logprobs is not None
        self.choices = choices

    def completion(self, choices: tuple[CompletionChoice, ...], usage: Usage | None = None) -> Completion:
        counts = None if usage is None else convert.usage(usage)
        return Completion(self._id, self._created, self._model, choices, counts, system_fingerprint=self._fingerprint)

    def whole(self, events: list[Event]) -> Completion:
        return self.together([events])

    def together(self, answers: list[list[Event]]) -> Completion:
        """The answers to all prompts, one behind the other."""
        made: list[CompletionChoice] = []
        total = Usage(0, 0)
        for at, events in enumerate(answers):
            finished = next(event for event in reversed(events) if isinstance(event, Finished))
            made += [self._choice(events, finished, n, at) for n in range(self.choices)]
            total = Usage(
                total.prompt_tokens + finished.usage.prompt_tokens,
                total.completion_tokens + finished.usage.completion_tokens,
                total.cached_tokens + finished.usage.cached_tokens,
            )
        return self.completion(tuple(made), total)

    def echo(self, index: int, prompt: int = 0) -> CompletionChoice:
        """A choice's beginning: its prompt."""
        echo = self._echoes[prompt]
        scores = _logprobs([], 0, echo.logprobs) if echo.logprobs and self._scored else None
        return CompletionChoice(prompt * self.choices + index, echo.text, scores)

    @property
    def echoed(self) -> int:
        """Where the first answer's tokens begin."""
        return len(self._echoes[0].text)

    def _choice(self, events: list[Event], finished: Finished, index: int, prompt: int) -> CompletionChoice:
        echo = self._echoes[prompt]
        deltas = [event for event in events if isinstance(event, Delta) and event.index == index]
        ends = [event.reason for event in events if isinstance(event, ChoiceEnded) and event.index == index]
        reason = ends[0] if ends else finished.reason
        text = echo.text + "".join(delta.text for delta in deltas)
        scores = [score for delta in deltas for score in delta.logprobs]
        shown = _logprobs(scores, 0, echo.logprobs) if self._scored and (scores or echo.logprobs) else None
        return CompletionChoice(prompt * self.choices + index, text, shown, reason)


class CompletionWriter:
    """A stream of text."""

    def __init__(self, form: _CompletionBuilder, options: StreamOptions, *, progress: bool = False) -> None:
        self._form, self._progress = form, progress
        self._include_usage = options.include_usage
        self._continuous = options.include_usage and options.continuous_usage_stats
        self._prompt_tokens = self._made = 0
        self._offsets = dict.fromkeys(range(form.choices), form.echoed)

    def begin(self, prompt_tokens: int) -> bytes:
        self._prompt_tokens = prompt_tokens
        if not self._form.echoed:
            return b""
        return b"".join(self._chunk(self._form.echo(index)) for index in range(self._form.choices))

    def event(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            self._made += event.count
            return self._delta(event) if event.text or event.logprobs else b""
        last = self._chunk(CompletionChoice(event.index, "", None, event.reason))
        if isinstance(event, Finished) and self._include_usage:
            last += streaming.sse(self._form.completion((), event.usage))
        return last

    def _delta(self, event: Delta) -> bytes:
        scores = _logprobs(list(event.logprobs), self._offsets[event.index]) if event.logprobs else None
        self._offsets[event.index] += len(event.text)
        return self._chunk(CompletionChoice(event.index, event.text, scores))

    def _chunk(self, choice: CompletionChoice) -> bytes:
        used = Usage(self._prompt_tokens, self._made) if self._continuous else None
        return streaming.sse(self._form.completion((choice,), used))

    def keep_alive(self, progress: PromptProgress | None) -> bytes:
        return streaming.ping(progress)

    def progress(self, progress: PromptProgress) -> bytes:
        if not self._progress:
            return b""
        chunk = self._form.completion((CompletionChoice(0, ""),))
        return streaming.sse(replace(chunk, prompt_progress=convert.progress(progress)))

    def failed(self, error: ServiceError) -> bytes:
        return streaming.sse(error_handlers.envelope(error))

    def end(self) -> bytes:
        return streaming.DONE


def _logprobs(scores: list[TokenLogprob], offset: int, prompt: Sequence[TokenLogprob] = ()) -> CompletionLogprobs:
    """OpenAI's legacy form; nothing stands before a prompt's first token, so it has no log-probability."""
    scores = [*prompt, *scores]
    tokens = tuple(score.chosen.text.decode(errors="replace") for score in scores)
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    values: list[float | None] = [score.chosen.logprob for score in scores]
    tops: list[dict[str, float] | None] = [_top(score) for score in scores]
    if prompt:
        values[0] = tops[0] = None
    return CompletionLogprobs(tokens, tuple(values), tuple(tops), tuple(offsets))


def _top(score: TokenLogprob) -> dict[str, float]:
    """Best first; of tokens that look alike (half a character each), the likelier one."""
    found: dict[str, float] = {}
    for one in score.top:
        found.setdefault(one.text.decode(errors="replace"), one.logprob)
    return found


# ---- tokens


@blueprint.post("/tokenize")
def tokenize() -> Response:
    body = TokenizeBody.model_validate(json_body())
    if (body.prompt is None) == (body.messages is None):
        raise InvalidRequest("Either prompt or messages is needed.", param="prompt")
    asked = {"model": body.model, "messages": body.messages or _NO_CONVERSATION, "tools": body.tools}
    given = {name: value for name, value in asked.items() if value is not None}
    fields = disclosure.settle("chat", given)
    disclosure.note(*body_spellings.normalize(fields))
    _, generate = translation.accept(fields)
    if body.prompt is not None:
        generate = replace(generate, raw_prompt=RawPrompt(text=body.prompt))
    answer = translation.tokens_of(generate)
    return json_response(TokenizeOut(answer.tokens, len(answer.tokens), answer.context_length))


@blueprint.post("/detokenize")
def detokenize() -> Response:
    body = DetokenizeBody.model_validate(json_body())
    model = service().backends.check_model(body.model or service().settings.default_model).name
    answer = translation.ask(model, DetokenizeRequest(model, tuple(body.tokens)))
    assert isinstance(answer, Detokenized)  # noqa: S101  # the question decides what answers it
    return json_response(DetokenizeOut(answer.text))
