"""POST /v1/rerank, as Jina's, Cohere's and vLLM's clients ask: documents in the order of their relevance to a query.

A reranker reads each document with the query. With another model the score is the cosine of its vectors; `method` in
the answer says which.
"""

from __future__ import annotations

from operator import mul

import gevent
from flask import Blueprint, Response

from src.api.openai import disclosure, embeddings, translation
from src.api.openai.embeddings import EmbedSettings, kept
from src.api.openai.schemas_rerank import RerankDocument, RerankedOut, RerankOut, RerankRequest, RerankUsage
from src.api.service import json_body, json_response, request_id, service
from src.encoders import ModelKind
from src.errors import UnsupportedValue
from src.ipc.messages.chat import TextReading

blueprint = Blueprint("rerank", __name__)

_NAMES = {"input": "documents"}
_SHARE = 64  # documents that are compared before other requests have their turn
_METHODS: dict[ModelKind, str] = {
    "rerank": "reranker",
    "embedding": "cosine of embeddings",
    "chat": "cosine of a chat model's mean hidden states",
}


@blueprint.post("/v1/rerank")
@blueprint.post("/v2/rerank")
@blueprint.post("/rerank")
def create() -> Response:
    body = RerankRequest.model_validate(disclosure.settle("rerank", json_body()))
    texts = [each if isinstance(each, str) else each.text for each in body.documents]
    with translation.own_names(_NAMES):
        entry = service().backends.check_model(body.model or service().settings.default_model)
        by_pair = "rerank" in entry.capabilities
        scores, tokens, kind = (_by_pair if by_pair else _by_cosine)(entry.name, texts, body)
    found = sorted(enumerate(scores), key=lambda pair: (-pair[1], pair[0]))
    shown = tuple(
        RerankedOut(at, score, RerankDocument(texts[at]) if body.return_documents else None)
        for at, score in found[: body.top_n or body.top_k]
    )
    usage = RerankUsage(tokens, tokens)
    return json_response(RerankOut(f"rerank-{request_id()}", entry.name, shown, usage, method=_METHODS[kind]))


Scores = tuple[list[float], int, ModelKind]


def _by_pair(model: str, texts: list[str], body: RerankRequest) -> Scores:
    reading = TextReading(body.query, body.instruction, truncate=_kept(body), normalize=False)
    found = embeddings.vectors_of(model, texts, EmbedSettings(reading, None, body.priority, body.timeout))
    return [score for (score,) in found.numbers()], found.tokens, found.kind


def _by_cosine(model: str, texts: list[str], body: RerankRequest) -> Scores:
    if body.instruction is not None:
        raise UnsupportedValue("Only a reranker can be told an instruction.", param="instruction")
    reading = TextReading(roles=("query", "document"), truncate=_kept(body), normalize=True)
    settings = EmbedSettings(reading, None, body.priority, body.timeout)
    found = embeddings.vectors_of(model, [body.query, *texts], settings)
    query, *documents = found.numbers()
    return _cosines(query, documents), found.tokens, found.kind


def _kept(body: RerankRequest) -> int | None:
    given = body.max_tokens_per_doc if body.max_tokens_per_doc is not None else body.truncate_prompt_tokens
    return kept(given, cut=body.truncation is True)


def _cosines(query: list[float], documents: list[list[float]]) -> list[float]:
    """All have length 1."""
    found: list[float] = []
    for at, document in enumerate(documents):
        if at % _SHARE == _SHARE - 1:
            gevent.sleep(0)
        found.append(max(-1.0, min(1.0, sum(map(mul, query, document)))))
    return found
