"""What a request of /v1/responses goes on from: its own items, and those of the response or conversation before it.

Read by the responses and conversations endpoints; responses of the foreground are kept here, in memory or in Redis.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import current_app

from src.api.body import check_items
from src.api.edge import auth
from src.api.openai import background, body_spellings, disclosure, fields, item_spellings, response_turns
from src.api.openai import schemas_responses as shapes
from src.api.openai.response_store import ResponseMemory, ResponseStore
from src.api.openai.schemas_responses import ResponseOut, ResponsesRequest
from src.api.openai.shared_responses import SharedResponses
from src.api.service import json_body, request_id, service
from src.api.state import conversations
from src.api.state.conversations import ConversationItem
from src.api.state.responses import RUNS
from src.errors import InvalidRequest
from src.settings import Settings

_KEPT = "stoker-responses"
_INSIDE = {
    "reasoning": frozenset(shapes.ReasoningOptions.model_fields),
    "text": frozenset(shapes.TextOptions.model_fields),
    "stream_options": frozenset(shapes.ResponseStreamOptions.model_fields),
}


@dataclass(frozen=True)
class ResponseInput:
    """A request, the items before it, and those it adds; each item has an id."""

    own: ResponsesRequest
    before: list[dict[str, Any]]
    added: list[dict[str, Any]]

    @property
    def items(self) -> list[dict[str, Any]]:
        return [*self.before, *self.added]

    def keeper(self) -> Callable[[ResponseOut], None]:
        """Keeps a response of the foreground for whoever asks later, and in its conversation; needs no context."""
        kept, owner, state = foreground(), auth.owner(), service().state
        most = service().settings.conversation_items

        def keep(response: ResponseOut) -> None:
            if response.conversation is not None:
                name, made, now = response.conversation.id, items_of(response, self.added), int(time.time())
                state.run(lambda db: conversations.append(db, name, made, most, now))
            if response.store:
                kept.put(owner, response, self.items)

        return keep


def foreground() -> ResponseStore:
    """Where finished responses of the foreground are; made with the first of this application."""
    extensions = current_app.extensions
    if _KEPT not in extensions:
        extensions[_KEPT] = _store(service().settings)
    kept: ResponseStore = extensions[_KEPT]
    return kept


def _store(settings: Settings) -> ResponseStore:
    most = settings.response_store_mb << 20
    memory = ResponseMemory(most)
    url = settings.redis_url
    return SharedResponses(url, memory, most, settings.response_ttl) if url else memory


def read() -> ResponseInput:
    given = json_body()
    check_items(given.get("input"), service().settings)
    raw = disclosure.settle("responses", given)
    disclosure.note(*body_spellings.unknown_inside(raw, _INSIDE))
    item_spellings.normalize_tools(raw)
    raw["input"] = _with_references(item_spellings.normalize(raw.get("input")))
    response_turns.check_types(raw["input"])
    if isinstance(raw.get("tools"), list):
        raw["tools"], aside = fields.split_tools(raw["tools"])
        response_turns.check_tools(raw["tools"])
        raw["tools"], unknown = item_spellings.known_tools(raw["tools"])
        disclosure.note(*aside, *unknown)
    own = ResponsesRequest.model_validate(raw)
    items: Any = raw["input"]
    if isinstance(items, str):
        items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": items}]}]
    before = _before(own)
    if own.conversation is not None:
        conversations.check_room(len(before), len(items) + 1, service().settings.conversation_items)
    return ResponseInput(own, before, with_ids(items, len(before)))


def with_ids(items: list[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
    """Items as they are listed: each with its type and an id, a message's text as a part."""
    return [_with_id(item, f"in_{request_id()}_{first + at}") for at, item in enumerate(items)]


def items_of(response: ResponseOut, added: list[dict[str, Any]]) -> list[ConversationItem]:
    """What a response adds to its conversation."""
    made = [ConversationItem(item.id, msgspec.json.encode(item)) for item in response.output]
    return [*(ConversationItem(item["id"], msgspec.json.encode(item)) for item in added), *made]


def _with_references(given: Any) -> Any:
    """The input with the items that it only names: the AI SDK sends the id of what a response here has made."""
    if not isinstance(given, list):
        return given
    named: set[str] = set()
    return [_referenced(item, at, named) if _is_reference(item) else item for at, item in enumerate(given)]


def _referenced(item: dict[str, Any], at: int, named: set[str]) -> dict[str, Any]:
    """Each once, so that a small body is no large prompt."""
    found = foreground().item(auth.owner(), item["id"])
    if found is None:
        raise InvalidRequest("No item with this id is kept here; send the item itself.", param=f"input[{at}].id")
    if item["id"] in named:
        raise InvalidRequest("This item is named twice.", param=f"input[{at}].id")
    named.add(item["id"])
    return found


def _is_reference(item: Any) -> bool:
    """`type` may be left out of one."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return False
    return item.get("type") == "item_reference" or (item.get("type") is None and item.keys() <= {"type", "id"})


def _with_id(item: dict[str, Any], made: str) -> dict[str, Any]:
    given = item.get("id")
    shown = {**item, "type": item.get("type", "message"), "id": given if given and isinstance(given, str) else made}
    if shown["type"] == "message" and isinstance(item["content"], str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        shown["content"] = [{"type": kind, "text": item["content"]}]
    return shown


def _before(own: ResponsesRequest) -> list[dict[str, Any]]:
    if own.conversation is None:
        return _previous(own)
    if own.previous_response_id is not None:
        text = "A response goes on from a conversation or from previous_response_id, not from both."
        raise InvalidRequest(text, param="conversation")
    name, owner = shapes.conversation_name(own.conversation), auth.owner()
    found = service().state.read(lambda db: conversations.items(db, conversations.ROWS.get(db, owner, name).id))
    return [msgspec.json.decode(item.body) for item in found]


def _previous(own: ResponsesRequest) -> list[dict[str, Any]]:
    if own.previous_response_id is None:
        return []
    name = own.previous_response_id
    stored = background.find(auth.owner(), name) or foreground().get(auth.owner(), name)
    if stored is None:
        raise InvalidRequest("No response with this id is kept here.", param="previous_response_id")
    if stored.response.status in RUNS:
        raise InvalidRequest(f"This response is {stored.response.status}: wait for it.", param="previous_response_id")
    return stored.all_items()
