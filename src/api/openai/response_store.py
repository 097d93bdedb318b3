"""Finished responses that can be asked for, and gone on from: `previous_response_id`. In memory, bounded, this process.

Written and read by the responses endpoint alone, on one event loop. A response belongs to the key that made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from src.api.cache.shares import SharedStore
from src.api.openai.schemas_responses import ResponseOut


@dataclass(frozen=True)
class Stored:
    """A response and the items that it answers, those of earlier responses included, each with an id."""

    response: ResponseOut
    items: list[dict[str, Any]]


class Conversations:
    """The last responses of each owner, all together as many as fit in so many bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._store: SharedStore[Stored] = SharedStore(max_bytes)

    def put(self, owner: str, response: ResponseOut, items: list[dict[str, Any]]) -> None:
        size = len(msgspec.json.encode(items)) + len(msgspec.json.encode(response))
        self._store.put(owner, response.id, Stored(response, items), size)

    def get(self, owner: str, response_id: str) -> Stored | None:
        return self._store.get(owner, response_id)

    def owner_of(self, response_id: str) -> str | None:
        return self._store.owner_of(response_id)

    def delete(self, owner: str, response_id: str) -> bool:
        """Forget one; whether it was there."""
        return self._store.delete(owner, response_id)
