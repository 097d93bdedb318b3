"""POST /v1/embeddings: vectors of texts, from an embedding model, or from a chat model without one (a header says
so).

A model's card in /v1/models says how its vectors are made.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

from flask import Blueprint, Response

from src.api.edge.cors import note_mean
from src.api.generation.generation import EventKinds
from src.api.generation.recorder import EmbeddingRecorder
from src.api.generation.streaming import admitted, collect
from src.api.openai import convert, disclosure, translation
from src.api.openai.schemas_embeddings import EmbeddingOut, EmbeddingsOut, EmbeddingsRequest, EmbeddingUsage
from src.api.service import Service, json_body, json_response, request_id, service
from src.encoders import ModelKind
from src.ipc.messages.base import Priority
from src.ipc.messages.chat import Embedded, EmbedRequest, Finished, RawPrompt, TextReading
from src.ipc.messages.wire import AnyMessage

blueprint = Blueprint("embeddings", __name__)


@blueprint.post("/v1/embeddings")
def create() -> Response:
    shared = service()
    body = EmbeddingsRequest.model_validate(disclosure.settle("embeddings", json_body()))
    model = shared.backends.check_model(body.model or shared.settings.default_model).name
    settings = EmbedSettings(_reading(body), body.dimensions, body.priority, body.timeout)
    found = _vectors(shared, _to_embed(model, _inputs(body.input), settings))
    made = tuple(EmbeddingOut(at, _shown(vector, body)) for at, vector in enumerate(found.vectors))
    return json_response(EmbeddingsOut(made, model, EmbeddingUsage(found.tokens, found.tokens)))


@dataclass(frozen=True)
class EmbedSettings:
    """How texts are to be read and vectors made, and when."""

    reading: TextReading = field(default_factory=TextReading)
    dimensions: int | None = None
    priority: Priority | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class Vectors:
    """In the order of their texts, with how many tokens those have; `kind` of the model that made them."""

    vectors: list[bytes]
    tokens: int
    kind: ModelKind = "chat"

    def numbers(self) -> list[list[float]]:
        return [_numbers(vector) for vector in self.vectors]


def vectors_of(model: str, texts: list[str], settings: EmbedSettings) -> Vectors:
    """The vectors of some texts."""
    shared = service()
    name = shared.backends.check_model(model).name
    return _vectors(shared, _to_embed(name, map(RawPrompt, texts), settings)) if texts else Vectors([], 0)


def _vectors(shared: Service, asked: EmbedRequest) -> Vectors:
    labels = shared.backends.labels(asked.model)
    recorder = EmbeddingRecorder(shared.metrics, asked, labels, shared.limits.spender(labels[0]))
    generation = translation.open_at_engine(asked, _VECTORS, recorder)
    events = collect(admitted(generation))
    vectors = {event.index: event.vector for event in events if isinstance(event, Embedded)}
    tokens = sum(event.usage.prompt_tokens for event in events if isinstance(event, Finished))
    kind = generation.admission.kind if generation.admission is not None else "chat"
    if kind == "chat":
        note_mean()
    return Vectors([vector for _, vector in sorted(vectors.items())], tokens, kind)


def _to_embed(model: str, inputs: Iterable[RawPrompt], settings: EmbedSettings) -> EmbedRequest:
    """With what the headers ask for, on every API."""
    headers = translation.headers()
    return EmbedRequest(
        request_id(),
        model,
        tuple(inputs),
        settings.dimensions,
        convert.priority(settings.priority, headers.priority),
        convert.timeout(settings.timeout, headers.timeout),
        reading=settings.reading,
    )


def _reading(body: EmbeddingsRequest) -> TextReading:
    return TextReading(
        prompt=body.prompt_name,
        roles=(body.input_type,) if body.input_type is not None else (),
        truncate=kept(body.truncate_prompt_tokens, cut=body.truncation or body.truncate not in (None, False, "NONE")),
        keep="end" if body.truncate == "START" else "start",
        normalize=body.normalize,
    )


def kept(tokens: int | None, *, cut: bool) -> int | None:
    """To how many tokens a text is cut, as `TextReading` says it; the wire's -1 is the model's context."""
    if tokens is not None:
        return max(0, tokens)
    return 0 if cut else None


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
