"""Bodies as the middleware opens them, with bounds of their own."""

from __future__ import annotations

from typing import Any

from src.api.body import BodyMemory, BoundedBody
from src.api.generation.inflight import InFlight


def open_body(
    stream: Any, limit: int, inflight: InFlight | None = None, memory: BodyMemory | None = None, owner: str = ""
) -> BoundedBody:
    slots = InFlight(100) if inflight is None else inflight
    return BoundedBody(stream, limit, 60.0, slots, memory or BodyMemory(1 << 40), lambda: owner)
