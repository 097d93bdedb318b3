"""GET /v1/models and /v1/models/{id}."""

from __future__ import annotations

from flask import Blueprint, Response

from src.api.backends import Backends
from src.api.schemas import EmbeddingCard, ModelCard, ModelList
from src.api.service import json_response, service
from src.errors import ModelNotFound

blueprint = Blueprint("models", __name__)


@blueprint.get("/v1/models")
def list_models() -> Response:
    backends = service().backends
    return json_response(ModelList(tuple(_card(name, backends) for name in backends.models)))


@blueprint.get("/v1/models/<path:name>")
def show_model(name: str) -> Response:
    backends = service().backends
    if name not in backends.models:
        raise ModelNotFound(f"No such model. Available: {', '.join(backends.models)}.", param="model")
    return json_response(_card(name, backends))


def _card(name: str, backends: Backends) -> ModelCard:
    status = backends.status()
    engine = status.child("engine") if status is not None else None
    created = int(service().started)
    if engine is None:
        return ModelCard(name, created)
    health = engine.health
    if health is None or health.model is None:
        return ModelCard(name, created, state=engine.state)
    return ModelCard(
        name,
        created,
        state=engine.state,
        context_length=health.model.context_length,
        parameters=health.model.parameters,
        engine=health.engine,
        embeddings=EmbeddingCard(size) if (size := health.model.embedding_size) is not None else None,
    )
