"""Finished responses that can be asked for, and gone on from: `previous_response_id`. In memory, bounded, this process
(`shared_responses` has those of several instances).

Written and read by the responses endpoint alone, on one event loop. A response belongs to the key that made it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from src.api.cache.shares import SharedStore
from src.api.openai.schemas_responses import ResponseOut

_ITEM_ID = re.compile(r"[a-z]+_(.+)_\d+")


@dataclass(frozen=True)
class Stored:
    """A response and the items that it answers, those of earlier responses included, each with an id."""

    response: ResponseOut
    items: list[dict[str, Any]]

    def item(self, item_id: str) -> dict[str, Any] | None:
        put_in = next((item for item in self.items if item["id"] == item_id), None)
        made = next((item for item in self.response.output if item.id == item_id), None)
        return put_in if made is None else msgspec.json.decode(msgspec.json.encode(made))

    def all_items(self) -> list[dict[str, Any]]:
        """What it answers, and what it made, as a client sends them."""
        return [*self.items, *msgspec.json.decode(msgspec.json.encode(self.response.output))]


class ResponseStore(Protocol):
    """Finished responses by owner and id."""

    def put(self, owner: str, response: ResponseOut, items: list[dict[str, Any]]) -> None: ...

    def get(self, owner: str, response_id: str) -> Stored | None: ...

    def item(self, owner: str, item_id: str) -> dict[str, Any] | None:
        """An item of a response that is kept, put in or made."""

    def owner_of(self, response_id: str) -> str | None: ...

    def delete(self, owner: str, response_id: str) -> bool:
        """Forget one; whether it was there."""


def item_in(store: ResponseStore, owner: str, item_id: str) -> dict[str, Any] | None:
    """By its id, which names the request that it was part of."""
    made_by = _ITEM_ID.fullmatch(item_id)
    stored = store.get(owner, f"resp_{made_by[1]}") if made_by is not None else None
    return stored.item(item_id) if stored is not None else None


class ResponseMemory:
    """The last responses of each owner, all together as many as fit in so many bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._store: SharedStore[Stored] = SharedStore(max_bytes)

    def put(self, owner: str, response: ResponseOut, items: list[dict[str, Any]]) -> None:
        size = len(msgspec.json.encode(items)) + len(msgspec.json.encode(response))
        self._store.put(owner, response.id, Stored(response, items), size)

    def get(self, owner: str, response_id: str) -> Stored | None:
        return self._store.get(owner, response_id)

    def item(self, owner: str, item_id: str) -> dict[str, Any] | None:
        return item_in(self, owner, item_id)

    def owner_of(self, response_id: str) -> str | None:
        return self._store.owner_of(response_id)

    def delete(self, owner: str, response_id: str) -> bool:
        return self._store.delete(owner, response_id)
