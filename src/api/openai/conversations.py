"""/v1/conversations: items that are kept until they are deleted, for responses that go on from them. A key's own."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from flask import Blueprint, Response

from src.api.body import check_items
from src.api.edge import auth
from src.api.openai import item_spellings, response_turns
from src.api.openai.response_input import with_ids
from src.api.openai.schemas_conversations import (
    ConversationDeleted,
    ConversationOut,
    ConversationRequest,
    ConversationUpdate,
    ItemsRequest,
)
from src.api.openai.schemas_responses import ItemList
from src.api.paging import paging
from src.api.service import json_body, json_response, service
from src.api.state import conversations
from src.api.state.conversations import ConversationBounds, ConversationItem, StoredConversation
from src.state import ids

blueprint = Blueprint("conversations", __name__)

_MOST, _PAGE = 100, 20


@blueprint.post("/v1/conversations")
def create() -> Response:
    given = _read()
    body, items = ConversationRequest.model_validate(given), _named(given)
    now, settings = int(time.time()), service().settings
    metadata = msgspec.json.encode(body.metadata or {})
    name = ids.new_id("conv_", ids.mark_of(settings.state_path))
    made = StoredConversation(name, auth.owner(), now, metadata, now)
    bounds = ConversationBounds(settings.conversations_per_key, settings.conversation_items)
    service().state.run(lambda db: conversations.insert(db, made, items, bounds))
    return json_response(_shown(made))


@blueprint.get("/v1/conversations/<conversation_id>")
def show(conversation_id: str) -> Response:
    return json_response(_shown(_find(conversation_id)))


@blueprint.post("/v1/conversations/<conversation_id>")
def update(conversation_id: str) -> Response:
    body, name = ConversationUpdate.model_validate(json_body()), _find(conversation_id).id
    metadata = msgspec.json.encode(body.metadata or {})
    service().state.run(lambda db: conversations.set_metadata(db, name, metadata))
    return show(conversation_id)


@blueprint.delete("/v1/conversations/<conversation_id>")
def delete(conversation_id: str) -> Response:
    """With its items; responses that were made from them stay."""
    name = _find(conversation_id).id
    service().state.run(lambda db: conversations.delete(db, name))
    return json_response(ConversationDeleted(name))


# ---- its items


@blueprint.post("/v1/conversations/<conversation_id>/items")
def add(conversation_id: str) -> Response:
    given, name = _read(), _find(conversation_id).id
    ItemsRequest.model_validate(given)
    items, most, now = _named(given), service().settings.conversation_items, int(time.time())
    service().state.run(lambda db: conversations.append(db, name, items, most, now))
    return json_response(_listed(items, has_more=False))


@blueprint.get("/v1/conversations/<conversation_id>/items")
def show_items(conversation_id: str) -> Response:
    name, (after, limit, order) = _find(conversation_id).id, paging(_MOST, _PAGE)
    found = service().state.read(
        lambda db: conversations.items(db, name, after=after, limit=limit + 1, order=order),
    )
    return json_response(_listed(found[:limit], has_more=len(found) > limit))


@blueprint.get("/v1/conversations/<conversation_id>/items/<item_id>")
def show_item(conversation_id: str, item_id: str) -> Response:
    name = _find(conversation_id).id
    found = service().state.read(lambda db: conversations.item(db, name, item_id))
    return Response(found.body, mimetype="application/json")


@blueprint.delete("/v1/conversations/<conversation_id>/items/<item_id>")
def delete_item(conversation_id: str, item_id: str) -> Response:
    conversation = _find(conversation_id)
    service().state.run(lambda db: conversations.delete_item(db, conversation.id, item_id))
    return json_response(_shown(conversation))


def _read() -> dict[str, Any]:
    """A body whose items may be spelled as any client does."""
    given = json_body()
    check_items(given.get("items"), service().settings)
    if isinstance(given.get("items"), list):
        given["items"] = item_spellings.normalize(given["items"])
        response_turns.check_types(given["items"], "items")
    return given


def _named(given: dict[str, Any]) -> list[ConversationItem]:
    """With ids of this server's: a client's could be another item's."""
    plain = [{name: value for name, value in item.items() if name != "id"} for item in given.get("items") or ()]
    return [ConversationItem(item["id"], msgspec.json.encode(item)) for item in with_ids(plain)]


def _find(name: str) -> StoredConversation:
    owner = auth.visible_owner()
    return service().state.read(lambda db: conversations.ROWS.get(db, owner, name))


def _shown(stored: StoredConversation) -> ConversationOut:
    return ConversationOut(stored.id, stored.created, msgspec.json.decode(stored.metadata))


def _listed(items: list[ConversationItem], *, has_more: bool) -> ItemList:
    first, last = (items[0].id, items[-1].id) if items else (None, None)
    return ItemList(tuple(msgspec.Raw(item.body) for item in items), first, last, has_more)
