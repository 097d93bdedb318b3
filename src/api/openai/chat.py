"""POST /v1/chat/completions, streamed or whole.

The engine always streams, so that a client that leaves ends its answer in either case.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, request
from msgspec.structs import replace

from src.api import error_handlers
from src.api.edge import auth
from src.api.edge.cors import note_fallback
from src.api.generation import sse
from src.api.generation.answer import Answer
from src.api.generation.generation import Generation
from src.api.generation.recorder import Recorder
from src.api.generation.streaming import Answering, Event, stream, wait_admitted
from src.api.openai import convert, disclosure, parts
from src.api.openai.convert import ChunkWriter
from src.api.openai.fetch import Fetcher
from src.api.openai.legacy import to_tools
from src.api.openai.schemas import ChatCompletionRequest, StreamOptions
from src.api.service import Service, json_body, json_response, request_id, service
from src.errors import EngineCrashed, InvalidRequest, ServiceError
from src.ipc.messages.chat import ChoiceEnded, Delta, EmbedRequest, GenerateRequest
from src.settings import Settings

blueprint = Blueprint("chat", __name__)

# the engine keeps the deadline; only this much later do we stop waiting for its word
_GRACE_S = 30.0


@blueprint.post("/v1/chat/completions")
def create() -> Response:
    shared = service()
    fields = disclosure.settle("chat", json_body())
    legacy = to_tools(fields)
    body = read(fields)
    generate = accept(body)
    if body.max_completion_tokens is not None:
        disclosure.rename(max_tokens=("max_completion_tokens",))
    seeded = body.seed is not None
    generation = shared.cache.through(generate, lambda: open_generation(shared, generate), seeded=seeded)
    try:
        wait_admitted(generation, once=bool(body.stream))
        shown = _streamed(generation, generate, body, legacy=legacy) if body.stream else None
        return shown or _whole(generation, generate, legacy=legacy)
    except BaseException:
        generation.close()
        raise


def read(fields: dict[str, Any]) -> ChatCompletionRequest:
    """A body whose fields are sorted; its parts may be spelled as any client does."""
    parts.normalize(fields.get("messages"))
    return ChatCompletionRequest.model_validate(fields)


def accept(body: ChatCompletionRequest) -> GenerateRequest:
    """A body that is checked, as the engine's request; images it names by URL are fetched."""
    settings = service().settings
    model = service().backends.check_model(body.model or settings.default_model).name
    if body.images > settings.max_images:
        text = f"The request has {body.images} images, at most {settings.max_images} are taken (MAX_IMAGES)."
        raise InvalidRequest(text, param="messages")
    made = convert.to_generate(body, request_id(), model, headers(), Fetcher(settings))
    return replace(made, strict=settings.strict_fields)


def headers() -> convert.Headers:
    """What the request's headers ask for."""
    return convert.Headers(request.headers.get("X-Priority"), request.headers.get("X-Request-Timeout"))


def longest_s(settings: Settings, *, background: bool) -> float:
    """Seconds from a request's arrival to its outcome at most: each of its waits has a limit of its own."""
    place = settings.queue_timeout + settings.start_timeout + (settings.background_timeout if background else 0.0)
    return place + settings.queue_timeout + settings.request_timeout + settings.resume_max_wait


def open_generation(shared: Service, generate: GenerateRequest) -> Generation:
    labels = shared.backends.labels(generate.model)
    record = Recorder(shared.metrics, generate, labels, spend=shared.limits.spender())
    answer = open_answer(shared, replace(generate, salt=auth.salt()))
    return Generation(answer, record, shared.settings.sse_ping_seconds)


def open_answer(shared: Service, asked: GenerateRequest | EmbedRequest) -> Answer:
    """A request at its model's engine."""
    return Answer(
        lambda: shared.backends.open_chat(asked),
        inflight=shared.inflight,
        environ=request.environ,
        crashed=EngineCrashed("The engine died while it worked on this request; it is restarted.", retry_after_s=3.0),
        timeout_s=longest_s(shared.settings, background=asked.priority == "background") + _GRACE_S,
        on_fallback=note_fallback,
        on_set_aside=disclosure.note_engine,
    )


def _whole(generation: Answering, generate: GenerateRequest, *, legacy: bool) -> Response:
    try:
        events = [event for batch in generation.batches() for event in batch]
    finally:
        generation.close()
    fingerprint = convert.fingerprint(generate.model, service().backends.engine_name(generate.model))
    made = convert.completion(events, _completion_id(generate), int(time.time()), generate.model, fingerprint)
    return json_response(convert.with_functions(made) if legacy else made)


def _streamed(
    generation: Answering, generate: GenerateRequest, body: ChatCompletionRequest, *, legacy: bool
) -> Response:
    options = body.stream_options or StreamOptions()
    writer = ChunkWriter(
        _completion_id(generate),
        int(time.time()),
        generate.model,
        include_usage=options.include_usage,
        continuous=options.continuous_usage_stats,
        legacy=legacy,
        system_fingerprint=convert.fingerprint(generate.model, service().backends.engine_name(generate.model)),
    )
    return stream(generation, _ChunkStream(writer, body.n or 1))


class _ChunkStream:
    """Chat's events of a stream."""

    def __init__(self, writer: ChunkWriter, choices: int) -> None:
        self._writer = writer
        self._choices = choices

    def begin(self, prompt_tokens: int) -> bytes:
        self._writer.count(prompt_tokens=prompt_tokens)
        return b"".join(sse.event(self._writer.first(index)) for index in range(self._choices))

    def event(self, event: Event) -> bytes:
        writer = self._writer
        if isinstance(event, Delta):
            writer.count(made=event.count)
            shown = event.text or event.logprobs or event.reasoning
            encoded = sse.event(writer.delta(event)) if shown else b""
            return encoded + b"".join(map(sse.event, writer.calls(event))) if event.calls else encoded
        if isinstance(event, ChoiceEnded):
            return sse.event(writer.ended(event))
        return b"".join(map(sse.event, writer.finished(event)))

    def keep_alive(self) -> bytes:
        return sse.PING

    def failed(self, error: ServiceError) -> bytes:
        return sse.event(error_handlers.envelope(error))

    def end(self) -> bytes:
        return sse.DONE


def _completion_id(generate: GenerateRequest) -> str:
    return f"chatcmpl-{generate.id}"
