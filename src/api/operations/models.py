"""GET /v1/models and /v1/models/{id}: what there is and where it stands; POST /v1/models/load and /unload."""

from __future__ import annotations

import time

from flask import Blueprint, Response, request

from src import catalog
from src.api import error_handlers
from src.api.anthropic import models as anthropic
from src.api.anthropic.schemas import AnthropicModel
from src.api.edge import auth
from src.api.interest import interest
from src.api.openai.schemas import EmbeddingCard, LoadOut, ModelBody, ModelCard, ModelList
from src.api.service import CONTROL_BYTES, json_body, json_response, service
from src.ipc.messages.control import MoveModel
from src.ipc.messages.status import ModelStatus, SystemStatus

blueprint = Blueprint("models", __name__)

_ACCEPTED = 202
# how long an answer waits for a model that is ordered away; its requests may take longer
_MOVE_S = 10.0
_POLL_S = 0.05


@blueprint.get("/v1/models")
def list_models() -> Response:
    backends = service().backends
    status = backends.status()
    cards = tuple(_card(entry, status) for entry in backends.catalog().values())
    if not error_handlers.speaks_anthropic():
        return json_response(ModelList(cards))
    asked = request.args
    page = anthropic.page(
        list(map(_anthropic, cards)), asked.get("limit"), asked.get("after_id"), asked.get("before_id")
    )
    return json_response(page)


@blueprint.get("/v1/models/<path:name>")
def show_model(name: str) -> Response:
    if not name.strip("/"):  # as clients ask that join paths carelessly
        return list_models()
    backends = service().backends
    found = name if name in backends.models else name.rstrip("/")
    card = _card(backends.check_model(found), backends.status())
    return json_response(_anthropic(card) if error_handlers.speaks_anthropic() else card)


@blueprint.post("/v1/models/load")
def load() -> Response:
    """Returns when the model is on the device, with its card."""
    name = ModelBody.model_validate(json_body(limit=CONTROL_BYTES)).model_name
    with interest() as still:
        service().backends.load(name, still)
    return show_model(name)


@blueprint.post("/v1/models/unload")
def unload() -> Response:
    """200 with its card when its process is gone, 202 while its requests still run."""
    name = ModelBody.model_validate(json_body(limit=CONTROL_BYTES)).model_name
    backends = service().backends
    backends.check_model(name)
    backends.order(MoveModel("unloaded", name))
    done = settled((name,), {"unloaded", "failed"})
    response = show_model(name)
    response.status_code = 200 if done else _ACCEPTED
    return response


def settled(names: tuple[str, ...], states: set[str]) -> bool:
    """Wait a moment until these models are in one of the states; whether they are."""
    deadline = time.monotonic() + _MOVE_S
    while True:
        status = service().backends.status()
        found = [status.model(name) for name in names] if status is not None else []
        if found and all(model is None or model.state in states for model in found):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)


def _anthropic(card: ModelCard) -> AnthropicModel:
    return anthropic.model(card.id, card.created, card.context_length)


def _card(entry: catalog.CatalogEntry, status: SystemStatus | None) -> ModelCard:
    created = int(service().started)
    model = status.model(entry.name) if status is not None else None
    if status is None or model is None:
        return ModelCard(entry.name, created, context_length=entry.context_length, capabilities=entry.capabilities)
    child = status.child(model.child)
    health = child.health if child is not None else None
    loaded = health.model if health is not None else None
    vectors = EmbeddingCard(loaded.embedding_size) if loaded is not None and loaded.embedding_size else None
    return ModelCard(
        entry.name,
        created,
        state=model.state,
        detail=model.detail if auth.is_admin() else None,  # it may name paths
        size_bytes=model.size_bytes or None,
        context_length=loaded.context_length if loaded is not None else entry.context_length,
        capabilities=entry.capabilities if vectors is None else (*entry.capabilities, "embeddings"),
        parameters=loaded.parameters if loaded is not None else None,
        engine=health.engine if health is not None else None,
        embeddings=vectors,
        pinned=model.pinned,
        running=model.running,
        waiting=model.waiting,
        idle_seconds=model.idle_s if model.state in ("gpu", "cpu") else None,
        progress=_progress(model),
    )


def _progress(model: ModelStatus) -> LoadOut | None:
    found = model.progress
    return None if found is None else LoadOut(found.done_bytes, found.total_bytes, found.seconds, found.eta_s)
