"""POST /v1/embeddings: refused by name, since no engine here makes embeddings; a chat model's are a poor guess."""

from __future__ import annotations

from flask import Blueprint, Response

from src.api.schemas import EmbeddingsRequest
from src.api.service import json_body
from src.errors import UnsupportedValue

blueprint = Blueprint("embeddings", __name__)


@blueprint.post("/v1/embeddings")
def create() -> Response:
    EmbeddingsRequest.model_validate(json_body())
    raise UnsupportedValue("The models served here make no embeddings.", param="model")
