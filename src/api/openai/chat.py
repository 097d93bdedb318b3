"""POST /v1/chat/completions, streamed or whole."""

from __future__ import annotations

import time

from flask import Blueprint, Response

from src.api import error_handlers
from src.api.generation import streaming
from src.api.generation.streaming import Event
from src.api.openai import body_spellings, convert, disclosure, forms, translation
from src.api.openai.convert import ChunkWriter
from src.api.openai.schemas import ChatCompletion, ChatCompletionRequest, StreamOptions
from src.api.openai.spellings import to_tools
from src.api.service import json_body, service
from src.errors import ServiceError
from src.ipc.messages.chat import ChoiceEnded, Delta, GenerateRequest, PromptProgress

blueprint = Blueprint("chat", __name__)


@blueprint.post("/v1/chat/completions")
def create() -> Response:
    fields = disclosure.settle("chat", json_body())
    disclosure.rename(**body_spellings.own_names(fields))
    disclosure.note(*body_spellings.normalize(fields))
    legacy = to_tools(fields)
    body = translation.read(fields)
    generate = translation.to_generate(body)
    if body.max_completion_tokens is not None:
        disclosure.rename(max_tokens=("max_completion_tokens",))
    if body.return_progress:
        disclosure.rename(**{"stream_options.include_progress": ("return_progress",)})
    with translation.own_names(forms.names(body)):
        return _answer(body, generate, legacy=legacy)


def _answer(body: ChatCompletionRequest, generate: GenerateRequest, *, legacy: bool) -> Response:
    seeded = body.seed is not None
    generation = service().cache.through(
        generate,
        lambda: translation.open_generation(generate),
        seeded=seeded,
        disclose=lambda names: disclosure.note_engine(names) if names else None,
    )
    form = _ChatBuilder(generate, body, legacy=legacy)
    return translation.respond(generation, _ChunkStream(form) if body.stream else None, form.whole)


class _ChatBuilder:
    """How this request's answer looks."""

    def __init__(self, generate: GenerateRequest, body: ChatCompletionRequest, *, legacy: bool) -> None:
        self._id, self._model = f"chatcmpl-{generate.id}", generate.model
        self._created = int(time.time())
        self._fingerprint = translation.fingerprint(generate)
        self._stream_options = body.stream_options or StreamOptions()
        self._legacy = legacy
        self._customs = body.custom_tools
        self.choices, self.progress = body.n or 1, body.progress

    def whole(self, events: list[Event]) -> ChatCompletion:
        made = convert.completion(events, self._id, self._created, self._model, self._fingerprint, self._customs)
        return convert.with_functions(made) if self._legacy else made

    def chunks(self) -> ChunkWriter:
        return ChunkWriter(
            self._id,
            self._created,
            self._model,
            include_usage=self._stream_options.include_usage,
            continuous=self._stream_options.continuous_usage_stats,
            legacy=self._legacy,
            customs=self._customs,
            system_fingerprint=self._fingerprint,
        )


class _ChunkStream:
    """Chat's events of a stream."""

    def __init__(self, form: _ChatBuilder) -> None:
        self._writer = form.chunks()
        self._choices, self._progress = form.choices, form.progress

    def begin(self, prompt_tokens: int) -> bytes:
        self._writer.count(prompt_tokens=prompt_tokens)
        return b"".join(streaming.sse(self._writer.first(index)) for index in range(self._choices))

    def event(self, event: Event) -> bytes:
        writer = self._writer
        if isinstance(event, Delta):
            writer.count(made=event.count)
            shown = event.text or event.logprobs or event.reasoning
            encoded = streaming.sse(writer.delta(event)) if shown else b""
            return encoded + b"".join(map(streaming.sse, writer.calls(event))) if event.calls else encoded
        if isinstance(event, ChoiceEnded):
            return b"".join(map(streaming.sse, writer.ended(event)))
        return b"".join(map(streaming.sse, writer.finished(event)))

    def keep_alive(self, progress: PromptProgress | None) -> bytes:
        return streaming.ping(progress)

    def progress(self, progress: PromptProgress) -> bytes:
        return streaming.sse(self._writer.progress(progress)) if self._progress else b""

    def failed(self, error: ServiceError) -> bytes:
        return streaming.sse(error_handlers.envelope(error))

    def end(self) -> bytes:
        return streaming.DONE
