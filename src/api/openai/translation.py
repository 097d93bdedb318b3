"""What chat, completions, responses, messages and embeddings share: a body becomes a request for an engine, its events
an answer.

Each endpoint brings its translation in, and for its answers a function (whole) and a `StreamWriter` (streamed). The
engine always streams, so that a client that leaves ends its answer in either case.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeGuard, TypeVar

import gevent
from flask import Response, has_request_context, request
from msgspec.structs import replace
from pydantic import ValidationError

from src.api import error_handlers
from src.api.body import check_parts
from src.api.edge import auth
from src.api.edge.cors import note_fallback
from src.api.generation.generation import EventKinds, Generation, RequestTimeouts
from src.api.generation.inflight import ClientGone
from src.api.generation.recorder import ChatRecorder, Recorder, Uncounted
from src.api.generation.streaming import Answering, Event, StreamWriter, admitted, collect, stream
from src.api.openai import convert, disclosure, spellings
from src.api.openai.fetch import Fetcher
from src.api.openai.pdf_reader import PdfReader
from src.api.openai.result_pictures import ResultPictures
from src.api.openai.schemas import ChatCompletionRequest
from src.api.service import json_response, request_id, service
from src.api.tracing import traces
from src.api.tracing.traces import TracedRecorder
from src.api.wire import Wire
from src.errors import EngineCrashed, InvalidRequest, ServiceError
from src.ipc.messages.chat import (
    Admitted,
    Detokenized,
    DetokenizeRequest,
    EmbedRequest,
    Finished,
    GenerateRequest,
    Tokenized,
    TokenizeRequest,
)
from src.ipc.messages.wire import AnyMessage
from src.settings import Settings

E = TypeVar("E", bound=AnyMessage)

# the engine keeps the deadline; only this much later do we stop waiting for its word
_GRACE_S = 30.0


def accept(fields: dict[str, Any]) -> tuple[ChatCompletionRequest, GenerateRequest]:
    """A body that was translated into chat's fields, checked as chat's are."""
    check_parts(fields, service().settings)
    body = read(fields)
    return body, to_generate(body)


def read(fields: dict[str, Any]) -> ChatCompletionRequest:
    """A body whose fields are sorted; its parts may be spelled as any client does."""
    spellings.normalize(fields.get("messages"))
    spellings.check_parts(fields.get("messages"))
    return ChatCompletionRequest.model_validate(fields)


def to_generate(body: ChatCompletionRequest) -> GenerateRequest:
    """A body that is checked, as the engine's request; images it names by URL are fetched, its PDFs are read."""
    settings = service().settings
    entry = service().backends.check_model(body.model or settings.default_model)
    _check_images(body, settings)
    asked = headers()
    timeout_s, priority = convert.timeout(body.timeout, asked.timeout), convert.priority_of(body, asked)
    sees = body.has_files and service().backends.is_shown_pages(entry)
    reader = PdfReader(service(), timeout_s, priority, sees=sees)
    seen = not body.images or service().backends.reads_images(entry) is not False
    results = ResultPictures(disclosure.note, sees=seen, too_many=body.images - settings.max_images)
    sources = convert.PartSources(Fetcher(settings), reader, results.stand_in)
    made = convert.to_generate(body, request_id(), entry.name, asked, sources)
    return replace(made, strict=settings.strict_fields, timeout_s=reader.timeout_s(made.timeout_s))


def _check_images(body: ChatCompletionRequest, settings: Settings) -> None:
    """The client's own; of those that tools gave, the earliest are left out."""
    own = body.images - body.result_images
    if own > settings.max_images:
        text = f"The request has {own} images, at most {settings.max_images} are taken (MAX_IMAGES)."
        raise InvalidRequest(text, param="messages")


def headers() -> convert.Headers:
    """What the request's headers ask for."""
    return convert.Headers(request.headers.get("X-Priority"), request.headers.get("X-Request-Timeout"))


def tokens_of(generate: GenerateRequest) -> Tokenized:
    """The tokens a request would be answered with."""
    answer = ask(generate.model, TokenizeRequest(generate))
    assert isinstance(answer, Tokenized)  # noqa: S101  # the question decides what answers it
    return answer


@contextmanager
def own_names(names: dict[str, str]) -> Iterator[None]:
    """Errors, and what is set aside, name the fields as this endpoint has them, not as chat has."""
    disclosure.rename(**{chats: (own,) for chats, own in names.items()})
    try:
        yield
    except ValidationError as error:
        raise _renamed(error_handlers.from_validation(error), names) from None
    except ServiceError as error:
        raise _renamed(error, names) from None


def _renamed(error: ServiceError, names: dict[str, str]) -> ServiceError:
    head = re.match(r"\w*", error.param or "")
    if error.param and head and head[0] in names:
        was = error.param
        error.param = names[head[0]] + was[head.end() :]
        error.message = error.message.replace(repr(was), repr(error.param))
    return error


