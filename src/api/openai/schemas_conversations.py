"""Shapes of OpenAI's /v1/conversations."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from src.api.openai.schemas_responses import Item
from src.api.wire import Wire

_MOST_AT_ONCE = 20
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16),
]


class ConversationRequest(BaseModel):
    """Body of POST /v1/conversations."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    items: Annotated[list[Item], Field(max_length=_MOST_AT_ONCE)] | None = None
    metadata: Metadata | None = None


class ConversationUpdate(BaseModel):
    """Body of POST /v1/conversations/{id}."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    metadata: Metadata | None


class ItemsRequest(BaseModel):
    """Body of POST /v1/conversations/{id}/items."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    items: Annotated[list[Item], Field(min_length=1, max_length=_MOST_AT_ONCE)]


class ConversationOut(Wire, frozen=True):
    id: str
    created_at: int
    metadata: dict[str, str]
    object: str = "conversation"


class ConversationDeleted(Wire, frozen=True):
    id: str
    object: str = "conversation.deleted"
    deleted: bool = True
