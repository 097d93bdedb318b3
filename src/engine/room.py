"""How many sequences an engine admits, running or waiting. Pure; asked by the servers of all engines."""

from __future__ import annotations

from src.errors import InvalidRequest, Overloaded
from src.ipc.messages.chat import GenerateRequest
from src.settings import EngineSettings


def sequences_of(request: object) -> int:
    """What a request counts: its answers."""
    return max(1, len(request.choices)) if isinstance(request, GenerateRequest) else 1


def check(request: object, taken: int, settings: EngineSettings, retry_after_s: float) -> int:
    """The sequences of a request that comes when `taken` are running or waiting.

    Raises:
        InvalidRequest: they would never have room.
        Overloaded: they have none now.
    """
    count, limit = sequences_of(request), settings.max_num_seqs + settings.max_queue_size
    if count > limit:
        text = f"n asks for {count} answers; at most {limit} run or wait here (MAX_NUM_SEQS + MAX_QUEUE_SIZE)."
        raise InvalidRequest(text, param="n")
    if taken + count > limit:
        text = f"Too many sequences: {taken} of {limit} are running or waiting (MAX_NUM_SEQS + MAX_QUEUE_SIZE)"
        raise Overloaded(f"{text}, there is no capacity for {count} more.", retry_after_s=retry_after_s)
    return count