def content_of(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Parts in chat's form as a turn's content: one text where there is nothing else."""
    if any(part["type"] != "text" for part in parts):
        return parts
    return "".join(part["text"] for part in parts)


def fingerprint(generate: GenerateRequest) -> str:
    return convert.fingerprint(generate.model, service().backends.engine_name(generate.model))


# ---- at the engine: all that goes there passes `open_at_engine` or `ask`, which say whose it is (`salt`)


def open_generation(generate: GenerateRequest) -> Generation[Event]:
    """An answer at its model's engine."""
    shared = service()
    labels = shared.backends.labels(generate.model)
    recorder = ChatRecorder(shared.metrics, generate, labels, spend=shared.limits.spender(labels[0]))
    kinds = _ANSWERS_WITH_PROGRESS if generate.progress else _ANSWERS
    return open_at_engine(generate, kinds, recorder, recorder.admitted)


def open_at_engine(
    asked: GenerateRequest | EmbedRequest,
    kinds: EventKinds[E],
    recorder: Recorder[E],
    on_admitted: Callable[[Admitted], None] = lambda _: None,
) -> Generation[E]:
    """A request that an engine computes.

    Raises:
        InsufficientQuota: the key's tokens of the day are used up.
    """
    shared = service()
    shared.limits.check_budget("tokens")
    asked = replace(asked, salt=auth.salt())
    trace = traces.of(request.environ, asked, shared.backends.engine_name(asked.model))
    if trace is not None:
        recorder = TracedRecorder(recorder, trace)
        if isinstance(asked, GenerateRequest):
            asked = replace(asked, traceparent=trace.traceparent)
    longest_s = _longest_s(shared.settings, background=asked.priority == "background")
    return Generation(
        lambda: shared.backends.open_chat(asked, trace),
        kinds,
        RequestTimeouts(longest_s, shared.settings.sse_ping_seconds, _crashed()),
        inflight=shared.inflight,
        environ=request.environ,
        recorder=recorder,
        on_admitted=partial(_tell_admission, on_admitted),
    )


def ask(model: str, question: TokenizeRequest | DetokenizeRequest) -> Tokenized | Detokenized:
    """What an engine computes nothing for; it waits for the model, and no longer than its client."""
    shared = service()
    settings = shared.settings
    question = _salted(question)
    longest_s = settings.queue_timeout + settings.start_timeout + settings.queue_timeout + _GRACE_S
    generation = Generation(
        lambda: shared.backends.open_question(model, question),
        _TOKENS,
        RequestTimeouts(longest_s, longest_s, _crashed()),
        inflight=shared.inflight,
        environ=request.environ,
        recorder=Uncounted(),
    )
    return collect(generation)[0]


def _salted(question: TokenizeRequest | DetokenizeRequest) -> TokenizeRequest | DetokenizeRequest:
    if isinstance(question, TokenizeRequest):
        return TokenizeRequest(replace(question.request, salt=auth.salt()))
    return replace(question, salt=auth.salt())


def _longest_s(settings: Settings, *, background: bool) -> float:
    """Seconds from a request's arrival to its outcome at most: each of its waits has a limit of its own."""
    place = settings.queue_timeout + settings.start_timeout + (settings.background_timeout if background else 0.0)
    return place + settings.queue_timeout + settings.request_timeout + settings.resume_max_wait + _GRACE_S


def _crashed() -> EngineCrashed:
    return EngineCrashed("The engine died while it worked on this request; it is restarted.", retry_after_s=3.0)


def _tell_admission(tell: Callable[[Admitted], None], admission: Admitted) -> None:
    tell(admission)
    _disclose(admission)


def _disclose(admission: Admitted) -> None:
    """In the response's head, if that has not gone yet: a stream may begin before the engine takes the request."""
    if admission.fallback is not None and has_request_context():
        note_fallback(admission.fallback)
    if admission.set_aside:
        disclosure.note_engine(admission.set_aside)


def _is_event(message: AnyMessage) -> TypeGuard[Event]:
    return isinstance(message, Event)


def _is_tokens(message: AnyMessage) -> TypeGuard[Tokenized | Detokenized]:
    return isinstance(message, Tokenized | Detokenized)


_ANSWERS = EventKinds(_is_event, lambda event: isinstance(event, Finished), admission=True)
_ANSWERS_WITH_PROGRESS = dataclasses.replace(_ANSWERS, progress=True)
_TOKENS = EventKinds(_is_tokens, lambda _: True)


# ---- out


def respond(
    generation: Answering[Event], writer: StreamWriter[Event] | None, whole: Callable[[list[Event]], Wire]
) -> Response:
    """The answer: streamed by the writer, if there is one. What fails before it is admitted is an HTTP status."""
    admitted(generation, once=writer is not None)
    return json_response(whole(collect(generation))) if writer is None else stream(generation, writer)


def collect_all(requests: list[GenerateRequest]) -> list[list[Event]]:
    """Several generations, computed together; the first that fails ends them all."""
    generations: list[Answering[Event]] = []
    readers: list[gevent.Greenlet] = []
    try:
        generations += (admitted(open_generation(each)) for each in requests)
        readers += [gevent.spawn(_outcome, generation) for generation in generations]
        for reader in gevent.iwait(readers):
            if isinstance(outcome := reader.get(), Exception):
                raise outcome
        return [reader.get() for reader in readers]
    finally:
        for generation in generations:
            generation.close()
        gevent.joinall(readers)  # closed, they end at once


def _outcome(generation: Answering[Event]) -> list[Event] | ServiceError | ClientGone:
    """An error is handed on, not raised: a greenlet that ends with one writes a traceback."""
    try:
        return collect(generation)
    except (ServiceError, ClientGone) as error:
        return error
