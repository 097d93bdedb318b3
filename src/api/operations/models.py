"""GET /v1/models and /v1/models/{id}: what there is and where it stands; POST /v1/models/load and /unload."""

from __future__ import annotations

from flask import Blueprint, Response, request

from src.api import error_handlers
from src.api.anthropic import models as anthropic
from src.api.anthropic.schemas import AnthropicModel
from src.api.openai.model_cards import card, cards, cards_of_all_instances, settled
from src.api.openai.schemas import ModelBody, ModelCard, ModelList
from src.api.operations.codex_models import CodexModelList, codex_models
from src.api.service import CONTROL_BYTES, json_body, json_response, service, watch_client
from src.ipc.messages.control import MoveModel

blueprint = Blueprint("models", __name__)

_ACCEPTED = 202


@blueprint.get("/v1/models")
def list_models() -> Response:
    asked = request.args
    found: tuple[ModelCard, ...] = cards_of_all_instances() if asked.get("all") in ("true", "1") else cards()
    if error_handlers.speaks_anthropic():
        page = anthropic.page(
            list(map(_anthropic, found)), asked.get("limit"), asked.get("after_id"), asked.get("before_id")
        )
        return json_response(page)
    if asked.get("client_version"):  # Codex asks, and reads `models`
        return json_response(CodexModelList(found, codex_models(found)))
    return json_response(ModelList(found))


@blueprint.get("/v1/models/<path:name>")
def show_model(name: str) -> Response:
    if not name.strip("/"):  # as clients ask that join paths carelessly
        return list_models()
    backends = service().backends
    found = name if name in backends.models else name.rstrip("/")
    shown = card(backends.check_model(found), backends.status())
    return json_response(_anthropic(shown) if error_handlers.speaks_anthropic() else shown)


@blueprint.post("/v1/models/load")
def load() -> Response:
    """Returns when the model is on the device, with its card."""
    name = ModelBody.model_validate(json_body(limit=CONTROL_BYTES)).model_name
    with watch_client() as waiting:
        service().backends.load(name, waiting.check, retry=True)
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


def _anthropic(shown: ModelCard) -> AnthropicModel:
    return anthropic.model(shown.id, shown.created, shown.context_length)
