"""Finished responses that can be asked for, and gone on from: `previous_response_id`. In memory, bounded, this process.

Written and read by the responses endpoint alone, on one event loop.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from src.api.schemas_responses import ResponseOut


@dataclass(frozen=True)
class Stored:
    """A response and the turns that led to it and through it, as chat has them."""

    response: ResponseOut
    turns: list[dict[str, Any]]
    size: int


class Conversations:
    """The last responses, as many as fit in so many bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._stored: OrderedDict[str, Stored] = OrderedDict()

    def put(self, response: ResponseOut, turns: list[dict[str, Any]]) -> None:
        """Keep a response; the oldest make room. One that is larger than all the room is not kept."""
        size = len(msgspec.json.encode(turns)) + len(msgspec.json.encode(response))
        if size > self._max_bytes:
            return
        self.delete(response.id)
        self._stored[response.id] = Stored(response, turns, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= self._stored.popitem(last=False)[1].size

    def get(self, response_id: str) -> Stored | None:
        return self._stored.get(response_id)

    def delete(self, response_id: str) -> bool:
        """Forget one; whether it was there."""
        stored = self._stored.pop(response_id, None)
        self._bytes -= stored.size if stored is not None else 0
        return stored is not None
