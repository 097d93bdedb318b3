"""POST /v1/embeddings: vectors of texts, from the served model itself (its card in /v1/models says how)."""

from __future__ import annotations

import base64
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Response

from src import logs
from src.api.edge import auth
from src.api.generation.answer import ClientGone
from src.api.openai import chat, convert, disclosure
from src.api.openai.schemas_embeddings import EmbeddingOut, EmbeddingsOut, EmbeddingsRequest, EmbeddingUsage
from src.api.service import Service, json_body, json_response, request_id, service
from src.ipc.messages.chat import Embedded, EmbedRequest, Finished, RawPrompt

blueprint = Blueprint("embeddings", __name__)


@blueprint.post("/v1/embeddings")
def create() -> Response:
    shared = service()
    body = EmbeddingsRequest.model_validate(disclosure.settle("embeddings", json_body()))
    model = shared.backends.check_model(body.model or shared.settings.default_model).name
    asked = _to_embed(body, model)
    vectors, finished = _answer(shared, asked)
    made = tuple(EmbeddingOut(at, _shown(vector, body)) for at, vector in sorted(vectors.items()))
    tokens = finished.usage.prompt_tokens
    return json_response(EmbeddingsOut(made, asked.model, EmbeddingUsage(tokens, tokens)))


def vectors_of(model: str, texts: list[str], dimensions: int | None) -> tuple[list[list[float]], int]:
    """The vectors of some texts, and how many tokens those have."""
    shared = service()
    name = shared.backends.check_model(model).name
    asked = EmbedRequest(request_id(), name, tuple(map(RawPrompt, texts)), dimensions)
    vectors, finished = _answer(shared, asked)
    return [_numbers(vector) for _, vector in sorted(vectors.items())], finished.usage.prompt_tokens


def _answer(shared: Service, asked: EmbedRequest) -> tuple[dict[int, bytes], Finished]:
    with _counted(shared, asked):
        vectors, finished = _ask(shared, asked)
    _count(shared, asked, finished)
    return vectors, finished


def _to_embed(body: EmbeddingsRequest, model: str) -> EmbedRequest:
    headers = chat.headers()
    return EmbedRequest(
        request_id(),
        model,
        tuple(_inputs(body.input)),
        body.dimensions,
        convert.priority(body.priority, headers.priority),
        convert.timeout(body.timeout, headers.timeout),
        salt=auth.salt(),
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


def _ask(shared: Service, asked: EmbedRequest) -> tuple[dict[int, bytes], Finished]:
    """All vectors, and what they took."""
    answer = chat.open_answer(shared, asked)
    vectors: dict[int, bytes] = {}
    try:
        while True:
            for event in answer.next_batch(shared.settings.sse_ping_seconds) or ():
                if isinstance(event, Embedded):
                    vectors[event.index] = event.vector
                elif isinstance(event, Finished):
                    return vectors, event
    finally:
        answer.close()


def _shown(vector: bytes, body: EmbeddingsRequest) -> str | list[float]:
    if body.encoding_format == "base64":
        return base64.b64encode(vector).decode()
    return _numbers(vector)


def _numbers(vector: bytes) -> list[float]:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


# ---- metrics


@contextmanager
def _counted(shared: Service, asked: EmbedRequest) -> Iterator[None]:
    """Count a request by its outcome."""
    began = time.monotonic()
    outcome = "error"
    try:
        yield
        outcome = "ok"
    except ClientGone:
        outcome = "abort"
        raise
    finally:
        shared.metrics.embedding_requests.labels(*shared.backends.labels(asked.model), outcome).inc()
        seconds = round(time.monotonic() - began, 3)
        facts = {"model": asked.model, "outcome": outcome, "texts": len(asked.inputs), "seconds": seconds}
        logs.model.bind(**facts).info("embeddings {}", outcome)


def _count(shared: Service, asked: EmbedRequest, finished: Finished) -> None:
    labels = shared.backends.labels(asked.model)
    shared.metrics.prompt_tokens.labels(*labels).inc(finished.usage.prompt_tokens)
    shared.metrics.queue_time.labels(*labels).observe(finished.timings.queue_s)
    shared.limits.spender()(finished.usage.prompt_tokens)
