"""POST /v1/rerank, as Jina's and Cohere's clients ask: documents in the order of their closeness to a query.

The score is the cosine of the served model's vectors (`method` in the answer says so): no cross-encoder reads the pair.
"""

from __future__ import annotations

from operator import mul

import gevent
from flask import Blueprint, Response

from src.api.openai import disclosure, embeddings, translation
from src.api.openai.schemas_rerank import RerankDocument, RerankedOut, RerankOut, RerankRequest, RerankUsage
from src.api.service import json_body, json_response, request_id, service

blueprint = Blueprint("rerank", __name__)

_NAMES = {"input": "documents"}
_SHARE = 64  # documents that are compared before other requests have their turn


@blueprint.post("/v1/rerank")
@blueprint.post("/v2/rerank")
@blueprint.post("/rerank")
def create() -> Response:
    body = RerankRequest.model_validate(disclosure.settle("rerank", json_body()))
    texts = [each if isinstance(each, str) else each.text for each in body.documents]
    with translation.own_names(_NAMES):
        model = service().backends.check_model(body.model or service().settings.default_model).name
        given = [body.query, *texts]
        (query, *documents), tokens = embeddings.vectors_of(model, given, None, body.priority, body.timeout)
    found = sorted(enumerate(_cosines(query, documents)), key=lambda pair: (-pair[1], pair[0]))
    shown = tuple(
        RerankedOut(at, score, RerankDocument(texts[at]) if body.return_documents else None)
        for at, score in found[: body.top_n]
    )
    return json_response(RerankOut(f"rerank-{request_id()}", model, shown, RerankUsage(tokens, tokens)))


def _cosines(query: list[float], documents: list[list[float]]) -> list[float]:
    """All have length 1."""
    found: list[float] = []
    for at, document in enumerate(documents):
        if at % _SHARE == _SHARE - 1:
            gevent.sleep(0)
        found.append(max(-1.0, min(1.0, sum(map(mul, query, document)))))
    return found
