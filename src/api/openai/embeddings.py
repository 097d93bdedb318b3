"""POST /v1/embeddings: vectors of texts, from the served model itself (its card in /v1/models says how)."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from flask import Blueprint, Response

from src.api.generation.generation import EventKinds
from src.api.generation.recorder import EmbeddingRecorder
from src.api.generation.streaming import collect
from src.api.openai import convert, disclosure, translation
from src.api.openai.schemas_embeddings import EmbeddingOut, EmbeddingsOut, EmbeddingsRequest, EmbeddingUsage
from src.api.service import Service, json_body, json_response, request_id, service
from src.ipc.messages.base import Priority
from src.ipc.messages.chat import Embedded, EmbedRequest, Finished, RawPrompt
from src.ipc.messages.wire import AnyMessage

blueprint = Blueprint("embeddings", __name__)


@blueprint.post("/v1/embeddings")
def create() -> Response:
    shared = service()
    body = EmbeddingsRequest.model_validate(disclosure.settle("embeddings", json_body()))
    model = shared.backends.check_model(body.model or shared.settings.default_model).name
    asked = _to_embed(model, _inputs(body.input), body.dimensions, body.priority, body.timeout)
    vectors, tokens = _vectors(shared, asked)
    made = tuple(EmbeddingOut(at, _shown(vector, body)) for at, vector in enumerate(vectors))
    return json_response(EmbeddingsOut(made, asked.model, EmbeddingUsage(tokens, tokens)))


def vectors_of(
    model: str,
    texts: list[str],
    dimensions: int | None,
    priority: Priority | None = None,
    timeout: float | None = None,
) -> tuple[list[list[float]], int]:
    """The vectors of some texts, and how many tokens those have."""
    shared = service()
    name = shared.backends.check_model(model).name
    if not texts:
        return [], 0
    asked = _to_embed(name, map(RawPrompt, texts), dimensions, priority, timeout)
    vectors, tokens = _vectors(shared, asked)
    return [_numbers(vector) for vector in vectors], tokens


def _vectors(shared: Service, asked: EmbedRequest) -> tuple[list[bytes], int]:
    """The vectors in order, and how many tokens their texts have."""
    recorder = EmbeddingRecorder(shared.metrics, asked, shared.backends.labels(asked.model), shared.limits.spender())
    events = collect(translation.open_at_engine(asked, _VECTORS, recorder))
    vectors = {event.index: event.vector for event in events if isinstance(event, Embedded)}
    tokens = sum(event.usage.prompt_tokens for event in events if isinstance(event, Finished))
    return [vector for _, vector in sorted(vectors.items())], tokens


def _to_embed(
    model: str,
    inputs: Iterable[RawPrompt],
    dimensions: int | None,
    priority: Priority | None = None,
    timeout: float | None = None,
) -> EmbedRequest:
    """With what the headers ask for, on every API."""
    headers = translation.headers()
    return EmbedRequest(
        request_id(),
        model,
        tuple(inputs),
        dimensions,
        convert.priority(priority, headers.priority),
        convert.timeout(timeout, headers.timeout),
    )


def _inputs(given: str | list[int] | list[str] | list[list[int]]) -> Iterator[RawPrompt]:
    """One text or many; a list of numbers is one."""
    if isinstance(given, str):
        yield RawPrompt(given)
        return
    if numbers := tuple(one for one in given if isinstance(one, int)):
        yield RawPrompt(tokens=numbers)
        return
    for one in given:
        yield RawPrompt(one) if isinstance(one, str) else RawPrompt(tokens=tuple(one if isinstance(one, list) else ()))


def _shown(vector: bytes, body: EmbeddingsRequest) -> str | list[float]:
    if body.encoding_format == "base64":
        return base64.b64encode(vector).decode()
    return _numbers(vector)


def _numbers(vector: bytes) -> list[float]:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _is_vector(message: AnyMessage) -> TypeGuard[Embedded | Finished]:
    return isinstance(message, Embedded | Finished)


_VECTORS = EventKinds(_is_vector, lambda event: isinstance(event, Finished), admission=True)
