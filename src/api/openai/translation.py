"""What the translations of chat have in common: a body becomes a `GenerateRequest`, its events become an answer.

Each endpoint brings its translation in, and for its answers a function (whole) and a `StreamWriter` (streamed).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from flask import Response
from msgspec.structs import replace
from pydantic import ValidationError

from src.api import error_handlers
from src.api.edge import auth, body_bounds
from src.api.generation.answer import ClientGone
from src.api.generation.generation import Generation
from src.api.generation.streaming import Event, StreamWriter, stream, wait_admitted
from src.api.interest import interest
from src.api.openai import chat, convert, disclosure
from src.api.openai.schemas import ChatCompletionRequest
from src.api.service import json_response, service
from src.api.wire import Wire
from src.errors import ServiceError
from src.ipc.messages.chat import GenerateRequest, Tokenized, TokenizeRequest


def accept(fields: dict[str, Any]) -> tuple[ChatCompletionRequest, GenerateRequest]:
    """A translated body, checked as chat's are."""
    body_bounds.check(fields, service().settings)
    body = chat.read(fields)
    return body, chat.accept(body)


def tokens_of(generate: GenerateRequest) -> Tokenized:
    """The tokens a request would be answered with; waits for its model, and no longer than its client."""
    question = TokenizeRequest(replace(generate, salt=auth.salt()))
    with interest() as still:
        answer = service().backends.ask_engine(generate.model, question, still)
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


def respond(generate: GenerateRequest, writer: StreamWriter | None, whole: Callable[[list[Event]], Wire]) -> Response:
    """The answer: streamed by the writer, if there is one."""
    generation = admitted(generate, once=writer is not None)
    if writer is None:
        return json_response(whole(collect(generation)))
    return stream(generation, writer)


def admitted(generate: GenerateRequest, *, once: bool = False) -> Generation:
    """A generation that the engine has taken, or (`once`) that is waited for; what fails before is an HTTP status."""
    generation = chat.open_generation(service(), generate)
    try:
        wait_admitted(generation, once=once)
    except BaseException:
        generation.close()
        raise
    return generation


def collect(generation: Generation) -> list[Event]:
    """All events up to the outcome."""
    try:
        return [event for batch in generation.batches() for event in batch]
    finally:
        generation.close()


def collect_all(requests: list[GenerateRequest]) -> list[list[Event]]:
    """Several generations, computed together; the first that fails ends them all."""
    generations: list[Generation] = []
    readers: list[gevent.Greenlet] = []
    try:
        generations += map(admitted, requests)
        readers += [gevent.spawn(_outcome, generation) for generation in generations]
        for reader in gevent.iwait(readers):
            if isinstance(outcome := reader.get(), Exception):
                raise outcome
        return [reader.get() for reader in readers]
    finally:
        for generation in generations:
            generation.close()
        gevent.joinall(readers)  # closed, they end at once


def _outcome(generation: Generation) -> list[Event] | ServiceError | ClientGone:
    """An error is handed on, not raised: a greenlet that ends with one writes a traceback."""
    try:
        return collect(generation)
    except (ServiceError, ClientGone) as error:
        return error
